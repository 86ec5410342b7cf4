//! The SBOM of the image names each crate of the program and no crate that only tests need, and is reproducible.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::ROOT;

/// A crate and its version.
type Crates = BTreeSet<(String, String)>;

/// Runs `image/sbom` from a directory outside of the project.
fn sbom(file: &Path) -> Vec<u8> {
    let status = Command::new(format!("{ROOT}/image/sbom"))
        .arg(file)
        .current_dir(file.parent().expect("a directory"))
        .status()
        .expect("it runs");
    assert!(status.success());
    std::fs::read(file).expect("it wrote the file")
}

/// The crates of the program with these kinds of dependencies.
fn tree(kinds: &str) -> Crates {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--package",
            "stellar-k8s",
            "--edges",
            kinds,
            "--prefix",
            "none",
        ])
        .args(["--format", "{p}"])
        .current_dir(ROOT)
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((
            words.next()?.to_owned(),
            words.next()?.trim_start_matches('v').to_owned(),
        ))
    });
    lines.filter(|(name, _)| name != env!("CARGO_PKG_NAME")).collect()
}

#[test]
fn sbom_names_each_crate_and_no_test_dependency() {
    let directory = tempfile::tempdir().expect("a directory");
    let text = sbom(&directory.path().join("one.cdx.json"));
    let again = sbom(&directory.path().join("another.cdx.json"));
    assert!(text == again, "a second run gives the same bytes");

    let sbom: Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(sbom["bomFormat"], "CycloneDX");
    let subject = &sbom["metadata"]["component"];
    assert_eq!(subject["name"], "stellar-operator");
    assert_eq!(subject["version"], env!("CARGO_PKG_VERSION"));
    let components = sbom["components"].as_array().expect("components");
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let named: Crates = components
        .iter()
        .map(|component| (word(&component["name"]), word(&component["version"])))
        .collect();
    for component in components {
        let from = word(&component["purl"]);
        assert!(from.starts_with("pkg:cargo/"), "{component}");
        assert_eq!(component["hashes"][0]["alg"], "SHA-256", "{component}");
    }

    let built = tree("normal");
    assert!(built.len() > 100, "{built:?}");
    let missing: Vec<_> = built.difference(&named).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let for_tests: Crates = tree("normal,dev").difference(&built).cloned().collect();
    assert!(for_tests.iter().any(|(name, _)| name == "proptest"), "{for_tests:?}");
    let too_many: Vec<_> = named.intersection(&for_tests).collect();
    assert!(too_many.is_empty(), "only tests need {too_many:?}");
}
