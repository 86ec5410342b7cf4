//! A validator that asks for more storage and a new version in one change gets its new version: Kubernetes never changes the
//! claims of a StatefulSet, and refuses whatever comes with such a change.

use std::time::Duration;

use serde_json::json;

use crate::common::{Options, TestEnv, Validators, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn more_storage_and_a_new_version_in_one_change() {
    let env = TestEnv::start("storage-grown", Options::default()).await;
    let validators = Validators::new(1);
    env.apply(&validators.manifests(1..=1));
    wait_for("it to vote", Duration::from_secs(60), async || {
        env.recorder().history().voting().contains("validator-1").then_some(())
    })
    .await;
    let mut node = validators.node(1);
    node["spec"]["version"] = json!("27.0.0");
    node["spec"]["storage"] = json!({ "size": "2Gi" });
    env.apply(&node.to_string());
    wait_for("its new version", Duration::from_secs(60), async || {
        let pod = env.get("pod/validator-1-0")?;
        let image = pod["spec"]["containers"][0]["image"].as_str()?.ends_with(":27.0.0");
        image.then_some(())
    })
    .await;
    env.without_turns().await;
}
