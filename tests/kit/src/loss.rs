//! Pods of six validators that are lost in one moment, and the restarts of ours that follow.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::json;

use crate::{Options, SIX, TestEnv, Validators, wait_for};

/// What is lost, and with what patience.
#[derive(Debug)]
pub struct Loss {
    /// How many of the six lose their pods.
    pub lost: usize,
    /// By how many seconds kubelets read ConfigMaps late.
    pub read_late: Option<&'static str>,
    /// Longer than every wait of the operator, the fuse included: it would keep those from being restarted that were
    /// restarted when the network was new.
    pub calm: Duration,
    /// How long six validators may take to be connected.
    pub patience: Duration,
}

impl Loss {
    /// Loses the pods, and counts the restarts of ours until the group is connected again and at rest.
    pub async fn costs(&self, name: &str, options: Options, allowed: RangeInclusive<usize>) {
        let env = TestEnv::start(name, options).await;
        env.apply(&self.manifests());
        // A pod votes only once it is connected.
        let connected = async || {
            let voting = env.recorder().history().voting();
            let addresses = env.addresses(&SIX)?;
            (env.peers() == addresses && SIX.iter().all(|name| voting.contains(*name))).then_some(())
        };
        wait_for("six validators to be connected", self.patience, connected).await;
        env.all_slots_free_within(self.patience).await;
        // What began with the first lists has to be over, so that only the loss is counted.
        tokio::time::sleep(self.calm).await;
        env.all_slots_free_within(self.patience).await;
        // By its log: Kubernetes itself may replace a pod of a validator more than once in such a moment.
        let restarts_of_ours = || env.log().matches("reason=\"Restarting\"").count();
        let before = restarts_of_ours();
        let addresses = env.addresses(&SIX).expect("six addresses");

        let pods: Vec<String> = SIX[..self.lost].iter().map(|name| format!("pod/{name}-0")).collect();
        let mut delete = vec!["delete", "--wait=false"];
        delete.extend(pods.iter().map(String::as_str));
        env.kubectl(&delete).ok("delete");
        wait_for("new addresses", Duration::from_secs(60), async || {
            let now = env.peers();
            (now.len() == 6 && now.intersection(&addresses).count() == 6 - self.lost).then_some(())
        })
        .await;
        wait_for("the group to be connected again", self.patience, connected).await;
        env.all_slots_free_within(self.patience).await;
        let lives = env.recorder().history().lives();
        env.stays_quiet(self.calm).await;

        let history = env.recorder().history();
        assert_eq!(history.lives(), lives, "it came to rest:\n{history}");
        assert!(connected().await.is_some(), "it stays connected");
        let restarts = restarts_of_ours() - before;
        println!("{name}: {} of six lost, {restarts} restarts", self.lost);
        assert!(
            allowed.contains(&restarts),
            "{restarts} restarts, not {allowed:?}:\n{history}"
        );
    }

    fn manifests(&self) -> String {
        let validators = Validators::new(6);
        let nodes = (1..=6).map(|number| {
            let mut node = validators.node(number);
            if let Some(seconds) = self.read_late {
                node["spec"]["podAnnotations"] = json!({ "test.stellar.org/read-late": seconds });
            }
            node
        });
        let secrets = (1..=6).map(|number| validators.secret(number));
        let items: Vec<_> = secrets.chain(nodes).collect();
        json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
    }
}
