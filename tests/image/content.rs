//! The image has exactly what the program needs to run as an unprivileged user.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Output};

use crate::ROOT;

/// Runs the program in `root` as the user of the image. Root can change the root directory; other users can in their
/// own user namespace.
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
fn program_runs_in_an_empty_root() {
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
    let stored = root.join("usr/share/sbom/stellar-operator.cdx.json");
    assert_eq!(std::fs::read_to_string(stored).expect("it is there"), "{}");
    for absent in ["bin/sh", "usr/bin", "usr/bin/env"] {
        assert!(!root.join(absent).exists(), "{absent} is not needed");
    }
    let program = root.join("usr/local/bin/stellar-operator");
    let mode = program.metadata().expect("it is there").permissions().mode();
    assert_eq!(mode & 0o7777, 0o555, "all may run it and none may change it");

    let output = run(&root, &["--version"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.contains(env!("CARGO_PKG_VERSION")),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // The program starts, with arguments, threads and TLS, and reports in one sentence that it knows no API server.
    let output = run(&root, &["run"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("no API server"), "{said}");
    // The command of the validators' pods.
    let output = run(&root, &["health", "--help"]);
    assert!(output.status.success());
}
