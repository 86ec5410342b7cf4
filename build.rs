//! Tells a release build which revision it is built from, where that is known: from `STELLAR_OPERATOR_REVISION`, as for
//! an image whose context has no `.git`, else from git, where these files are the root of a checkout: in somebody
//! else's they have none. A debug build has none, so that a commit does not rebuild everything.

use std::process::Command;

/// Given from outside, and handed to the program under the same name.
const REVISION: &str = "STELLAR_OPERATOR_REVISION";

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// Whether the files here are what git has checked out, and not a copy of them somewhere in another checkout.
fn is_checkout() -> bool {
    let root = git(&["rev-parse", "--show-toplevel"]).and_then(|root| std::fs::canonicalize(root).ok());
    let here = std::env::current_dir().and_then(std::fs::canonicalize).ok();
    root.is_some() && root == here
}

fn main() {
    let version = env!("CARGO_PKG_VERSION");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={REVISION}");
    let given = std::env::var(REVISION).ok().filter(|given| !given.is_empty());
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let revision = given.or_else(|| {
        // What changes with each commit: the reflog of HEAD, whatever the branch is called.
        let log = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|_| release && is_checkout())?;
        println!("cargo::rerun-if-changed={log}");
        git(&["rev-parse", "--short=12", "HEAD"])
    });
    let with_revision = match &revision {
        Some(revision) => format!("{version} ({revision})"),
        None => version.to_owned(),
    };
    println!("cargo::rustc-env={REVISION}={}", revision.unwrap_or_default());
    println!("cargo::rustc-env=STELLAR_OPERATOR_VERSION={with_revision}");
}
