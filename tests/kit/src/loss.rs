//! Deletes pods of six validators at once and counts the operator's restarts that follow.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::json;

use crate::{Options, SIX, TestEnv, Validators, wait_for};

/// The lost pods and the time limits.
#[derive(Debug)]
pub struct Loss {
    /// How many of the six validators lose their pods.
    pub lost: usize,
    /// The delay in seconds with which kubelets read ConfigMaps.
    pub read_late: Option<&'static str>,
    /// Longer than every wait of the operator, the fuse included: the fuse prevents a restart of validators that were
    /// restarted when the network was new.
    pub calm: Duration,
    /// Time limit for six validators to be connected.
    pub patience: Duration,
}

impl Loss {
    /// Deletes the pods and counts the operator's restarts until the group is connected again and at rest.
    pub async fn costs(&self, name: &str, options: Options, allowed: RangeInclusive<usize>) {
        let env = TestEnv::start(name, options).await;
        env.apply(&self.manifests());
        // A pod votes only while it is connected.
        let connected = async || {
            let voting = env.recorder().history().voting();
            let addresses = env.addresses(&SIX)?;
            (env.peers() == addresses && SIX.iter().all(|name| voting.contains(*name))).then_some(())
        };
        wait_for("six validators to be connected", self.patience, connected).await;
        env.all_slots_free_within(self.patience).await;
        // Wait until the restarts for the first lists are done, so that only those for the loss count.
        tokio::time::sleep(self.calm).await;
        env.all_slots_free_within(self.patience).await;
        // Count by the operator's log: Kubernetes itself may replace a pod more than once after such a loss.
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
        assert_eq!(history.lives(), lives, "there was no restart at rest:\n{history}");
        assert!(connected().await.is_some(), "the group stays connected");
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
