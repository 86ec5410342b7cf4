//! One test's namespace with its operator.

pub(crate) mod install;
mod observed;
mod options;
mod second_namespace;
mod settled;

pub use observed::reason_of;
pub use options::Options;
pub use second_namespace::SecondNamespace;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use kube::Client;
use serde_json::Value;

use crate::operator::pair::{self, Pair};
use crate::operator::{Operator, Place, free_port, identity, identity_of, log_file};
use crate::paths::scratch;
use crate::{Cluster, Output, Proxy, Recorder, wait_for};

/// How long the operator may take until it is ready.
const START: Duration = Duration::from_secs(60);

/// Where an install is: what a replica has to know.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    cluster: Cluster,
    namespace: String,
    directory: PathBuf,
    pub(crate) webhook_port: u16,
}

impl Site {
    /// Starts a replica that listens on a port of its own.
    pub(crate) fn start(&self, options: &Options, listens_on: u16, api_server: Option<String>) -> Operator {
        Operator::start(&Place {
            cluster: &self.cluster,
            namespace: &self.namespace,
            directory: &self.directory,
            called_at: self.webhook_port,
            listens_on,
            api_server,
            arguments: &options.arguments,
            unread_log: options.unread_log,
        })
    }
}

/// The operator of a test that leaves it alone; dropped, it is gone.
#[derive(Debug)]
pub enum Running {
    /// One replica.
    Alone(Operator),
    /// Two, of which the leader is killed all the time.
    Killed(Pair),
}

/// A namespace of its own with an operator for it. Dropped, it takes all of that away, also when the test fails; then
/// the operator's log is printed.
pub struct TestEnv {
    cluster: Cluster,
    client: Client,
    namespace: String,
    directory: PathBuf,
    webhook_port: u16,
    running: Option<Running>,
    recorder: Recorder,
}

impl fmt::Debug for TestEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestEnv")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl TestEnv {
    /// Installs the manifests in a new namespace called after `name`, and waits until the operator there is ready.
    pub async fn start(name: &str, options: Options) -> Self {
        let mut env = Self::installed(name).await;
        let running = env.run(&options).await;
        env.running = Some(running);
        env
    }

    /// Starts an operator in what was installed, and waits until it is ready.
    pub async fn run(&self, options: &Options) -> Running {
        if pair::is_asked_for() {
            Running::Killed(Pair::start(self.site(), options.clone()).await)
        } else {
            Running::Alone(self.ready_replica(options).await)
        }
    }

    fn site(&self) -> Site {
        Site {
            cluster: self.cluster.clone(),
            namespace: self.namespace.clone(),
            directory: self.directory.clone(),
            webhook_port: self.webhook_port,
        }
    }

    /// Starts an operator of the test's own that the API server calls, and waits until it is ready: for tests that do
    /// something with its process, and so by themselves.
    pub async fn ready_replica(&self, options: &Options) -> Operator {
        let mut operator = self.replica(options, self.webhook_port);
        wait_for("the operator to be ready", START, async || {
            operator.is_ready().await.then_some(())
        })
        .await;
        operator
    }

    /// Installs the manifests in a new namespace called after `name`; no operator runs there yet.
    pub async fn installed(name: &str) -> Self {
        let cluster = Cluster::connect();
        let webhook_port = free_port();
        let namespace = format!("{name}-{}-{webhook_port}", std::process::id());
        let directory = scratch().join(&namespace);
        std::fs::create_dir_all(&directory).expect("a directory of the test's own");
        let client = cluster.client().await;
        let recorder = Recorder::start(client.clone(), &namespace);
        // From here on whatever fails, what was made is removed.
        let env = Self {
            cluster,
            namespace,
            directory,
            webhook_port,
            client,
            running: None,
            recorder,
        };
        install::crd(&env.cluster);
        install::operator(&env.cluster, &env.namespace, webhook_port, &env.directory);
        env
    }

    /// Starts an operator of the test's own, listening on a port of its own.
    pub fn replica(&self, options: &Options, listens_on: u16) -> Operator {
        self.replica_at(options, listens_on, None)
    }

    /// The same, behind a proxy of its own and on the port that the API server calls.
    pub fn replica_behind(&self, options: &Options, proxy: &Proxy) -> Operator {
        self.replica_at(options, self.webhook_port, Some(proxy.url()))
    }

    /// The same, on another port: the API server does not call it.
    pub fn second_behind(&self, options: &Options, proxy: &Proxy) -> Operator {
        self.replica_at(options, free_port(), Some(proxy.url()))
    }

    fn replica_at(&self, options: &Options, listens_on: u16, api_server: Option<String>) -> Operator {
        self.site().start(options, listens_on, api_server)
    }

    /// A kubeconfig of the operator's account that leads through a proxy.
    pub fn kubeconfig_through(&self, proxy: &Proxy) -> PathBuf {
        let file = self.directory.join("kubeconfig-through-proxy");
        let mut identity = identity(&self.cluster, &self.namespace);
        identity["clusters"][0]["cluster"] = serde_json::json!({ "server": proxy.url() });
        std::fs::write(&file, identity.to_string()).expect("a kubeconfig");
        file
    }

    /// Creates a ServiceAccount, and a kubeconfig of it.
    pub fn account(&self, name: &str) -> PathBuf {
        self.kubectl(&["create", "serviceaccount", name]).ok("the account");
        let file = self.directory.join(format!("kubeconfig-of-{name}"));
        let identity = identity_of(name, &self.cluster, &self.namespace);
        std::fs::write(&file, identity.to_string()).expect("a kubeconfig");
        file
    }

    /// Takes the operator away, as a crash does.
    pub fn kill_operator(&mut self) {
        self.running = None;
    }

    /// The cluster, as its administrator sees it.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The port that the API server calls the webhook at.
    pub fn webhook_port(&self) -> u16 {
        self.webhook_port
    }

    /// The name of the webhook configurations of this install.
    pub fn configuration(&self) -> String {
        install::cluster_scoped_name(&self.namespace)
    }

    /// The test's namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What happened to the pods since the start.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// What the operators logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(log_file(&self.directory)).unwrap_or_default()
    }

    /// Runs kubectl as the administrator, in the test's namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> Output {
        self.kubectl_with(arguments, "")
    }

    /// The same, with an input.
    pub fn kubectl_with(&self, arguments: &[&str], stdin: &str) -> Output {
        let arguments: Vec<&str> = ["--namespace", &self.namespace]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        self.cluster.kubectl(&arguments, stdin)
    }

    /// `kubectl apply -f -`, which must succeed.
    pub fn apply(&self, manifests: &str) {
        self.kubectl_with(&["apply", "-f", "-"], manifests).ok("apply");
    }

    /// An object as the API server returns it, or all of a kind; `None` if there is none.
    pub fn get(&self, object: &str) -> Option<Value> {
        self.get_in(&self.namespace, object)
    }

    /// The same, of another namespace.
    pub fn get_in(&self, namespace: &str, object: &str) -> Option<Value> {
        // Tests look again and again: a process for each look would cost more than all else that they do.
        let look = Cluster::look(&self.client, namespace, object);
        let looked = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(look));
        if let Ok(found) = looked {
            return found;
        }
        let get = [
            "get",
            object,
            "--namespace",
            namespace,
            "-o",
            "json",
            "--ignore-not-found",
        ];
        let text = self.cluster.kubectl(&get, "").ok(object);
        (!text.is_empty()).then(|| serde_json::from_str(&text).expect("JSON"))
    }

    /// Takes the validating registration away, as an administrator in an emergency.
    pub fn delete_validating_webhook(&self) {
        self.kubectl(&["delete", "validatingwebhookconfiguration", &self.configuration()])
            .ok("delete");
    }

    /// The same with the registration that adds defaults.
    pub fn delete_mutating_webhook(&self) {
        self.kubectl(&["delete", "mutatingwebhookconfiguration", &self.configuration()])
            .ok("delete");
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the operator in {} ---\n{}", self.namespace, self.log());
            eprintln!("--- what happened to its pods ---\n{}", self.recorder.history());
        }
        println!("seen: {}", self.recorder.history().summary());
        self.running = None;
        install::remove(&self.cluster, &self.namespace);
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
