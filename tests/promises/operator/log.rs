//! The log can be read by machines, and whoever does not read it stops nothing.

use serde_json::Value;
use test_kit::{FOUR, Options, TestEnv, Validators};

#[tokio::test(flavor = "multi_thread")]
async fn each_line_is_an_object_where_that_is_asked_for() {
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
async fn a_log_that_nobody_reads_stops_nothing() {
    let options = Options {
        unread_log: true,
        ..Options::default()
    };
    let env = TestEnv::start("log-unread", options).await;
    let validators = Validators::new(4);
    // Everything is logged, which is more than a pipe holds, in less time than this takes.
    env.create_settled(&validators, 3).await;
    env.apply(&validators.manifests([4]));
    env.settled(&FOUR).await;
}
