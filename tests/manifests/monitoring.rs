//! Alert rules and dashboard, as far as no cluster is needed: promtool takes the rules, and each fires when it should.
//!
//! That they name only what is exported is a test of `metrics`.

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
fn promtool_takes_the_rules() {
    run(
        "promtool",
        ["check", "rules", "--lint-fatal", "--lint=all", &path(RULES)],
    )
    .ok("promtool check rules");
}

#[test]
fn each_alert_fires_when_it_should_and_not_at_rest() {
    let tests = path("monitoring/rules_test.yaml");
    run("promtool", ["test", "rules", &tests]).ok("promtool test rules");
    let tests: Value = serde_saphyr::from_str(&fs::read_to_string(tests).unwrap()).unwrap();
    let asked = |fires: bool| -> BTreeSet<String> {
        let all = tests["tests"].as_array().unwrap().iter();
        all.flat_map(|test| test["alert_rule_test"].as_array().unwrap())
            .filter(|case| case["exp_alerts"].as_array().unwrap().is_empty() != fires)
            .map(|case| case["alertname"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(asked(true), alerts());
    assert_eq!(asked(false), alerts());
}

#[test]
fn each_alert_is_explained() {
    let operations = fs::read_to_string(path("../docs/operations.md")).unwrap();
    for alert in alerts() {
        let heading = format!("### {alert}\n");
        assert!(operations.contains(&heading), "docs/operations.md lacks {heading}");
    }
}

#[test]
fn each_panel_of_the_dashboard_asks_for_something() {
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(path("monitoring/dashboard.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 5);
    for panel in panels {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{}", panel["title"]);
        for target in targets {
            // Grafana's variables are no PromQL.
            let expression = target["expr"].as_str().unwrap().replace("$namespace", ".*");
            run("promtool", ["promql", "format", "--experimental", &expression]).ok(&expression);
        }
    }
}
