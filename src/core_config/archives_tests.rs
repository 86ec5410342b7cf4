//! The archives of a config, and configs that stellar-core refuses because of them.

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use crate::core_config::archives::*;
use crate::core_config::rules_tests::{THREE, domains, flat, keys_in, seed};
use crate::core_config::{ConfigError, Keys, config_of, render};

const PRIVATE: &str = "Private ; 2026";

fn config(more: &Json) -> ValidatorConfig {
    let mut config = json!({ "seedSecretRef": "seed", "quorumSet": flat(4, "") });
    json_patch::merge(&mut config, more);
    serde_json::from_value(config).unwrap()
}

fn in_core(text: &str) -> Json {
    json!({ "coreConfig": text })
}

fn publishes_on(network: &str, more: &Json) -> Publish {
    publishes(&config(more), &Network::parse(network))
}

/// The problems of a validator on that network.
fn refused(network: &str, more: &Json) -> Vec<String> {
    match config_of(&config(more), network, "26.0.1") {
        Ok(_) => Vec::new(),
        Err(ConfigError::Refused(problems)) => problems,
        Err(error) => panic!("{error}"),
    }
}

fn base(network: &str, version: &str, more: &Json) -> Table {
    config_of(&config(more), network, version).unwrap().parse().unwrap()
}

fn archive_names(config: &Table) -> Vec<&String> {
    tables(config).map(|(name, _)| name).collect()
}

#[test]
fn who_names_no_archive_on_a_private_network_publishes_to_its_volume() {
    let urls = json!({ "historyArchiveUrls": ["https://a.example"] });
    let mut on = urls.clone();
    on["enableHistoryArchive"] = json!(true);
    let read = in_core("[HISTORY.x]\nget=\"curl -sf http://a/{0} -o {1}\"");
    let by_validators = json!({ "homeDomain": "x.org", "quorumSet": keys_in(&domains("x.org=HIGH", THREE)) });
    for (network, more, expected) in [
        (PRIVATE, json!({}), Publish::Volume),
        (PRIVATE, urls, Publish::Volume),
        (PRIVATE, on, Publish::None),
        (PRIVATE, read, Publish::None),
        (PRIVATE, by_validators, Publish::None),
        ("testnet", json!({}), Publish::None),
        ("mainnet", json!({}), Publish::None),
        ("futurenet", json!({}), Publish::None),
        (
            "mainnet",
            json!({ "history": { "publish": "Volume" } }),
            Publish::Volume,
        ),
    ] {
        assert_eq!(publishes_on(network, &more), expected, "{network} {more}");
        assert_eq!(refused(network, &more), [""; 0], "{network} {more}");
    }
}

#[test]
fn a_config_without_an_archive_to_read_is_refused() {
    let history = |name: &str, text: &str| in_core(&format!("[HISTORY.{name}]\n{text}"));
    let get = "get=\"curl -sf http://a/{0} -o {1}\"\n";
    let with = |text: &str| history("x", &format!("{get}{text}"));
    for (more, words) in [
        (
            json!({ "history": { "publish": "None" } }),
            "no history archive can be read",
        ),
        (history("x", "put=\"cp {0} /a/{1}\""), "put and no get"),
        (history("x", "mkdir=\"mkdir /a/{0}\""), "neither get nor put"),
        (history("x", ""), "neither get nor put"),
        (history("x", "get=\"\""), "neither get nor put"),
        (with("put=\"cp {0} /a/{2}\""), "HISTORY.x.put: it has {2}"),
        (with("put=\"cp {0} /a/{\""), "a { without }"),
        (with("put=\"cp {0} /a/}\""), "a } without {"),
        (with("put=\"cp {0} {name}\""), "it has {name}"),
        (with("mkdir=\"mkdir /a/{1}\""), "HISTORY.x.mkdir: it has {1}"),
        (history("x", "get=\"curl {2} {1}\""), "it has {2}"),
    ] {
        let problems = refused(PRIVATE, &more);
        assert!(
            problems.iter().any(|problem| problem.contains(words)),
            "{more}: {problems:?}"
        );
    }
    for more in [
        with("put=\"cp {0} /a/{1}\"\nmkdir=\"mkdir -p /a/{0}\""),
        with("put=\"awk '{{print}}' {0} {1}\""),
    ] {
        assert_eq!(refused(PRIVATE, &more), [""; 0], "{more}");
    }
}

#[test]
fn networks_of_sdf_read_its_archives_unless_others_are_named() {
    for network in ["mainnet", "futurenet"] {
        let config = base(network, "26.0.1", &json!({}));
        assert_eq!(archive_names(&config), ["sdf1", "sdf2", "sdf3"], "{network}");
        assert!(!config.contains_key("MAX_SLOTS_TO_REMEMBER") && !config.contains_key("PARALLEL_LEDGER_APPLY"));
    }
    let own = in_core("[HISTORY.x]\nget=\"curl -sf http://a/{0} -o {1}\"");
    assert_eq!(archive_names(&base("mainnet", "26.0.1", &own)), ["x"]);
    // stellar-core does not prefer an archive that is also written to a read-only one.
    let written = in_core("[HISTORY.x]\nget=\"curl -sf http://a/{0} -o {1}\"\nput=\"cp {0} /a/{1}\"");
    assert_eq!(
        archive_names(&base("mainnet", "26.0.1", &written)),
        ["x", "sdf1", "sdf2", "sdf3"]
    );
}

#[test]
fn a_private_network_remembers_many_ledgers_and_applies_them_one_after_the_other() {
    let keys = |version: &str, more: &Json| {
        let config = base(PRIVATE, version, more);
        let names = [
            "MAX_SLOTS_TO_REMEMBER",
            "PARALLEL_LEDGER_APPLY",
            "EXPERIMENTAL_PARALLEL_LEDGER_APPLY",
        ];
        names.map(|name| config.get(name).map(ToString::to_string))
    };
    let text = |text: &str| Some(text.to_owned());
    let none = json!({});
    for version in ["25.1.0", "25.2.0", "26.0.1-3109.e78c97ed0.jammy", "27.1.0"] {
        assert_eq!(keys(version, &none), [text("120"), text("false"), None], "{version}");
    }
    for version in ["22.2.0", "24.1.0", "v25.0.0"] {
        assert_eq!(keys(version, &none), [text("120"), None, text("false")], "{version}");
    }
    for version in ["21.3.1", "22.0.0", "latest"] {
        assert_eq!(keys(version, &none), [text("120"), None, None], "{version}");
    }
    let given = in_core("MAX_SLOTS_TO_REMEMBER=12");
    assert_eq!(keys("26.0.1", &given), [text("12"), text("false"), None]);
}

#[test]
fn what_is_initialised_is_what_is_written() {
    let names = |more: &Json| published(&config(more), &Network::parse(PRIVATE));
    assert_eq!(names(&json!({})), ["volume"]);
    let both = "[HISTORY.a]\nget=\"x {0} {1}\"\nput=\"y {0} {1}\"\n[HISTORY.b]\nget=\"x {0} {1}\"\n";
    assert_eq!(names(&in_core(both)), ["a"]);
    let commands =
        json!({ "history": { "publish": "Commands", "commands": { "get": "x {0} {1}", "put": "y {0} {1}" } } });
    assert_eq!(names(&commands), ["commands"]);
    let archives = base(PRIVATE, "26.0.1", &commands);
    assert_eq!(archives["HISTORY"]["commands"]["put"].as_str(), Some("y {0} {1}"));
}

fn list(members: &[(&str, &str, Option<u16>)]) -> PeerList {
    let records = members.iter().map(|(namespace, name, history)| PeerRecord {
        node: NodeId::new(*namespace, *name),
        port: 11625,
        address: Some("10.0.0.1:11625".to_owned()),
        since: Timestamp::UNIX_EPOCH,
        history: *history,
    });
    PeerList::new(Timestamp::UNIX_EPOCH, records.collect())
}

fn of_group(node: &NodeId, list: Option<&PeerList>, more: &Json) -> Table {
    let mut config = base(PRIVATE, "26.0.1", more);
    let group = GroupArchives {
        dir: "/data/history",
        cluster_domain: "example.org",
    };
    add_of_group(&mut config, group, node, list);
    config
}

#[test]
fn a_config_has_its_own_archive_first_and_those_of_the_members_that_serve_one() {
    let node = NodeId::new("n", "b");
    let list = list(&[
        ("n", "a", Some(11629)),
        ("n", "b", Some(11629)),
        ("n", "c", Some(11700)),
        ("n", "d", None),
        ("o", "a", Some(11629)),
    ]);
    let config = of_group(&node, Some(&list), &json!({}));
    assert_eq!(archive_names(&config), ["volume", "peer-c", "peer-o-a", "peer-a"]);
    let get = |name: &str| config["HISTORY"][name]["get"].as_str().unwrap().to_owned();
    assert_eq!(get("volume"), "cp /data/history/{0} {1}");
    let url = "http://c-0.c-headless.n.svc.example.org.:11700/{0}";
    assert_eq!(
        get("peer-c"),
        format!("curl -sf --connect-timeout 3 --max-time 120 {url} -o {{1}}")
    );
    assert!(config["HISTORY"]["peer-c"].get("put").is_none());
    assert_eq!(archive_names(&of_group(&node, None, &json!({}))), ["volume"]);
}

#[test]
fn nothing_that_is_no_name_becomes_part_of_a_command() {
    let node = NodeId::new("n", "a");
    let list = list(&[
        ("n", "b -o /data/x", Some(11629)),
        ("n x", "c", Some(11629)),
        ("n", "d\"\nNODE_SEED=1", Some(11629)),
        ("n", "e", Some(11629)),
    ]);
    assert_eq!(
        archive_names(&of_group(&node, Some(&list), &json!({}))),
        ["volume", "peer-e"]
    );
}

#[test]
fn a_large_group_costs_each_config_a_few_archives_and_each_archive_some_readers() {
    let names: Vec<String> = (0..100).map(|number| format!("v{number:03}")).collect();
    let members: Vec<_> = names.iter().map(|name| ("n", name.as_str(), Some(11629))).collect();
    let list = list(&members);
    let mut readers = std::collections::BTreeMap::new();
    for name in &names {
        let config = of_group(&NodeId::new("n", name), Some(&list), &json!({}));
        assert_eq!(archive_names(&config).len(), 1 + MOST_MEMBERS);
        for archive in archive_names(&config).into_iter().skip(1) {
            *readers.entry(archive.clone()).or_insert(0) += 1;
        }
    }
    assert!(
        readers.len() == 100 && readers.values().all(|count| *count == MOST_MEMBERS),
        "{readers:?}"
    );
}

#[test]
fn an_archive_of_the_users_own_keeps_its_name() {
    let own = in_core("[HISTORY.peer-b]\nget=\"curl -sf http://mine/{0} -o {1}\"");
    let list = list(&[("n", "b", Some(11629))]);
    let config = of_group(&NodeId::new("n", "a"), Some(&list), &own);
    assert!(config["HISTORY"]["peer-b"]["get"].as_str().unwrap().contains("mine"));
}

#[test]
fn a_pod_that_would_have_no_archive_gets_no_config() {
    let node = NodeId::new("n", "a");
    let config = config_of(&config(&json!({})), PRIVATE, "26.0.1").unwrap();
    let sources = |archives| super::super::render_tests::sources(&config, &node).with(archives);
    let error = render(&sources(None), &seed(9)).unwrap_err().to_string();
    assert!(error.contains(NONE_READABLE), "{error}");
    let written = render(&sources(Some(IN_POD)), &seed(9)).unwrap();
    assert!(written.contains("[HISTORY.volume]"), "{written}");
    assert_eq!(check_keys(&written), [""; 0]);
}

fn check_keys(text: &str) -> Vec<String> {
    super::super::check::check_document(&text.parse().unwrap(), None, Keys::PerhapsMore).into_vec()
}
