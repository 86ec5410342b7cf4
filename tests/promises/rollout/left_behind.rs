//! If a validator serves but does not vote while the others do, its status names possible causes once the next
//! checkpoint is overdue.

use std::time::Duration;

use test_kit::{Options, TestEnv, Validators, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn status_names_possible_causes_while_the_others_vote() {
    let env = TestEnv::start("stays-behind", Options::default().with("--catch-up", "4s")).await;
    env.create_at_rest(&Validators::new(4), 4).await;

    let patch = |voting_after: &str| {
        let spec = format!(r#"{{"spec":{{"podAnnotations":{{"test.stellar.org/voting-after":{voting_after}}}}}}}"#);
        env.kubectl(&["patch", "stellarnode/validator-4", "--type=merge", "-p", &spec])
            .ok("patch");
    };
    let wait = Duration::from_secs(60);
    patch(r#""never""#);
    let is_said = async |reason: &str| {
        wait_for(reason, wait, async || {
            (env.reason("validator-4", "Voting").as_deref() == Some(reason)).then_some(())
        })
        .await;
    };
    is_said("CatchingUp").await;
    is_said("LeftBehind").await;
    let note = wait_for("an Event", wait, async || env.events("validator-4", "LeftBehind").pop()).await;
    assert!(note.contains("docs/archives.md"), "{note}");
    assert_eq!(env.recorder().history().voting().len(), 3, "three keep voting");

    patch("null");
    is_said("PodReady").await;
}
