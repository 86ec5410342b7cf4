//! The init container `new-hist`, which initialises the archives that a validator publishes to, once each.
//!
//! stellar-core publishes nothing to an archive without a first state, and a running stellar-core locks the buckets,
//! which blocks `new-hist`. So the container runs between `new-db` and stellar-core.

use serde_json::{Value, json};

use super::Subject;
use super::stateful_set::core_container;
use crate::core_config::{self, VOLUME_ARCHIVE, pod_paths};
use crate::crd::{Publish, ValidatorConfig};
use crate::labels;
use crate::util::digest;

/// Builds the container; `None` for a validator that publishes no archive.
pub(super) fn build(subject: &Subject<'_>) -> Option<Value> {
    let archives = core_config::published(subject.config, &subject.network());
    if archives.is_empty() {
        return None;
    }
    let on_volume = subject.publishes() == Publish::Volume;
    let mut container = core_container(subject, labels::NEW_HIST_CONTAINER);
    container["command"] = json!(["sh", "-c", script(&archives, on_volume)]);
    if let Some(credentials) = credentials(subject.config) {
        container["envFrom"] = credentials;
    }
    Some(container)
}

/// The environment for the commands that access an archive.
pub(super) fn credentials(config: &ValidatorConfig) -> Option<Value> {
    let secret = config.history.as_ref()?.credentials_secret_ref.as_ref()?;
    Some(json!([{ "secretRef": { "name": secret } }]))
}

/// The container's script, for the shell of stellar-core's image.
fn script(archives: &[String], on_volume: bool) -> String {
    let steps = archives.iter().map(|name| match on_volume && name == VOLUME_ARCHIVE {
        true => script_for_volume(),
        false => script_for_other(name),
    });
    steps.collect::<Vec<_>>().join("\n")
}

/// The files of the archive on the volume show whether it was initialised. The script initialises an unfinished
/// archive, or one without its state, again; its other files stay.
fn script_for_volume() -> String {
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

/// An archive elsewhere is initialised once. stellar-core refuses an archive with a state (`initializeHistoryArchive`):
/// that one was initialised before.
fn script_for_other(name: &str) -> String {
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

/// Quotes a word for the shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
#[path = "new_hist_tests.rs"]
mod tests;
