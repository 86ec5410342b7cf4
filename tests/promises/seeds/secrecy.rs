//! A seed is only in its Secret and in the file that stellar-core reads.

use std::path::{Path, PathBuf};

use test_kit::{Cluster, Options, TWO, TestEnv, Validators};

/// Every kind of object that could contain a seed.
const KINDS: &str = "stellarnodes,statefulsets,pods,configmaps,services,events,leases,controllerrevisions,endpointslices,\
                     poddisruptionbudgets,persistentvolumeclaims";

#[tokio::test(flavor = "multi_thread")]
async fn seed_is_in_no_log_object_argument_or_other_file() {
    let env = TestEnv::start("seeds-stay", Options::default()).await;
    let validators = Validators::new(2);
    env.create_settled(&validators, 2).await;
    let objects = env.kubectl(&["get", KINDS, "-o", "json"]).ok("all objects");
    let log = env.log();
    let pods = Cluster::kubelet_directory().join(env.namespace());
    for (number, name) in (1..).zip(TWO) {
        let seed = validators.seed(number);
        assert!(objects.contains(validators.public_key(number)) && objects.contains(name));
        assert!(!objects.contains(seed), "{name}: in an object");
        assert!(!log.contains(seed), "{name}: in the log");
        let files = files_with(seed.as_bytes(), &pods);
        assert!(!files.is_empty(), "{name}: it was rendered");
        for file in files {
            assert!(
                file.ends_with("volumes/config/stellar-core.cfg"),
                "{name}: in {}",
                file.display()
            );
            assert!(
                file.components()
                    .any(|part| part.as_os_str() == format!("{name}-0").as_str())
            );
        }
    }
}

/// The files below a directory that hold these bytes.
fn files_with(bytes: &[u8], directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let Ok(entry) = entry else { continue };
        let (path, kind) = (entry.path(), entry.file_type().expect("a type"));
        if kind.is_dir() {
            found.extend(files_with(bytes, &path));
        } else if kind.is_file()
            && std::fs::read(&path).is_ok_and(|text| text.windows(bytes.len()).any(|part| part == bytes))
        {
            found.push(path);
        }
    }
    found
}
