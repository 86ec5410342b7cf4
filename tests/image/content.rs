//! What the image holds is enough to run the program as an unprivileged user, and no more is in it.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Output};

use crate::ROOT;

/// Runs the program there as the user that the image names: root may change the root directory, others may in a user
/// namespace of their own.
fn run(root: &Path, arguments: &[&str]) -> Output {
    let is_root = Path::new("/proc/self").metadata().expect("procfs").uid() == 0;
    let mut command = if is_root {
        let mut chroot = Command::new("chroot");
        chroot.arg("--userspec=65532:65532");
        chroot
    } else {
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-user=65532", "--map-group=65532", "--root"]);
        unshare
    };
    let command = command.arg(root).arg("/usr/local/bin/stellar-operator").args(arguments);
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .expect("chroot or unshare is there")
}

#[test]
fn its_content_runs_in_an_empty_root() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().join("root");
    let sbom = directory.path().join("sbom.json");
    std::fs::write(&sbom, "{}").expect("a file");
    let laid_out = Command::new(format!("{ROOT}/image/root"))
        .arg(env!("CARGO_BIN_EXE_stellar-operator"))
        .arg(&root)
        .arg(&sbom)
        .status()
        .expect("it runs");
    assert!(laid_out.success());
    let told = root.join("usr/share/sbom/stellar-operator.cdx.json");
    assert_eq!(std::fs::read_to_string(told).expect("it is there"), "{}");
    for absent in ["bin/sh", "usr/bin", "usr/bin/env"] {
        assert!(!root.join(absent).exists(), "{absent} is not needed");
    }
    let program = root.join("usr/local/bin/stellar-operator");
    let mode = program.metadata().expect("it is there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o555, "everybody may run it and nobody change it");

    let output = run(&root, &["--version"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.contains(env!("CARGO_PKG_VERSION")),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // TLS, arguments and threads: it starts, and says in a sentence that nobody told it where the API server is.
    let output = run(&root, &["run"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("no API server"), "{said}");
    // What the validators' pods run of it.
    let output = run(&root, &["health", "--help"]);
    assert!(output.status.success());
}
