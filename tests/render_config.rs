//! `stellar-operator render-config` writes a config that only its owner can read, reports the loaded list, and writes
//! the seed nowhere else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use stellar_k8s::core_config::{Seed, base_config};
use stellar_k8s::peers::{NodeId, PeerList, PeerRecord, Report};
use stellar_strkey::ed25519::{PrivateKey, PublicKey};

/// A directory with the files of a pod.
struct Pod {
    dir: tempfile::TempDir,
}

impl Pod {
    fn new() -> Self {
        let pod = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let members: Vec<String> = (1..=4)
            .map(|i| format!("\"{}\"", PublicKey([i; 32]).to_string().as_str()))
            .collect();
        let spec = serde_json::from_value(serde_json::json!({
            "nodeType": "Validator", "network": "Private ; 2026", "version": "26.0.1",
            "validatorConfig": {
                "seedSecretRef": "seed",
                "quorumSet": format!("[QUORUM_SET]\nVALIDATORS=[{}]", members.join(",")),
            },
        }))
        .unwrap();
        pod.write("base.cfg", &base_config(&spec).unwrap());
        pod.write("own-peers", "core.example\n");
        pod
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stellar-operator"));
        command
            .env_clear()
            .args(["render-config", "--node", "stellar/validator-1"])
            .args(["--history-dir", "/data/history", "--cluster-domain", "cluster.local"]);
        for (option, file) in [
            ("--base", "base.cfg"),
            ("--own-peers", "own-peers"),
            ("--peers", "peers.json"),
            ("--out", "stellar-core.cfg"),
            ("--report", "report"),
        ] {
            command.arg(option).arg(self.path(file));
        }
        command
    }

    fn render(&self) -> Output {
        self.command().env("STELLAR_CORE_SEED", seed()).output().unwrap()
    }

    fn report(&self) -> Option<Report> {
        Report::parse(&self.read("report"))
    }
}

fn node() -> NodeId {
    NodeId::new("stellar", "validator-1")
}

fn seed() -> String {
    PrivateKey([1; 32]).as_unredacted().to_string().as_str().to_owned()
}

fn list() -> PeerList {
    let members = (1..=4).map(|i| PeerRecord {
        node: NodeId::new("stellar", format!("validator-{i}")),
        port: 11625,
        address: Some(format!("10.244.0.{i}:11625")),
        since: "2026-01-01T00:00:00Z".parse().unwrap(),
        history: None,
    });
    PeerList::new("2026-01-02T00:00:00Z".parse().unwrap(), members.collect())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn config_is_private_and_the_seed_is_nowhere_else() {
    let pod = Pod::new();
    pod.write("peers.json", &list().to_json());
    // An older file with a wider mode, and the leftover of an interrupted run.
    pod.write("stellar-core.cfg", "old");
    pod.write("stellar-core.cfg.new", "half");
    let output = pod.render();
    assert!(output.status.success(), "{}", said(&output));
    let config = pod.read("stellar-core.cfg");
    assert!(config.contains(&format!("NODE_SEED=\"{}\"\n", seed())), "{config}");
    assert!(
        config.contains(
            "KNOWN_PEERS=[\"10.244.0.2:11625\",\"10.244.0.3:11625\",\"10.244.0.4:11625\",\"core.example\"]\n"
        ),
        "{config}"
    );
    let mode = fs::metadata(pod.path("stellar-core.cfg")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(pod.report(), Some(Report::of_list(&list(), &node())));
    assert_eq!(
        files(pod.dir.path()),
        ["base.cfg", "own-peers", "peers.json", "report", "stellar-core.cfg"]
    );
    for name in files(pod.dir.path()).iter().filter(|name| *name != "stellar-core.cfg") {
        assert!(!pod.read(name).contains(&seed()), "{name}");
    }
    let said = said(&output);
    assert!(!said.contains(&seed()));
    assert!(said.contains("list of 2026-01-02T00:00:00Z with 4 members"), "{said}");
    assert!(said.contains(Seed::parse(&seed()).unwrap().public_key()), "{said}");
    // A second run writes the same bytes.
    assert!(pod.render().status.success());
    assert_eq!(pod.read("stellar-core.cfg"), config);
}

#[test]
fn a_missing_list_counts_as_empty_and_a_broken_one_is_reported() {
    let pod = Pod::new();
    assert!(pod.render().status.success());
    assert_eq!(pod.report(), Some(Report::of_nothing()));
    assert!(
        pod.read("stellar-core.cfg")
            .contains("KNOWN_PEERS=[\"core.example\"]\n")
    );
    for broken in ["", "{", "[]", &list().to_json().replace("\"format\":1", "\"format\":2")] {
        pod.write("peers.json", broken);
        let output = pod.render();
        assert!(output.status.success(), "{broken}: {}", said(&output));
        assert!(said(&output).contains("warning: "), "{broken}");
        assert_eq!(pod.report(), Some(Report::Unreadable), "{broken}");
        assert!(
            pod.read("stellar-core.cfg")
                .contains("KNOWN_PEERS=[\"core.example\"]\n")
        );
    }
}

#[test]
fn a_bad_list_entry_does_not_affect_the_others() {
    let bad = [
        ("10.244.0.2:11625", "x y\\\"]\\nNODE_SEED=1:11625"),
        ("10.244.0.2:11625", "[fd00::2]:11625"),
        ("10.244.0.2:11625", "\\u001b[31m:11625"),
        ("stellar/validator-2", "validator-2"),
        (
            "\"port\":11625,\"address\":\"10.244.0.2",
            "\"port\":70000,\"address\":\"10.244.0.2",
        ),
    ];
    for (from, to) in bad {
        let pod = Pod::new();
        let text = list().to_json().replacen(from, to, 1);
        assert_ne!(text, list().to_json(), "{to}");
        pod.write("peers.json", &text);
        let output = pod.render();
        assert!(output.status.success(), "{to}: {}", said(&output));
        let said = said(&output);
        assert!(said.contains("is left out") && !said.contains('\u{1b}'), "{to}: {said}");
        let config = pod.read("stellar-core.cfg");
        let good = "KNOWN_PEERS=[\"10.244.0.3:11625\",\"10.244.0.4:11625\",\"core.example\"]\n";
        assert!(config.contains(good), "{to}: {config}");
        let Some(Report::Loaded { version, peers, .. }) = pod.report() else {
            panic!("{to}: {said}")
        };
        assert_eq!(version, Some(list().version), "{to}");
        assert_eq!(peers.map(|peers| peers.len()), Some(2), "{to}");
    }
}

#[test]
fn a_list_of_another_network_is_ignored() {
    let pod = Pod::new();
    let of = |network: &str| PeerList {
        network: Some(network.to_owned()),
        ..list()
    };
    pod.write("peers.json", &of("Private ; 2026").to_json());
    assert!(pod.render().status.success());
    assert_eq!(pod.report(), Some(Report::of_list(&list(), &node())));

    pod.write("peers.json", &of("Test SDF Network ; September 2015").to_json());
    let output = pod.render();
    assert!(output.status.success(), "{}", said(&output));
    let warning = "is the list of testnet and this validator is on \"Private ; 2026\"";
    assert!(said(&output).contains(warning), "{}", said(&output));
    assert_eq!(pod.report(), Some(Report::of_nothing()));
    let config = pod.read("stellar-core.cfg");
    assert!(config.contains("KNOWN_PEERS=[\"core.example\"]\n"), "{config}");
}

#[test]
fn the_seed_may_come_from_a_file() {
    let pod = Pod::new();
    pod.write("seed", &format!("{}\n", seed()));
    let output = pod.command().arg("--seed-file").arg(pod.path("seed")).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(pod.read("stellar-core.cfg").contains(&seed()));
}

#[test]
fn database_of_the_env_is_only_in_the_config() {
    let pod = Pod::new();
    pod.write("peers.json", &list().to_json());
    let database = "postgresql://dbname=core host=db password=hunter2";
    let rendered = |database: &str, peers_as: &str| {
        let mut command = pod.command();
        command
            .env("STELLAR_CORE_SEED", seed())
            .env("STELLAR_CORE_DATABASE", database);
        command.args(["--peers-as", peers_as]).output().unwrap()
    };
    let output = rendered(&format!("{database}\n"), "Preferred");
    assert!(output.status.success(), "{}", said(&output));
    let config = pod.read("stellar-core.cfg");
    assert!(config.contains(&format!("DATABASE=\"{database}\"\n")), "{config}");
    assert!(config.contains("PREFERRED_PEERS=[\"10.244.0.2:11625\"") && !config.contains("KNOWN_PEERS"));
    let mode = fs::metadata(pod.path("stellar-core.cfg")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!said(&output).contains("hunter2") && !pod.read("report").contains("hunter2"));
    for wrong in ["", "hunter2", "postgresql://a\nhunter2"] {
        let output = rendered(wrong, "Known");
        assert_eq!(output.status.code(), Some(1), "{wrong}");
        let said = said(&output);
        assert!(
            said.contains("connection string") && !said.contains("hunter2"),
            "{said}"
        );
        assert_eq!(pod.read("stellar-core.cfg"), config, "{wrong}: the file is unchanged");
    }
    assert!(!rendered(database, "Both").status.success());
}

#[test]
fn an_error_is_one_line_which_is_the_report_and_leaves_no_config() {
    let broken_seed = seed().replace(&seed()[3..6], "777");
    // The change in the pod, the seed in the env, and the error.
    type Case<'a> = (fn(&Pod), Option<&'a str>, &'a str);
    let no_set: fn(&Pod) = |pod| pod.write("base.cfg", "NODE_IS_VALIDATOR=true\n");
    let nothing: fn(&Pod) = |_| ();
    let cases: [Case<'_>; 8] = [
        (nothing, None, "STELLAR_CORE_SEED is not set"),
        (nothing, Some(&broken_seed), "checksum is wrong"),
        (nothing, Some(""), "it is empty"),
        (no_set, Some(&seed()), "neither QUORUM_SET nor VALIDATORS"),
        (|pod| pod.write("base.cfg", "X=["), Some(&seed()), "not TOML: line 1"),
        (
            |pod| fs::remove_file(pod.path("base.cfg")).unwrap(),
            Some(&seed()),
            "cannot be read",
        ),
        (
            |pod| pod.write("own-peers", "a b\n"),
            Some(&seed()),
            "is not an address",
        ),
        (
            |pod| fs::create_dir(pod.path("stellar-core.cfg")).unwrap(),
            Some(&seed()),
            "cannot be written",
        ),
    ];
    for (prepare, seed_in_env, message) in cases {
        let pod = Pod::new();
        prepare(&pod);
        let mut command = pod.command();
        command.envs(seed_in_env.map(|seed| ("STELLAR_CORE_SEED", seed)));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        let said = said(&output);
        assert!(
            said.contains(message) && said.trim_end().lines().count() == 1,
            "{message}: {said}"
        );
        assert!(!said.contains(&seed()) && !said.contains(&broken_seed), "{said}");
        let report = pod.read("report");
        assert!(report.contains(message), "the pod's status says why: {report}");
        assert!(!report.contains(&seed()) && !report.contains(&broken_seed), "{report}");
        assert_eq!(pod.report(), None, "no list was loaded");
        assert!(!pod.path("stellar-core.cfg").is_file(), "{message}");
        assert!(!pod.path("stellar-core.cfg.new").exists(), "{message}");
    }
}

#[test]
fn only_the_first_pod_of_a_stateful_set_starts() {
    for (name, starts) in [
        (None, true),
        (Some("validator-1-0"), true),
        (Some("validator-1-1"), false),
        (Some("validator-1-10"), false),
    ] {
        let pod = Pod::new();
        let mut command = pod.command();
        command.env("STELLAR_CORE_SEED", seed());
        name.map(|name| command.env("POD_NAME", name));
        let output = command.output().unwrap();
        assert_eq!(output.status.success(), starts, "{name:?}: {}", said(&output));
        assert_eq!(pod.path("stellar-core.cfg").exists(), starts, "{name:?}");
        assert_eq!(
            said(&output).contains("scale the StatefulSet to 1 replica"),
            !starts,
            "{}",
            said(&output)
        );
    }
}
