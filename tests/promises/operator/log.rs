//! The log is machine-readable, and an unread log does not block the operator.

use serde_json::Value;
use test_kit::{FOUR, Options, TestEnv, Validators};

#[tokio::test(flavor = "multi_thread")]
async fn json_format_writes_one_object_per_line() {
    let env = TestEnv::start("log-json", Options::default().with("--log-format", "json")).await;
    env.create_settled(&Validators::new(2), 2).await;

    let log = env.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        for field in ["timestamp", "level", "target", "message"] {
            assert!(line[field].is_string(), "{field} of {line}");
        }
    }
    let has = |level: &str, message: &str| {
        let found = |line: &&Value| line["level"] == level && line["message"] == message;
        lines.iter().find(found).unwrap_or_else(|| panic!("{message}\n{log}"))
    };
    let written = has("INFO", "list of peers written");
    assert_eq!(written["config_map"], format!("{}/stellar-peers", env.namespace()));
    assert_eq!(written["span"]["name"], "discovery");
    has("INFO", "rolling update: its slot begins");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unread_log_does_not_block_the_operator() {
    let options = Options {
        unread_log: true,
        ..Options::default()
    };
    let env = TestEnv::start("log-unread", options).await;
    let validators = Validators::new(4);
    // The operator logs at the most verbose level and fills the pipe long before the test ends.
    env.create_settled(&validators, 3).await;
    env.apply(&validators.manifests([4]));
    env.settled(&FOUR).await;
}
