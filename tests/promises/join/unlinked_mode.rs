//! With `--restart unlinked` a join and a suspension cause no restart, and the group stays connected.

use std::time::Duration;

use test_kit::{FOUR, Options, TestEnv, Validators, wait_for};

const FIVE: [&str; 5] = [
    "validator-1",
    "validator-2",
    "validator-3",
    "validator-4",
    "validator-5",
];
const REMAINING: [&str; 4] = ["validator-1", "validator-3", "validator-4", "validator-5"];
/// Longer than every wait of the operator in this test except the fuse.
const CALM: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn a_join_and_a_suspension_cause_no_restart() {
    let env = TestEnv::start("unlinked", Options::default().with("--restart", "unlinked")).await;
    let validators = Validators::new(5);
    let connected = async |names: &[&str]| {
        wait_for("the group to be connected", Duration::from_secs(120), async || {
            let voting = env.recorder().history().voting();
            let is_listed = Some(env.peers()) == env.addresses(names);
            (is_listed && names.iter().all(|name| voting.contains(*name))).then_some(())
        })
        .await;
        env.all_slots_free().await;
    };
    env.apply(&validators.manifests(1..=4));
    connected(&FOUR).await;
    tokio::time::sleep(CALM).await;
    let before = env.recorder().history().lives();
    // If no pod found the others in the list at its start, it is enough that one restarts and loads their addresses.
    assert!(before.values().sum::<usize>() <= 5, "{before:?}");

    env.apply(&validators.manifests([5]));
    connected(&FIVE).await;
    let suspend = r#"{"spec":{"suspended":true}}"#;
    env.kubectl(&["patch", "stellarnode/validator-2", "--type=merge", "-p", suspend])
        .ok("suspend");
    connected(&REMAINING).await;
    env.stays_quiet(CALM).await;

    let history = env.recorder().history();
    let mut expected = before;
    expected.insert("validator-5".to_owned(), 1);
    assert_eq!(history.lives(), expected, "no validator was restarted:\n{history}");
}
