//! `/metrics` counts joins, restarts by cause, admission reviews, and calls to the API server.

use std::io::Write as _;
use std::process::{Command, Stdio};

use test_kit::{FOUR, Operator, Options, SOON, TestEnv, Validators, wait_for};

/// The samples that a running operator exports.
struct Samples(Vec<(String, f64)>);

impl Samples {
    async fn of(operator: &Operator) -> (Self, String) {
        let answer = operator.metrics().await;
        let (_, text) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("name and value");
            (name.to_owned(), value.parse().expect("a number"))
        });
        (Self(samples.collect()), text.to_owned())
    }

    /// The sum of the samples of this name that have all these labels; `None` if there is none.
    fn sum(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let prefix = format!("stellar_operator_{name}");
        let has = |sample: &str| {
            let (found, rest) = sample.split_once('{').unwrap_or((sample, ""));
            found == prefix && labels.iter().all(|label| rest.contains(label))
        };
        let values: Vec<f64> = self
            .0
            .iter()
            .filter(|(sample, _)| has(sample))
            .map(|(_, value)| *value)
            .collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_joins_restarts_and_calls() {
    let env = TestEnv::installed("metrics").await;
    let operator = env.ready_replica(&Options::default()).await;
    let validators = Validators::new(4);
    env.create_at_rest(&validators, 3).await;
    let (before, _) = Samples::of(&operator).await;
    let restarts = |samples: &Samples| {
        samples
            .sum("restarts_total", &[r#"cause="PeersChanged""#])
            .unwrap_or_default()
    };

    env.apply(&validators.manifests([4]));
    env.settled(&FOUR).await;
    env.all_slots_free().await;
    let denied = env.kubectl(&[
        "patch",
        "stellarnode/validator-4",
        "--type=merge",
        "-p",
        r#"{"spec":{"validatorConfig":{"peerPort":11626}}}"#,
    ]);
    assert!(!denied.success, "{denied:?}");

    let group = format!(r#"namespace="{}",configmap="stellar-peers""#, env.namespace());
    let group = group.as_str();
    let seen = wait_for("the metrics to settle", SOON, async || {
        let (samples, text) = Samples::of(&operator).await;
        let done = samples.sum("turns", &[]) == Some(0.0) && samples.sum("voting_members", &[group]) == Some(4.0);
        done.then_some((samples, text))
    });
    let (samples, text) = seen.await;
    assert_eq!(restarts(&samples) - restarts(&before), 3.0, "{text}");
    for (name, labels, value) in [
        ("members", group, 4.0),
        ("peers", group, 4.0),
        ("group_connected", group, 1.0),
        ("rollout_stalled", group, 0.0),
        ("leader", "", 1.0),
        ("build_info", "", 1.0),
        ("admission_reviews_total", r#"path="validate",outcome="denied""#, 1.0),
    ] {
        assert_eq!(samples.sum(name, &[labels]), Some(value), "{name} {labels}\n{text}");
    }
    assert_eq!(samples.sum("pending_restarts", &[group]), None, "{text}");
    for (name, labels) in [
        ("list_writes_total", r#"result="written""#),
        ("admission_reviews_total", r#"path="mutate",outcome="allowed""#),
        ("admission_review_duration_seconds_count", r#"path="validate""#),
        ("discovery_duration_seconds_count", ""),
        ("api_calls_total", r#"verb="watch",resource="stellarnodes""#),
        (
            "api_calls_total",
            r#"verb="patch",resource="statefulsets",outcome="ok""#,
        ),
    ] {
        assert!(samples.sum(name, &[labels]) > Some(0.0), "{name} {labels}\n{text}");
    }
    #[allow(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
    let now = stellar_k8s::util::clock::now().as_second() as f64;
    for certificate in ["leaf", "ca"] {
        let label = format!(r#"certificate="{certificate}""#);
        let expiry = samples.sum("certificate_expiry_timestamp_seconds", &[&label]);
        assert!(expiry > Some(now), "{certificate}: {expiry:?}");
    }
    passes_promtool(&text);

    // The metrics of a deleted group disappear.
    env.kubectl(&["delete", "stellarnodes", "--all"]).ok("delete");
    wait_for("the group's metrics to disappear", SOON, async || {
        let (samples, _) = Samples::of(&operator).await;
        samples.sum("members", &[group]).is_none().then_some(())
    })
    .await;
}

/// Runs `promtool check metrics`, which checks names, units and help texts.
fn passes_promtool(text: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool; run this with: make cluster-tests");
    let mut stdin = promtool.stdin.take().expect("its input");
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    let output = promtool.wait_with_output().expect("it ends");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}\n{text}",
        String::from_utf8_lossy(&output.stderr)
    );
}
