//! Paths inside a validator's pod, and the arguments of `render-config` there.
//!
//! The controller uses these paths for mounts and for the arguments of `render-config`. `render-config` itself uses
//! none of them; it gets every path as an argument.

use std::path::Path;

use super::archives::GroupArchives;
use crate::crd::PeersAs;
use crate::labels;
use crate::peers::NodeId;

/// Mount path of the ConfigMap `{name}-config`.
pub const BASE_DIR: &str = "/etc/stellar/base";
/// The base config: key [`labels::BASE_CONFIG_KEY`] of that ConfigMap.
pub const BASE_FILE: &str = "/etc/stellar/base/stellar-core.base.cfg";
/// The user's own peers: key [`labels::OWN_PEERS_KEY`] of that ConfigMap.
pub const OWN_PEERS_FILE: &str = "/etc/stellar/base/known-peers";
/// Mount path of the known-peers ConfigMap, `optional: true`.
pub const PEERS_DIR: &str = "/etc/stellar/peers";
/// The list: key [`labels::PEERS_JSON`] of that ConfigMap.
pub const PEERS_FILE: &str = "/etc/stellar/peers/peers.json";
/// Mount path of the in-memory volume with the finished config.
pub const CONFIG_DIR: &str = "/config";
/// The finished config, mode 0600.
pub const CONFIG_FILE: &str = "/config/stellar-core.cfg";
/// Mount path of the validator's volume, and stellar-core's working directory.
pub const DATA_DIR: &str = "/data";
/// stellar-core's `DATABASE` on that volume.
pub const DATABASE: &str = "sqlite3:///data/stellar.db";
/// The file of the database.
pub const DATABASE_FILE: &str = "/data/stellar.db";
/// stellar-core's `BUCKET_DIR_PATH` on that volume.
pub const BUCKET_DIR: &str = "/data/buckets";
/// File that `new-db` writes after it has created the database.
pub const NEW_DB_MARKER: &str = "/data/.database-created";
/// File that `new-db` writes before it starts: a database without the other marker may be incomplete.
pub const NEW_DB_BEGUN: &str = "/data/.database-begun";
/// The archive on that volume.
pub const HISTORY_DIR: &str = "/data/history";
/// The same directory, relative to the volume.
pub const HISTORY_SUBDIR: &str = "history";
/// File of an initialised archive (stellar-core `HistoryArchiveState::baseName`).
pub const HISTORY_STATE: &str = "/data/history/.well-known/stellar-history.json";
/// File that `new-hist` writes before it starts: an archive without a state file may be incomplete.
pub const NEW_HIST_BEGUN: &str = "/data/.history-begun";
/// Path on the `health` sidecar that returns 200 while the validator votes.
pub const VOTING_PATH: &str = "/voting";
/// Default path of a container's termination message.
pub const REPORT_FILE: &str = "/dev/termination-log";
/// Directories that are mounted in the container that reads the seed's file.
const MOUNTED: [&str; 3] = [BASE_DIR, PEERS_DIR, CONFIG_DIR];
/// Environment variable of `render-config` with the seed, from the pod's own Secret reference.
pub const SEED_ENV: &str = "STELLAR_CORE_SEED";
/// Environment variable of `render-config` with stellar-core's `DATABASE`, if external.
pub const DATABASE_ENV: &str = "STELLAR_CORE_DATABASE";
/// Flag of `render-config` with the path of the seed's file.
pub const SEED_FILE_FLAG: &str = "--seed-file";
/// Environment variable of `render-config` with the pod's IP (`status.podIP`), to keep the validator out of its own
/// list of peers.
pub const POD_IP_ENV: &str = "POD_IP";

/// Environment variable of `render-config` with the pod's name (`metadata.name`): only the first pod of a StatefulSet
/// starts.
pub const POD_NAME_ENV: &str = "POD_NAME";

/// The directory of the seed's file, the mount path of its volume. Fails if no volume can be mounted there; the message
/// says how to fix it.
pub fn seed_dir(file: &str) -> Result<&str, String> {
    let dir = file.rsplit_once('/').map_or("", |(dir, _)| dir);
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    let whole = file.strip_prefix('/').is_some_and(|path| path.split('/').all(plain));
    if !whole || dir.is_empty() || file.contains(':') {
        return Err(format!(
            "{file:?} is not the path of a file in a directory of its own: write one without :, . and .., for example \
             /mnt/secrets/seed"
        ));
    }
    let within = |outer: &str, inner: &str| Path::new(inner).starts_with(outer);
    match MOUNTED.iter().find(|other| within(other, dir) || within(dir, other)) {
        Some(other) => Err(format!(
            "{dir} cannot hold it, for the operator mounts {other}: write another path, for example /mnt/secrets/seed"
        )),
        None => Ok(dir),
    }
}

/// The arguments of `render-config` in a pod of this validator.
///
/// `seed_file` is the path of the seed, if it is not in [`SEED_ENV`] (`keySource: KMS`); `version` is that of its
/// stellar-core. With `group`, the config contains the archives of its group, including its own.
pub fn render_config_args(
    node: &NodeId,
    seed_file: Option<&str>,
    peers_as: PeersAs,
    version: &str,
    group: Option<GroupArchives<'_>>,
) -> Vec<String> {
    let node = node.to_string();
    let mut args = vec!["render-config"];
    args.extend(["--node", &node]);
    args.extend(["--base", BASE_FILE]);
    args.extend(["--own-peers", OWN_PEERS_FILE]);
    args.extend(["--peers", PEERS_FILE]);
    if let Some(file) = seed_file {
        args.extend([SEED_FILE_FLAG, file]);
    }
    // The default is omitted: an extra argument would change the pods that were started without it.
    if peers_as == PeersAs::Preferred {
        args.extend(["--peers-as", "Preferred"]);
    }
    args.extend(["--core-version", version]);
    if let Some(GroupArchives { dir, cluster_domain }) = group {
        args.extend(["--history-dir", dir, "--cluster-domain", cluster_domain]);
    }
    args.extend(["--out", CONFIG_FILE]);
    args.extend(["--report", REPORT_FILE]);
    args.into_iter().map(str::to_owned).collect()
}

/// The arguments of the `health` sidecar. `alone`: the validator is its own quorum.
pub fn health_args(alone: bool) -> Vec<String> {
    let mut args = vec![
        "health".to_owned(),
        "--listen".to_owned(),
        format!("0.0.0.0:{}", labels::HEALTH_PORT),
        "--info-url".to_owned(),
        format!("http://127.0.0.1:{}/info", labels::HTTP_PORT),
    ];
    if alone {
        args.push("--alone".to_owned());
    }
    args
}

/// The arguments of the `history` sidecar.
pub fn history_args() -> Vec<String> {
    [
        "history",
        "--listen",
        &format!("0.0.0.0:{}", labels::HISTORY_PORT),
        "--dir",
        HISTORY_DIR,
    ]
    .map(str::to_owned)
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core_config::archives::IN_POD;

    #[test]
    fn the_files_are_the_keys_of_the_config_maps() {
        for (file, dir, key) in [
            (BASE_FILE, BASE_DIR, labels::BASE_CONFIG_KEY),
            (OWN_PEERS_FILE, BASE_DIR, labels::OWN_PEERS_KEY),
            (PEERS_FILE, PEERS_DIR, labels::PEERS_JSON),
        ] {
            assert_eq!(file, format!("{dir}/{key}"));
        }
        assert_eq!(SEED_ENV, labels::SEED_KEY);
        assert!(CONFIG_FILE.starts_with(CONFIG_DIR));
        assert_eq!(DATABASE, format!("sqlite3://{DATABASE_FILE}"));
        assert!(HISTORY_STATE.starts_with(HISTORY_DIR));
        assert_eq!(HISTORY_DIR, format!("{DATA_DIR}/{HISTORY_SUBDIR}"));
        for file in [
            BUCKET_DIR,
            DATABASE_FILE,
            NEW_DB_MARKER,
            NEW_DB_BEGUN,
            HISTORY_DIR,
            NEW_HIST_BEGUN,
        ] {
            assert!(file.starts_with(DATA_DIR), "{file}");
        }
    }

    #[test]
    fn the_seed_has_a_directory_of_its_own() {
        assert_eq!(seed_dir("/mnt/secrets/seed"), Ok("/mnt/secrets"));
        assert_eq!(seed_dir("/etc/stellar-seed/seed"), Ok("/etc/stellar-seed"));
        for (file, words) in [
            ("seed", "path of a file"),
            ("/seed", "path of a file"),
            ("/mnt/secrets/", "path of a file"),
            ("/mnt/../config/seed", "path of a file"),
            ("/mnt//seed", "path of a file"),
            ("/mnt:ro/seed", "path of a file"),
            ("/config/seed", "mounts /config"),
            ("/config/more/seed", "mounts /config"),
            ("/etc/stellar/seed", "mounts /etc/stellar/base"),
            ("/etc/seed", "mounts /etc/stellar/base"),
        ] {
            let problem = seed_dir(file).unwrap_err();
            assert!(problem.contains(words), "{file}: {problem}");
        }
    }

    #[test]
    fn the_program_understands_the_arguments_that_the_pod_gives_it() {
        use clap::Parser as _;
        let node = NodeId::new("stellar", "validator-1");
        for args in [
            render_config_args(&node, None, PeersAs::Known, "26.0.1", None),
            render_config_args(&node, None, PeersAs::Preferred, "26.0.1", Some(IN_POD)),
            render_config_args(&node, Some("/seed/file"), PeersAs::Known, "26.0.1", None),
            health_args(false),
            health_args(true),
        ] {
            let line = std::iter::once("stellar-operator".to_owned()).chain(args);
            assert!(crate::cli::Cli::try_parse_from(line).is_ok());
        }
    }
}
