//! Scenario 1 of the guide: a fourth validator joins three; the three restart one by one, the fourth does not.

use std::collections::BTreeMap;

use test_kit::{FOUR, Options, TestEnv, Validators};

#[tokio::test(flavor = "multi_thread")]
async fn existing_members_restart_one_by_one_and_the_new_one_does_not() {
    let env = TestEnv::start("joins", Options::default()).await;
    let validators = Validators::new(4);
    env.create_settled(&validators, 3).await;
    let before = env.recorder().history().lives();

    env.apply(&validators.manifests([4]));
    env.settled(&FOUR).await;

    let history = env.recorder().history();
    let mut expected: BTreeMap<String, usize> = before.into_iter().map(|(name, lives)| (name, lives + 1)).collect();
    expected.insert("validator-4".to_owned(), 1);
    assert_eq!(
        history.lives(),
        expected,
        "one restart each, none of the new member:\n{history}"
    );
    let down = history.down_at_once(&[]);
    assert!(down.len() <= 1, "down at once: {down:?}\n{history}");
    assert_eq!(env.not_connected(&FOUR), [], "each pair is connected");
}
