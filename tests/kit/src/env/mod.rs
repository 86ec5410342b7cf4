//! The namespace of one test with its operator.

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

/// Time limit for the operator to become ready.
const START: Duration = Duration::from_secs(60);

/// The install that a replica belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    cluster: Cluster,
    namespace: String,
    directory: PathBuf,
    pub(crate) webhook_port: u16,
}

impl Site {
    /// Starts a replica that listens on its own port.
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

/// The operator of a test that does not control its process; dropping the value stops it.
#[derive(Debug)]
pub enum Running {
    /// One replica.
    Alone(Operator),
    /// Two replicas, of which the leader is killed repeatedly.
    Killed(Pair),
}

/// A namespace with its own operator. Dropping the value removes both, also when the test fails; a failed test prints
/// the operator's log.
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
    /// Installs the manifests in a new namespace named after `name`, and waits until its operator is ready.
    pub async fn start(name: &str, options: Options) -> Self {
        let mut env = Self::installed(name).await;
        let running = env.run(&options).await;
        env.running = Some(running);
        env
    }

    /// Starts an operator in the installed namespace, and waits until it is ready.
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

    /// Starts an operator whose process the test controls and whose webhook the API server calls, and waits until it is
    /// ready.
    pub async fn ready_replica(&self, options: &Options) -> Operator {
        let mut operator = self.replica(options, self.webhook_port);
        wait_for("the operator to be ready", START, async || {
            operator.is_ready().await.then_some(())
        })
        .await;
        operator
    }

    /// Installs the manifests in a new namespace named after `name`, without an operator.
    pub async fn installed(name: &str) -> Self {
        let cluster = Cluster::connect();
        let webhook_port = free_port();
        let namespace = format!("{name}-{}-{webhook_port}", std::process::id());
        let directory = scratch().join(&namespace);
        std::fs::create_dir_all(&directory).expect("a directory of the test's own");
        let client = cluster.client().await;
        let recorder = Recorder::start(client.clone(), &namespace);
        // From here on, a failure removes the created objects.
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

    /// Starts an operator whose process the test controls, on its own port.
    pub fn replica(&self, options: &Options, listens_on: u16) -> Operator {
        self.replica_at(options, listens_on, None)
    }

    /// Starts an operator that reaches the API server through a proxy, on the port that the API server calls.
    pub fn replica_behind(&self, options: &Options, proxy: &Proxy) -> Operator {
        self.replica_at(options, self.webhook_port, Some(proxy.url()))
    }

    /// Starts an operator that reaches the API server through a proxy, on a port that the API server does not call.
    pub fn second_behind(&self, options: &Options, proxy: &Proxy) -> Operator {
        self.replica_at(options, free_port(), Some(proxy.url()))
    }

    fn replica_at(&self, options: &Options, listens_on: u16, api_server: Option<String>) -> Operator {
        self.site().start(options, listens_on, api_server)
    }

    /// A kubeconfig of the operator's account with the address of a proxy.
    pub fn kubeconfig_through(&self, proxy: &Proxy) -> PathBuf {
        let file = self.directory.join("kubeconfig-through-proxy");
        let mut identity = identity(&self.cluster, &self.namespace);
        identity["clusters"][0]["cluster"] = serde_json::json!({ "server": proxy.url() });
        std::fs::write(&file, identity.to_string()).expect("a kubeconfig");
        file
    }

    /// Creates a ServiceAccount and returns its kubeconfig.
    pub fn account(&self, name: &str) -> PathBuf {
        self.kubectl(&["create", "serviceaccount", name]).ok("the account");
        let file = self.directory.join(format!("kubeconfig-of-{name}"));
        let identity = identity_of(name, &self.cluster, &self.namespace);
        std::fs::write(&file, identity.to_string()).expect("a kubeconfig");
        file
    }

    /// Kills the operator, as a crash does.
    pub fn kill_operator(&mut self) {
        self.running = None;
    }

    /// The cluster, with the rights of its administrator.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The port at which the API server calls the webhook.
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

    /// The recorder of the pods' changes since the start.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// The log of the operators so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(log_file(&self.directory)).unwrap_or_default()
    }

    /// Runs kubectl as the administrator, in the test's namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> Output {
        self.kubectl_with(arguments, "")
    }

    /// Runs kubectl as [`Self::kubectl`] does, with an input.
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

    /// Reads an object, or all of a kind; `None` if it does not exist.
    pub fn get(&self, object: &str) -> Option<Value> {
        self.get_in(&self.namespace, object)
    }

    /// Reads an object of another namespace.
    pub fn get_in(&self, namespace: &str, object: &str) -> Option<Value> {
        // Tests poll: a kubectl process for each read would cost more than the rest of a test.
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

    /// Deletes the validating registration, as an administrator would in an emergency.
    pub fn delete_validating_webhook(&self) {
        self.kubectl(&["delete", "validatingwebhookconfiguration", &self.configuration()])
            .ok("delete");
    }

    /// Deletes the mutating registration, which adds defaults.
    pub fn delete_mutating_webhook(&self) {
        self.kubectl(&["delete", "mutatingwebhookconfiguration", &self.configuration()])
            .ok("delete");
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the operator in {} ---\n{}", self.namespace, self.log());
            eprintln!("--- changes of its pods ---\n{}", self.recorder.history());
        }
        println!("seen: {}", self.recorder.history().summary());
        self.running = None;
        install::remove(&self.cluster, &self.namespace);
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
