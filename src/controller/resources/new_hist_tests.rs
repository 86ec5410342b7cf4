//! Tests: the script of `new-hist`, run in a shell with a fake stellar-core.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::quoted;
use crate::controller::resources::{BuildSettings, build};
use crate::core_config::pod_paths;
use crate::crd::StellarNode;
use crate::labels;

/// Records its arguments. With `$EXIT` 0 it initialises the archive on the volume; otherwise it prints `$SAYS`.
const STELLAR_CORE: &str = "#!/bin/sh\n\
    echo \"$*\" >> calls\n\
    if test \"$EXIT\" != 0; then echo half > history/.well-known/stellar-history.json; echo \"$SAYS\"; exit \"$EXIT\"; fi\n\
    mkdir -p history/.well-known && echo state > history/.well-known/stellar-history.json\n";

const KEY: &str = "GDKXE2OZMJIPOSLNA6N6F2BVCI3O777I2OOC4BV7VOYUEHYX7RTRYA7Y";

struct Volume {
    directory: TempDir,
    command: Vec<String>,
}

impl Volume {
    fn new(config: &Value) -> Self {
        let directory = TempDir::new().unwrap();
        for part in ["bin", "data", "config", "tmp"] {
            fs::create_dir(directory.path().join(part)).unwrap();
        }
        let program = directory.path().join("bin/stellar-core");
        fs::write(&program, STELLAR_CORE).unwrap();
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
        let words = container(config).unwrap()["command"].clone();
        let words: Vec<String> = serde_json::from_value(words).unwrap();
        // The scratch file first: the directory itself is below /tmp.
        let mounts = ["/tmp/new-hist", pod_paths::DATA_DIR, pod_paths::CONFIG_DIR];
        let moved = |word: String| {
            let of = |mount: &str| format!("{}{mount}", directory.path().display());
            mounts.iter().fold(word, |word, mount| word.replace(mount, &of(mount)))
        };
        let command = words.into_iter().map(moved).collect();
        Self { directory, command }
    }

    /// Runs the container as a kubelet does, and returns whether it succeeded.
    fn start(&self, exit: u8, says: &str) -> bool {
        let path = format!("{}:/usr/bin:/bin", self.directory.path().join("bin").display());
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).current_dir(self.path(""));
        command
            .env_clear()
            .env("PATH", path)
            .env("EXIT", exit.to_string())
            .env("SAYS", says);
        command.output().unwrap().status.success()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join("data").join(file)
    }

    fn state(&self) -> String {
        fs::read_to_string(self.path("history/.well-known/stellar-history.json")).unwrap_or_default()
    }

    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }
}

/// The container in the StatefulSet of a validator on a private network with these settings.
#[allow(clippy::unwrap_in_result, reason = "absent is an answer, a broken fixture is not")]
fn container(config: &Value) -> Option<Value> {
    let mut node = json!({
        "apiVersion": labels::API_VERSION, "kind": labels::KIND,
        "metadata": { "name": "validator-1", "namespace": "stellar", "uid": "1" },
        "spec": {
            "nodeType": "Validator", "network": "Private ; 2026", "version": "26.0.1",
            "validatorConfig": {
                "seedSecretRef": "seed",
                "quorumSet": format!("UNSAFE_QUORUM=true\n[QUORUM_SET]\nVALIDATORS=[\"{KEY}\"]\n"),
            },
        },
    });
    json_patch::merge(&mut node["spec"]["validatorConfig"], config);
    let node: StellarNode = serde_json::from_value(node).unwrap();
    let settings = BuildSettings {
        operator_image: "stellar-operator:1".to_owned(),
        cluster_domain: "cluster.local".to_owned(),
    };
    let set = build(&node, &settings).unwrap().stateful_set;
    let containers = set["spec"]["template"]["spec"]["initContainers"]
        .as_array()
        .unwrap()
        .clone();
    containers
        .into_iter()
        .find(|one| one["name"] == labels::NEW_HIST_CONTAINER)
}

fn elsewhere() -> Value {
    json!({ "coreConfig": "[HISTORY.far]\nget=\"fetch {0} {1}\"\nput=\"store {0} {1}\"\n" })
}

#[test]
fn the_archive_on_the_volume_is_initialised_once() {
    let volume = Volume::new(&json!({}));
    assert!(volume.start(0, "") && volume.start(0, ""));
    let config = volume.directory.path().join("config/stellar-core.cfg");
    assert_eq!(
        volume.calls(),
        [format!("new-hist volume --conf {} --console", config.display())]
    );
    assert_eq!(volume.state(), "state\n");
}

#[test]
fn an_unfinished_archive_is_initialised_again() {
    let volume = Volume::new(&json!({}));
    fs::create_dir_all(volume.path("history/.well-known")).unwrap();
    assert!(!volume.start(1, "") && !volume.start(1, ""), "it says that it failed");
    assert_eq!(volume.state(), "half\n");
    assert!(volume.start(0, "") && volume.start(0, ""));
    assert_eq!((volume.calls().len(), volume.state().as_str()), (3, "state\n"));
}

#[test]
fn an_archive_without_a_state_gets_one_and_keeps_it() {
    let volume = Volume::new(&json!({}));
    assert!(volume.start(0, ""));
    fs::remove_dir_all(volume.path("history")).unwrap();
    assert!(volume.start(0, ""));
    assert_eq!((volume.calls().len(), volume.state().as_str()), (2, "state\n"));

    let adopted = Volume::new(&json!({}));
    fs::create_dir_all(adopted.path("history/.well-known")).unwrap();
    fs::write(adopted.path("history/.well-known/stellar-history.json"), "theirs").unwrap();
    assert!(adopted.start(0, ""));
    assert_eq!((adopted.calls().len(), adopted.state().as_str()), (0, "theirs"));
}

#[test]
fn an_archive_elsewhere_is_initialised_once() {
    let fresh = Volume::new(&elsewhere());
    assert!(fresh.start(0, "") && fresh.start(0, ""));
    assert_eq!(fresh.calls().len(), 1);
    assert!(
        fresh.calls()[0].starts_with("new-hist far --conf "),
        "{:?}",
        fresh.calls()
    );

    let known = Volume::new(&elsewhere());
    fs::create_dir_all(known.path("history/.well-known")).unwrap();
    let says = "[History ERROR] History archive 'far' already initialized!";
    assert!(known.start(1, says) && known.start(1, says));
    assert_eq!(known.calls().len(), 1);

    let refused = Volume::new(&elsewhere());
    fs::create_dir_all(refused.path("history/.well-known")).unwrap();
    assert!(!refused.start(1, "access denied") && refused.start(0, ""));
    assert_eq!(refused.calls().len(), 2);
}

#[test]
fn only_publishers_have_the_container_and_only_commands_get_credentials() {
    let read = json!({ "enableHistoryArchive": true, "historyArchiveUrls": ["https://history.example"] });
    assert_eq!(container(&read), None);
    let commands = json!({ "history": {
        "publish": "Commands", "credentialsSecretRef": "bucket",
        "commands": { "get": "aws s3 cp s3://b/{0} {1}", "put": "aws s3 cp {0} s3://b/{1}" },
    } });
    let found = container(&commands).unwrap();
    assert_eq!(found["envFrom"], json!([{ "secretRef": { "name": "bucket" } }]));
    assert!(
        found["command"][2].as_str().unwrap().contains("new-hist 'commands'"),
        "{found}"
    );
    assert_eq!(container(&json!({})).unwrap()["envFrom"], Value::Null);
}

#[test]
fn a_name_is_one_word_for_the_shell() {
    let word = "it's; touch $HOME";
    let output = Command::new("sh")
        .args(["-c", &format!("printf %s {}", quoted(word))])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
}
