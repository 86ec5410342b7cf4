//! `stellar-operator peers` shows the links between validators and the pending restarts, and changes nothing.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use test_kit::{Fate, Options, Proxy, SOON, THREE, TestEnv, Validators, wait_for};

/// Runs the command through a proxy that counts the write requests.
struct Viewer {
    kubeconfig: PathBuf,
    writes: Arc<AtomicUsize>,
    _proxy: Proxy,
}

impl Viewer {
    async fn of(env: &TestEnv) -> Self {
        let proxy = Proxy::start(env.cluster()).await;
        let writes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&writes);
        proxy.judge(move |call| {
            if call.method != axum::http::Method::GET {
                counted.fetch_add(1, Ordering::Relaxed);
            }
            Fate::Pass
        });
        Self {
            kubeconfig: env.kubeconfig_through(&proxy),
            writes,
            _proxy: proxy,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(test_kit::operator_binary());
        command.arg("peers").args(arguments);
        // The arguments of the operator that this command accepts.
        let options = Options::default().arguments;
        for option in options.chunks(2).filter(|option| option[0] != "--drain-time") {
            command.args(option);
        }
        command.env("KUBECONFIG", &self.kubeconfig);
        command
    }

    fn peers(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("it runs");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    fn rows(&self) -> Vec<Value> {
        serde_json::from_str(&self.peers(&["-o", "json"])).expect("a JSON list")
    }

    fn row(&self, name: &str) -> Option<Value> {
        self.rows().into_iter().find(|row| row["name"] == name)
    }
}

/// A running command, killed when the value is dropped.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_shows_links_and_pending_restarts_and_changes_nothing() {
    let mut env = TestEnv::start("peers-command", Options::default()).await;
    let validators = Validators::new(4);
    env.create_at_rest(&validators, 3).await;
    let viewer = Viewer::of(&env).await;

    let rows = viewer.rows();
    assert_eq!(rows.len(), 3, "{rows:?}");
    for (row, name) in rows.iter().zip(THREE) {
        let address = format!("{}:11625", env.pod_ip(name).expect("an address"));
        assert_eq!(
            (
                &row["name"],
                &row["ready"],
                &row["known"],
                &row["loaded"],
                &row["address"]
            ),
            (&name.into(), &true.into(), &2.into(), &2.into(), &address.into()),
        );
    }
    let table = viewer.peers(&[]);
    assert!(
        table.starts_with("NAMESPACE") && table.matches("2/2").count() == 3,
        "{table}"
    );
    assert_eq!(viewer.peers(&["--dry-run"]), "nothing to write, and no restart waits\n");

    // The command shows that a paused validator waits, and why.
    env.kubectl(&[
        "annotate",
        "stellarnode/validator-1",
        "stellar.org/pause-restarts=later",
    ])
    .ok("pause");
    env.apply(&validators.manifests(4..=4));
    wait_for(
        "all validators except the paused one to be up to date",
        SOON,
        async || {
            let held = viewer.row("validator-1")?;
            let others = ["validator-2", "validator-3", "validator-4"].map(|name| viewer.row(name));
            let done = |row: &Option<Value>| {
                row.as_ref()
                    .is_some_and(|row| row["loaded"] == 3 && row["status"] == "Loaded")
            };
            (held["pendingRestart"] == "PeersChanged" && others.iter().all(done)).then_some(())
        },
    )
    .await;
    let held = viewer.row("validator-1").expect("it is there");
    assert_eq!(held["status"], "RestartPending");
    assert!(
        held["why"]
            .as_str()
            .is_some_and(|why| why.contains("stellar.org/pause-restarts")),
        "{held}"
    );
    let namespace = env.namespace();
    let graph = viewer.peers(&["-o", "dot"]);
    let waits = format!("\"{namespace}/validator-1\" [label=");
    assert!(
        graph
            .lines()
            .any(|line| line.contains(&waits) && line.contains("fillcolor=orange")),
        "{graph}"
    );
    assert!(
        graph.contains(&format!("\"{namespace}/validator-4\" -> \"{namespace}/validator-1\";")),
        "{graph}"
    );
    assert!(
        !graph.contains(&format!("\"{namespace}/validator-1\" -> \"{namespace}/validator-4\"")),
        "{graph}"
    );
    assert!(viewer.peers(&["-o", "wide"]).contains("CONFIGMAP"));
    assert!(viewer.peers(&["-o", "yaml"]).contains("name: validator-4"));

    // No operator runs: the command decides by itself.
    env.all_slots_free().await;
    env.kill_operator();
    env.delete_validating_webhook();
    env.kubectl(&["annotate", "stellarnode/validator-1", "stellar.org/pause-restarts-"])
        .ok("unpause");
    let next = format!("give {}/validator-1 its slot: PeersChanged\n", env.namespace());
    wait_for("what the operator would do next", SOON, async || {
        viewer.peers(&["--dry-run"]).contains(&next).then_some(())
    })
    .await;
    assert!(follows(&env, &viewer), "`--watch` continues and shows the changes");
    assert!(as_plugin(&env, &viewer).starts_with("NAMESPACE"));
    assert_eq!(viewer.writes.load(Ordering::Relaxed), 0, "the command wrote nothing");
}

/// Whether `--watch` shows a validator that is being suspended.
fn follows(env: &TestEnv, viewer: &Viewer) -> bool {
    let child = viewer.command(&["--watch"]).stdout(Stdio::piped()).spawn();
    let mut watching = Watching(child.expect("it runs"));
    let mut lines = BufReader::new(watching.0.stdout.take().expect("its output")).lines();
    let first: Vec<String> = lines.by_ref().take(5).map(|line| line.expect("a line")).collect();
    assert!(
        first[0].starts_with("NAMESPACE") && first[4].contains("validator-4"),
        "{first:?}"
    );
    let patch = r#"{"spec":{"suspended":true}}"#;
    env.kubectl(&["patch", "stellarnode/validator-4", "--type=merge", "-p", patch])
        .ok("suspend");
    lines
        .map(|line| line.expect("a line"))
        .any(|line| line.contains("validator-4") && line.contains("Suspended"))
}

fn as_plugin(env: &TestEnv, viewer: &Viewer) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let plugin = directory.path().join("kubectl-stellar_peers");
    symlink(test_kit::operator_binary(), plugin).expect("a link");
    let path = std::env::var("PATH").expect("a path");
    let output = Command::new("kubectl")
        .args(["stellar-peers", "--namespace", env.namespace()])
        .env("PATH", format!("{}:{path}", directory.path().display()))
        .env("KUBECONFIG", &viewer.kubeconfig)
        .output()
        .expect("kubectl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}
