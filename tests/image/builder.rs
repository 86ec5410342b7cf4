//! Runs `image/build` with fake builders that record their arguments.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use crate::ROOT;

/// Writes a program called `name` with this script.
fn program(directory: &Path, name: &str, script: &str) {
    let file = directory.join(name);
    std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a program");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("it can be made executable");
}

/// Runs `image/build` with only the builders in the directory.
fn build(builders: &Path) -> Output {
    Command::new(format!("{ROOT}/image/build"))
        .env(
            "PATH",
            format!("{}:{}", builders.display(), programs(builders).display()),
        )
        .env("STELLAR_OPERATOR_REVISION", "abc")
        .output()
        .expect("it runs")
}

/// The programs that the script needs besides a builder, and no other program of this machine.
fn programs(builders: &Path) -> std::path::PathBuf {
    let directory = builders.join("others");
    std::fs::create_dir_all(&directory).expect("a directory");
    for name in ["bash", "env", "dirname", "timeout", "sh", "git", "sed"] {
        let found = std::env::var("PATH").expect("a path");
        let mut found = found.split(':').map(|place| Path::new(place).join(name));
        let found = found
            .find(|file| file.is_file())
            .unwrap_or_else(|| panic!("{name} is in PATH"));
        let _ = std::os::unix::fs::symlink(found, directory.join(name));
    }
    directory
}

#[test]
fn a_client_without_an_engine_does_not_count_as_a_builder() {
    let directory = tempfile::tempdir().expect("a directory");
    program(
        directory.path(),
        "docker",
        "echo 'Cannot connect to the daemon' >&2; exit 1",
    );
    let output = build(directory.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("no builder of images runs here"), "{said}");
}

#[test]
fn an_unreachable_base_image_is_reported_without_failing() {
    let directory = tempfile::tempdir().expect("a directory");
    let script = |pulled: bool| {
        format!(
            "case \"$1\" in info) ;; pull) echo one >&2; echo 'no route to host' >&2; exit 1 ;; image) exit {} ;; run) echo '(abc)' ;; esac",
            i32::from(!pulled)
        )
    };
    program(directory.path(), "docker", &script(false));
    let output = build(directory.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains("docker cannot pull docker.io/library/rust") && said.contains("(no route to host)"),
        "{said}"
    );

    // A base image that was pulled before is enough.
    program(directory.path(), "docker", &script(true));
    let output = build(directory.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("building"), "{said}");
}

#[test]
fn image_is_built_and_run_if_a_builder_exists() {
    let directory = tempfile::tempdir().expect("a directory");
    program(directory.path(), "docker", "exit 1");
    let asked = directory.path().join("asked");
    let script = |says: &str| {
        format!(
            "echo \"$@\" >>'{}'\n[ \"$1\" = run ] && echo '{says}'\nexit 0",
            asked.display()
        )
    };
    program(directory.path(), "podman", &script("stellar-operator 0.1.0 (abc)"));
    let output = build(directory.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let asked_for = std::fs::read_to_string(&asked).expect("it was asked");
    let expected = [
        "info",
        "pull --quiet docker.io/library/rust:1.95-slim-trixie",
        "build --build-arg REVISION=abc --tag stellar-operator:ci .",
        "run --rm --read-only stellar-operator:ci --version",
    ];
    assert_eq!(asked_for.lines().collect::<Vec<_>>(), expected);

    // A built image with the wrong revision fails.
    program(directory.path(), "podman", &script("stellar-operator 0.1.0"));
    let output = build(directory.path());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("revision abc"), "{said}");
}
