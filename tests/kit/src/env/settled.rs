//! Waits until validators are connected and until nothing is left to do.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use stellar_k8s::labels;

use crate::{EIGHT, TestEnv, Validators, wait_for};

/// Time limit for a few validators until none has a cause to restart.
const SETTLE: Duration = Duration::from_secs(120);
/// Time limit for the operator to repair a list.
const REPAIR: Duration = Duration::from_secs(60);

impl TestEnv {
    /// Creates the first `count` validators and waits until they have settled.
    pub async fn create_settled(&self, validators: &Validators, count: usize) {
        self.apply(&validators.manifests(1..=count));
        self.settled(&EIGHT[..count]).await;
    }

    /// Creates the first `count` validators and waits until they have settled and no slot is in use.
    pub async fn create_at_rest(&self, validators: &Validators, count: usize) {
        self.create_settled(validators, count).await;
        self.all_slots_free().await;
    }

    /// Waits until these validators vote, the list has exactly their current addresses, and each has loaded all
    /// others.
    pub async fn settled(&self, validators: &[&str]) {
        self.settled_within(validators, SETTLE).await;
    }

    /// Does the same as [`Self::settled`] with another time limit.
    pub async fn settled_within(&self, validators: &[&str], patience: Duration) {
        let what = format!("{validators:?} to be connected");
        wait_for(&what, patience, async || self.is_settled(validators).then_some(())).await;
    }

    fn is_settled(&self, validators: &[&str]) -> bool {
        let voting = self.recorder().history().voting();
        if !validators.iter().all(|name| voting.contains(*name)) {
            return false;
        }
        let Some(addresses) = self.addresses(validators) else {
            return false;
        };
        let loaded: Option<Vec<BTreeSet<String>>> = validators.iter().map(|name| self.rendered_peers(name)).collect();
        let Some(loaded) = loaded else {
            return false;
        };
        self.peers() == addresses && loaded.iter().all(|peers| peers.len() + 1 == validators.len())
    }

    /// Waits until a validator has an Event with this reason and these words.
    pub async fn wait_for_event(&self, validator: &str, reason: &str, words: &str) {
        let what = format!("an Event {reason} that says {words:?}");
        wait_for(&what, SETTLE, async || {
            let notes = self.events(validator, reason);
            notes.iter().any(|note| note.contains(words)).then_some(())
        })
        .await;
    }

    /// Waits for a time in which nothing may happen, so there is no condition to wait for. Afterwards the operator must
    /// still repair a changed list, which proves that it could have acted.
    pub async fn stays_quiet(&self, span: Duration) {
        tokio::time::sleep(span).await;
        let wrong = r#"{"data":{"KNOWN_PEERS":"wrong"}}"#;
        self.kubectl(&["patch", "configmap/stellar-peers", "--type=merge", "-p", wrong])
            .ok("a wrong list");
        wait_for("the list to be repaired", REPAIR, async || {
            let list = self.get("configmap/stellar-peers")?;
            (list["data"]["KNOWN_PEERS"] != "wrong").then_some(())
        })
        .await;
    }

    /// Waits until no validator of this namespace holds a slot.
    pub async fn all_slots_free(&self) {
        self.all_slots_free_within(SETTLE).await;
    }

    /// Does the same as [`Self::all_slots_free`] with another time limit.
    pub async fn all_slots_free_within(&self, patience: Duration) {
        wait_for("all slots to be over", patience, async || {
            let leases = self.get("leases")?;
            let is_of_a_network = |lease: &&Value| lease["metadata"]["labels"][labels::NETWORK].is_string();
            let over = |lease: &Value| lease["metadata"]["annotations"][labels::SLOTS] == "[]";
            let mut of_networks = leases["items"].as_array()?.iter().filter(is_of_a_network);
            of_networks.all(over).then_some(())
        })
        .await;
    }
}
