//! The init container `new-db`, which creates a validator's database, once.
//!
//! stellar-core's `new-db` starts from genesis: it deletes the content of an existing database, and the buckets. So it
//! runs only where no database was created before. Two markers on the validator's volume show that: one written before
//! it starts, one after it succeeds.

use serde_json::{Value, json};

use super::Subject;
use super::stateful_set::core_container;
use crate::core_config::pod_paths;
use crate::labels;

pub(super) fn build(subject: &Subject<'_>) -> Value {
    let mut container = core_container(subject, labels::NEW_DB_CONTAINER);
    container["command"] = json!(["sh", "-c", script(subject.config.database.is_some())]);
    container
}

/// The container's script, for the shell of stellar-core's image.
///
/// A database without either marker was created by another program, and the script keeps it. A database outside of the
/// volume cannot be inspected; if it was used before, the volume holds stellar-core's buckets and is not empty.
///
/// The script deletes a half-created database: no stellar-core has run with it, and `new-db` fails forever on a broken
/// one (seen with stellar-core 26.1.0).
fn script(elsewhere: bool) -> String {
    let found = if elsewhere {
        format!("ls {} | grep -qvxF lost+found", pod_paths::DATA_DIR)
    } else {
        format!("test -s {}", pod_paths::DATABASE_FILE)
    };
    let half_made = if elsewhere {
        String::new()
    } else {
        // Including SQLite's auxiliary files.
        format!(
            "test -e {} && rm -f {file} {file}-*\n",
            pod_paths::NEW_DB_BEGUN,
            file = pod_paths::DATABASE_FILE
        )
    };
    format!(
        "test -e {made} && exit\n\
         {half_made}\
         if test ! -e {begun} && {found}; then\n\
         echo 'a database is there that this operator did not make: it is kept'\n\
         else\n\
         touch {begun} && stellar-core new-db --conf {config} --console || exit\n\
         fi\n\
         touch {made} && rm -f {begun}",
        made = pod_paths::NEW_DB_MARKER,
        begun = pod_paths::NEW_DB_BEGUN,
        config = pod_paths::CONFIG_FILE,
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use serde_json::{Value, json};

    use crate::controller::resources::{BuildSettings, build};
    use crate::core_config::pod_paths;
    use crate::crd::StellarNode;
    use crate::labels;

    /// Records its calls, exits with `$EXIT`, and creates a database if that is 0.
    const STELLAR_CORE: &str = "#!/bin/sh\n\
        echo \"$*\" >> calls\n\
        grep -qs broken stellar.db && exit 3\n\
        mkdir -p buckets && echo half > stellar.db && test \"$EXIT\" = 0 && echo new > stellar.db\n\
        exit \"$EXIT\"\n";

    /// A validator's volume, and its config.
    struct Volume {
        directory: PathBuf,
        command: Vec<String>,
    }

    impl Volume {
        fn new(database: Option<&Value>) -> Self {
            static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
            let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let directory = std::env::temp_dir().join(format!("new-db-{}-{number}", std::process::id()));
            for part in ["bin", "data", "config"] {
                fs::create_dir_all(directory.join(part)).unwrap();
            }
            let program = directory.join("bin/stellar-core");
            fs::write(&program, STELLAR_CORE).unwrap();
            fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
            let command = command(database).into_iter();
            let command = command.map(|word| moved(&word, &directory)).collect();
            Self { directory, command }
        }

        /// Runs the container as a kubelet does, and returns whether it succeeded.
        fn start(&self, exit: u8) -> bool {
            let path = format!("{}:/usr/bin:/bin", self.directory.join("bin").display());
            let mut command = Command::new(&self.command[0]);
            command
                .args(&self.command[1..])
                .current_dir(self.directory.join("data"));
            command.env_clear().env("PATH", path).env("EXIT", exit.to_string());
            command.output().unwrap().status.success()
        }

        fn path(&self, file: &str) -> PathBuf {
            self.directory.join("data").join(file)
        }

        fn put(&self, file: &str, text: &str) {
            fs::create_dir_all(self.path(file).parent().unwrap()).unwrap();
            fs::write(self.path(file), text).unwrap();
        }

        fn read(&self, file: &str) -> String {
            fs::read_to_string(self.path(file)).unwrap_or_default()
        }

        /// The number of calls of stellar-core.
        fn calls(&self) -> usize {
            self.read("calls").lines().count()
        }
    }

    impl Drop for Volume {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }

    /// The container's command in the StatefulSet that the operator applies.
    fn command(database: Option<&Value>) -> Vec<String> {
        let node: StellarNode = serde_json::from_value(json!({
            "apiVersion": labels::API_VERSION, "kind": labels::KIND,
            "metadata": { "name": "validator-1", "namespace": "stellar", "uid": "1" },
            "spec": {
                "nodeType": "Validator", "network": "testnet", "version": "26.0.1",
                "validatorConfig": { "seedSecretRef": "seed", "database": database },
            },
        }))
        .unwrap();
        let settings = BuildSettings {
            operator_image: "stellar-operator:1".to_owned(),
            cluster_domain: "cluster.local".to_owned(),
        };
        let set = build(&node, &settings).unwrap().stateful_set;
        let containers = set["spec"]["template"]["spec"]["initContainers"].clone();
        let containers: Vec<Value> = serde_json::from_value(containers).unwrap();
        let found = containers
            .into_iter()
            .find(|one| one["name"] == labels::NEW_DB_CONTAINER);
        serde_json::from_value(found.unwrap()["command"].take()).unwrap()
    }

    /// A word of the command with the mount paths moved into this directory.
    fn moved(word: &str, directory: &Path) -> String {
        [pod_paths::DATA_DIR, pod_paths::CONFIG_DIR]
            .iter()
            .fold(word.to_owned(), |word, mount| {
                word.replace(mount, &format!("{}{mount}", directory.display()))
            })
    }

    fn postgres() -> Value {
        json!({ "secretKeyRef": { "name": "db", "key": "url" } })
    }

    #[test]
    fn a_database_is_created_once() {
        for database in [None, Some(&postgres())] {
            let volume = Volume::new(database);
            fs::create_dir(volume.path("lost+found")).unwrap();
            assert!(volume.start(0));
            let config = volume.directory.join("config/stellar-core.cfg");
            assert_eq!(
                volume.read("calls"),
                format!("new-db --conf {} --console\n", config.display())
            );
            volume.put("stellar.db", "in use");
            assert!(volume.start(0));
            assert_eq!((volume.calls(), volume.read("stellar.db").as_str()), (1, "in use"));
        }
    }

    #[test]
    fn a_half_created_database_is_created_again() {
        for database in [None, Some(&postgres())] {
            let volume = Volume::new(database);
            for _ in 0..2 {
                assert!(!volume.start(1), "it says that it failed");
                assert_eq!(volume.read("stellar.db"), "half\n");
            }
            assert!(volume.start(0));
            assert!(volume.start(0));
            assert_eq!((volume.calls(), volume.read("stellar.db").as_str()), (3, "new\n"));
        }
    }

    #[test]
    fn a_broken_database_is_created_again() {
        let volume = Volume::new(None);
        volume.put(".database-begun", "");
        volume.put("stellar.db", "broken");
        volume.put("stellar.db-wal", "broken");
        assert!(volume.start(0));
        assert_eq!(
            (
                volume.read("stellar.db").as_str(),
                volume.read("stellar.db-wal").as_str()
            ),
            ("new\n", "")
        );
    }

    #[test]
    fn a_database_of_another_program_is_kept() {
        for (database, file) in [(None, "stellar.db"), (Some(&postgres()), "buckets/bucket-1.xdr")] {
            let volume = Volume::new(database);
            volume.put(file, "theirs");
            for _ in 0..2 {
                assert!(volume.start(0));
                assert_eq!((volume.calls(), volume.read(file).as_str()), (0, "theirs"));
            }
        }
    }

    #[test]
    fn an_empty_file_is_no_database() {
        let volume = Volume::new(None);
        volume.put("stellar.db", "");
        assert!(volume.start(0));
        assert_eq!(volume.calls(), 1);
    }
}
