//! Paths of the project and of cargo's build results.

use std::path::{Path, PathBuf};

/// The root of the project.
pub fn root() -> &'static Path {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.expect("the kit lies in tests/kit")
}

/// The operator's binary: `STELLAR_OPERATOR_BIN`, or the one that cargo built with the running test. `CARGO_BIN_EXE_…`
/// exists only in the operator's own package.
pub fn operator_binary() -> PathBuf {
    std::env::var_os("STELLAR_OPERATOR_BIN").map_or_else(|| profile().join("stellar-operator"), PathBuf::from)
}

/// A directory in which tests may write.
pub(crate) fn scratch() -> PathBuf {
    let target = profile()
        .parent()
        .expect("a profile lies in the target directory")
        .to_owned();
    target.join("tmp")
}

/// The directory of cargo's profile, such as `target/debug`: the running test is in its `deps`.
fn profile() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let profile = test.ancestors().nth(2);
    profile.expect("the test lies in target/PROFILE/deps").to_owned()
}
