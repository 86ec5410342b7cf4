//! A StatefulSet with `updateStrategy: OnDelete` or a partition waits for a person, and the status says so. The other
//! validators get their slots.

use serde_json::json;
use test_kit::{FOUR, SOON, TWO, TestEnv, Validators, wait_for};

use super::actions::{HeldPod, set_strategy};
use super::{
    all_have_new_version, ask_for_new_version, assert_one_at_a_time, four_linked, has_new_version, holder, unlinked,
    wait_for_condition, with_more,
};

#[tokio::test(flavor = "multi_thread")]
async fn others_get_slots_and_the_held_back_validator_follows_once_allowed() {
    let env = TestEnv::start("left-to-person", unlinked()).await;
    let downs = four_linked(&env, &Validators::new(4)).await;
    set_strategy(&env, "validator-1", &json!({ "type": "OnDelete" }));
    set_strategy(
        &env,
        "validator-2",
        &json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": 1 } }),
    );

    ask_for_new_version(&env, &FOUR);
    all_have_new_version(&env, &["validator-3", "validator-4"]).await;
    for name in TWO {
        wait_for_condition(&env, name, "UpdatePending", "WaitsForPerson", "updateStrategy").await;
    }
    let history = env.recorder().history();
    let expected = with_more(&downs, &["validator-3", "validator-4"], 1);
    assert_eq!(history.downs(), expected, "{history}");

    for name in TWO {
        set_strategy(&env, name, &json!({ "type": "RollingUpdate" }));
    }
    all_have_new_version(&env, &FOUR).await;
    let history = env.recorder().history();
    assert_eq!(history.downs(), with_more(&downs, &FOUR, 1), "{history}");
    assert_one_at_a_time(&env, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_set_while_its_pod_is_being_replaced_ends_the_slot() {
    // The deadline is not shortened here: the partition has to end the slot.
    let env = TestEnv::start("partition-in-slot", unlinked()).await;
    four_linked(&env, &Validators::new(4)).await;
    let held = HeldPod::of(&env, "validator-1");
    ask_for_new_version(&env, &FOUR);
    wait_for("the pod to be terminating", SOON, async || {
        let pod = env.get("pod/validator-1-0")?;
        let going = holder(&env).as_deref() == Some("validator-1") && pod["metadata"]["deletionTimestamp"].is_string();
        going.then_some(())
    })
    .await;
    set_strategy(
        &env,
        "validator-1",
        &json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": 1 } }),
    );
    // Kubernetes recreates the pod from the old template.
    drop(held);
    all_have_new_version(&env, &FOUR[1..]).await;
    assert!(!has_new_version(&env, "validator-1"));
    wait_for_condition(&env, "validator-1", "UpdatePending", "WaitsForPerson", "updateStrategy").await;
    set_strategy(&env, "validator-1", &json!({ "type": "RollingUpdate" }));
    all_have_new_version(&env, &FOUR).await;
}
