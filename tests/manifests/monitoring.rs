//! Alert rules and dashboard: promtool accepts the rules, and each alert fires when it should. This needs no cluster.
//!
//! A test of the module `metrics` checks that they use only exported metrics.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::rendering::{path, run};

const RULES: &str = "monitoring/rules.yaml";

fn alerts() -> BTreeSet<String> {
    let rules: Value = serde_saphyr::from_str(&fs::read_to_string(path(RULES)).unwrap()).unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    rules
        .iter()
        .map(|rule| rule["alert"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn promtool_accepts_the_rules() {
    run(
        "promtool",
        ["check", "rules", "--lint-fatal", "--lint=all", &path(RULES)],
    )
    .ok("promtool check rules");
}

#[test]
fn each_alert_fires_only_when_it_should() {
    let tests = path("monitoring/rules_test.yaml");
    run("promtool", ["test", "rules", &tests]).ok("promtool test rules");
    let tests: Value = serde_saphyr::from_str(&fs::read_to_string(tests).unwrap()).unwrap();
    let tested = |fires: bool| -> BTreeSet<String> {
        let all = tests["tests"].as_array().unwrap().iter();
        all.flat_map(|test| test["alert_rule_test"].as_array().unwrap())
            .filter(|case| case["exp_alerts"].as_array().unwrap().is_empty() != fires)
            .map(|case| case["alertname"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(tested(true), alerts());
    assert_eq!(tested(false), alerts());
}

#[test]
fn operations_md_explains_each_alert() {
    let operations = fs::read_to_string(path("../docs/operations.md")).unwrap();
    for alert in alerts() {
        let heading = format!("### {alert}\n");
        assert!(operations.contains(&heading), "docs/operations.md lacks {heading}");
    }
}

#[test]
fn each_dashboard_panel_has_a_valid_query() {
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(path("monitoring/dashboard.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 5);
    for panel in panels {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{}", panel["title"]);
        for target in targets {
            // Replace Grafana's variable, which PromQL does not know.
            let expression = target["expr"].as_str().unwrap().replace("$namespace", ".*");
            run("promtool", ["promql", "format", "--experimental", &expression]).ok(&expression);
        }
    }
}
