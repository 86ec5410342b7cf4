//! The revision that the program reports: compiles and runs build.rs as cargo does, in directories of the test.

use std::path::Path;
use std::process::Command;

use crate::ROOT;

const VARIABLE: &str = "STELLAR_OPERATOR_REVISION";

fn done(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    for (key, value) in [
        ("user.name", "test"),
        ("user.email", "test@example.org"),
        ("commit.gpgsign", "false"),
    ] {
        command.args(["-c", &format!("{key}={value}")]);
    }
    done(command.arg("-C").arg(directory).args(arguments))
}

struct BuildScript {
    program: tempfile::TempDir,
}

impl BuildScript {
    fn compiled() -> Self {
        let program = tempfile::tempdir().expect("a directory");
        let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
        let mut command = Command::new(compiler);
        command
            .args(["--edition", "2024", "-o"])
            .arg(program.path().join("build"));
        done(
            command
                .arg(format!("{ROOT}/build.rs"))
                .env("CARGO_PKG_VERSION", "1.2.3"),
        );
        Self { program }
    }

    /// The revision and the version of a program built in this directory.
    fn revision(&self, directory: &Path, profile: &str, given: Option<&str>) -> [String; 2] {
        let mut command = Command::new(self.program.path().join("build"));
        command
            .current_dir(directory)
            .env("PROFILE", profile)
            .env_remove(VARIABLE);
        command.env_remove("GIT_DIR");
        if let Some(given) = given {
            command.env(VARIABLE, given);
        }
        let said = done(&mut command);
        [VARIABLE, "STELLAR_OPERATOR_VERSION"].map(|name| {
            let sign = format!("cargo::rustc-env={name}=");
            let line = said.lines().find_map(|line| line.strip_prefix(&sign));
            line.unwrap_or_else(|| panic!("{name}: {said}")).to_owned()
        })
    }
}

#[test]
fn a_release_has_its_revision_if_it_is_known() {
    let script = BuildScript::compiled();
    let checkout = tempfile::tempdir().expect("a directory");
    let root = checkout.path();
    git(root, &["init", "--quiet"]);
    git(root, &["commit", "--quiet", "--allow-empty", "--message", "one"]);
    let revision = git(root, &["rev-parse", "--short=12", "HEAD"]);
    assert_eq!(
        script.revision(root, "release", None),
        [revision.clone(), format!("1.2.3 ({revision})")]
    );
    // The Dockerfile passes the revision, because its context has no .git.
    assert_eq!(script.revision(root, "release", Some("abc")), ["abc", "1.2.3 (abc)"]);
    // A debug build has no revision; otherwise each commit would rebuild everything.
    assert_eq!(script.revision(root, "debug", None), ["", "1.2.3"]);

    // A tarball, even unpacked inside another checkout, has no revision.
    let inside = root.join("vendor/stellar-operator");
    std::fs::create_dir_all(&inside).expect("a directory");
    let elsewhere = tempfile::tempdir().expect("a directory");
    for place in [inside.as_path(), elsewhere.path()] {
        assert_eq!(
            script.revision(place, "release", None),
            ["", "1.2.3"],
            "{}",
            place.display()
        );
        assert_eq!(script.revision(place, "release", Some("abc")), ["abc", "1.2.3 (abc)"]);
    }
}

#[test]
fn program_reports_the_revision_that_it_was_built_with() {
    let said = done(Command::new(env!("CARGO_BIN_EXE_stellar-operator")).arg("--version"));
    let revision = stellar_k8s::REVISION;
    let version = env!("CARGO_PKG_VERSION");
    let expected = match revision {
        "" => format!("stellar-operator {version}"),
        revision => format!("stellar-operator {version} ({revision})"),
    };
    assert_eq!(said, expected);
}
