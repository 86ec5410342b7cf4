//! The init container `new-hist`, which initialises the archives that a validator publishes to, once each.
//!
//! Until an archive has its first state stellar-core publishes nothing there, and while stellar-core runs it cannot be
//! initialised: the lock on the buckets is taken. So it happens between `new-db` and the start.

use serde_json::{Value, json};

use super::stateful_set::{core_image, core_mounts};
use super::{Subject, container_security};
use crate::core_config::{self, VOLUME_ARCHIVE, pod_paths};
use crate::crd::{Publish, ValidatorConfig};
use crate::labels;
use crate::util::digest;

/// Builds the container; `None` where nothing is published.
pub(super) fn build(subject: &Subject<'_>) -> Option<Value> {
    let archives = core_config::published(subject.config, &subject.network());
    if archives.is_empty() {
        return None;
    }
    let on_volume = subject.publishes() == Publish::Volume;
    let mut container = json!({
        "name": labels::NEW_HIST_CONTAINER,
        "image": core_image(subject),
        "command": ["sh", "-c", script(&archives, on_volume)],
        "workingDir": pod_paths::DATA_DIR,
        "volumeMounts": core_mounts(),
        "securityContext": container_security(),
    });
    if let Some(credentials) = credentials(subject.config) {
        container["envFrom"] = credentials;
    }
    // As `new-db`: what stellar-core itself has suffices.
    if let Some(resources) = &subject.spec.resources {
        container["resources"] = json!(resources);
    }
    Some(container)
}

/// The environment of the commands that reach an archive.
pub(super) fn credentials(config: &ValidatorConfig) -> Option<Value> {
    let secret = config.history.as_ref()?.credentials_secret_ref.as_ref()?;
    Some(json!([{ "secretRef": { "name": secret } }]))
}

/// What the container runs, in the shell of stellar-core's image.
fn script(archives: &[String], on_volume: bool) -> String {
    let steps = archives.iter().map(|name| match on_volume && name == VOLUME_ARCHIVE {
        true => for_volume(),
        false => for_another(name),
    });
    steps.collect::<Vec<_>>().join("\n")
}

/// The archive on the volume shows itself whether it was initialised. One that was begun, or lost its state, is
/// initialised again; its other files stay.
fn for_volume() -> String {
    format!(
        "mkdir -p {dir} || exit\n\
         if test -e {begun} || test ! -s {state}; then\n\
         touch {begun} && rm -f {state} && stellar-core new-hist {VOLUME_ARCHIVE} --conf {config} --console || exit\n\
         fi\n\
         rm -f {begun} || exit",
        dir = pod_paths::HISTORY_DIR,
        begun = pod_paths::NEW_HIST_BEGUN,
        state = pod_paths::HISTORY_STATE,
        config = pod_paths::CONFIG_FILE,
    )
}

/// An archive elsewhere is asked once. stellar-core refuses one that has a state (`initializeHistoryArchive`): then
/// somebody initialised it before.
fn for_another(name: &str) -> String {
    format!(
        "if test ! -e {made}; then\n\
         stellar-core new-hist {name} --conf {config} --console >/tmp/new-hist 2>&1\n\
         code=$?\n\
         cat /tmp/new-hist\n\
         test $code = 0 || grep -q 'already initialized' /tmp/new-hist || exit $code\n\
         touch {made} || exit\n\
         fi",
        made = format_args!(
            "{}/.history-created-{}",
            pod_paths::DATA_DIR,
            digest::short_hex(name.as_bytes(), 10)
        ),
        name = quoted(name),
        config = pod_paths::CONFIG_FILE,
    )
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
#[path = "new_hist_tests.rs"]
mod tests;
