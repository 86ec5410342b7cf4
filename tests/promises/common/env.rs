//! One test's namespace with its operator, and what tests look at in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::Client;
use serde_json::Value;
use stellar_k8s::labels;

use super::operator::{Operator, Place, free_port, identity, identity_of, log_file};
use super::pair::{self, Pair};
use super::{Cluster, Output, Proxy, Recorder, install, wait_for};

/// How long the operator may take until it is ready.
const START: Duration = Duration::from_secs(60);
/// How long a few validators may take until nobody has a reason left to restart.
const SETTLE: Duration = Duration::from_secs(120);

/// How the operator of a test is started.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Arguments of `run`, beside addresses and names.
    pub(crate) arguments: Vec<String>,
    /// Its log goes where nobody reads, all of it.
    pub(crate) unread_log: bool,
}

impl Options {
    /// What an operator is told by an administrator who sets nothing.
    pub(crate) fn as_shipped() -> Self {
        Self {
            arguments: Vec::new(),
            unread_log: false,
        }
    }

    /// These, with one more, or another value for one of them.
    pub(crate) fn with(mut self, argument: &str, value: &str) -> Self {
        match self.arguments.iter().position(|given| given == argument) {
            Some(place) => value.clone_into(&mut self.arguments[place + 1]),
            None => self.arguments.extend([argument.to_owned(), value.to_owned()]),
        }
        self
    }
}

impl Default for Options {
    /// Shorter times than an administrator would choose.
    fn default() -> Self {
        let arguments =
            "--settle 100ms --quiet 1s --propagation 2s --min-ready 1s --join-wait 30s --catch-up 5s --drain-time 1s";
        Self {
            arguments: arguments.split(' ').map(str::to_owned).collect(),
            ..Self::as_shipped()
        }
    }
}

/// Where an install is: what a replica has to know.
#[derive(Clone, Debug)]
pub(super) struct Site {
    cluster: Cluster,
    namespace: String,
    directory: PathBuf,
    pub(super) webhook_port: u16,
}

impl Site {
    /// Starts a replica that listens on a port of its own.
    pub(super) fn start(&self, options: &Options, listens_on: u16, api_server: Option<String>) -> Operator {
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
pub(crate) enum Running {
    /// One replica.
    Alone(#[allow(dead_code, reason = "it is held, and dropped")] Operator),
    /// Two, of which the leader is killed all the time.
    Killed(#[allow(dead_code, reason = "it is held, and dropped")] Pair),
}

/// A namespace of its own with an operator for it. Dropped, it takes all of that away, also when the test fails; then
/// the operator's log is printed.
pub(crate) struct TestEnv {
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
    pub(crate) async fn start(name: &str, options: Options) -> Self {
        let mut env = Self::installed(name).await;
        let running = env.run(&options).await;
        env.running = Some(running);
        env
    }

    /// Starts an operator in what was installed, and waits until it is ready.
    pub(crate) async fn run(&self, options: &Options) -> Running {
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
    pub(crate) async fn ready_replica(&self, options: &Options) -> Operator {
        let mut operator = self.replica(options, self.webhook_port);
        wait_for("the operator to be ready", START, async || {
            operator.is_ready().await.then_some(())
        })
        .await;
        operator
    }

    /// Installs the manifests in a new namespace called after `name`; no operator runs there yet.
    pub(crate) async fn installed(name: &str) -> Self {
        let cluster = Cluster::connect();
        let webhook_port = free_port();
        let namespace = format!("{name}-{}-{webhook_port}", std::process::id());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&namespace);
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
    pub(crate) fn replica(&self, options: &Options, listens_on: u16) -> Operator {
        self.replica_at(options, listens_on, None)
    }

    /// The same, behind a proxy of its own and on the port that the API server calls.
    pub(crate) fn replica_behind(&self, options: &Options, proxy: &Proxy) -> Operator {
        self.replica_at(options, self.webhook_port, Some(proxy.url()))
    }

    /// The same, on another port: the API server does not call it.
    pub(crate) fn second_behind(&self, options: &Options, proxy: &Proxy) -> Operator {
        self.replica_at(options, free_port(), Some(proxy.url()))
    }

    fn replica_at(&self, options: &Options, listens_on: u16, api_server: Option<String>) -> Operator {
        self.site().start(options, listens_on, api_server)
    }

    /// A kubeconfig of the operator's account that leads through a proxy.
    pub(crate) fn kubeconfig_through(&self, proxy: &Proxy) -> PathBuf {
        let file = self.directory.join("kubeconfig-through-proxy");
        let mut identity = identity(&self.cluster, &self.namespace);
        identity["clusters"][0]["cluster"] = serde_json::json!({ "server": proxy.url() });
        std::fs::write(&file, identity.to_string()).expect("a kubeconfig");
        file
    }

    /// Creates a ServiceAccount, and a kubeconfig of it.
    pub(crate) fn account(&self, name: &str) -> PathBuf {
        self.kubectl(&["create", "serviceaccount", name]).ok("the account");
        let file = self.directory.join(format!("kubeconfig-of-{name}"));
        let identity = identity_of(name, &self.cluster, &self.namespace);
        std::fs::write(&file, identity.to_string()).expect("a kubeconfig");
        file
    }

    /// Takes the operator away, as a crash does.
    pub(crate) fn without_operator(&mut self) {
        self.running = None;
    }

    /// The cluster, as its administrator sees it.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The port that the API server calls the webhook at.
    pub(crate) fn webhook_port(&self) -> u16 {
        self.webhook_port
    }

    /// The name of the webhook configurations of this install.
    pub(crate) fn configuration(&self) -> String {
        install::cluster_scoped_name(&self.namespace)
    }

    /// The test's namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What happened to the pods since the start.
    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// What the operators logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(log_file(&self.directory)).unwrap_or_default()
    }

    /// Runs kubectl as the administrator, in the test's namespace.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Output {
        self.kubectl_with(arguments, "")
    }

    /// The same, with an input.
    pub(crate) fn kubectl_with(&self, arguments: &[&str], stdin: &str) -> Output {
        let arguments: Vec<&str> = ["--namespace", &self.namespace]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        self.cluster.kubectl(&arguments, stdin)
    }

    /// `kubectl apply -f -`, which must succeed.
    pub(crate) fn apply(&self, manifests: &str) {
        self.kubectl_with(&["apply", "-f", "-"], manifests).ok("apply");
    }

    /// An object as the API server returns it, or all of a kind; `None` if there is none.
    pub(crate) fn get(&self, object: &str) -> Option<Value> {
        self.get_in(&self.namespace, object)
    }

    /// The same, of another namespace.
    pub(crate) fn get_in(&self, namespace: &str, object: &str) -> Option<Value> {
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

    /// The lines of `KNOWN_PEERS`; none while there is no ConfigMap.
    pub(crate) fn peers(&self) -> BTreeSet<String> {
        let list = self.get(&format!("configmap/{}", labels::DEFAULT_PEERS_CONFIG_MAP));
        let lines = list
            .as_ref()
            .and_then(|list| list["data"][labels::KNOWN_PEERS].as_str());
        lines.unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// The present IP of a validator's pod.
    pub(crate) fn pod_ip(&self, validator: &str) -> Option<String> {
        let pod = self.get(&format!("pod/{validator}-0"))?;
        pod["status"]["podIP"].as_str().map(str::to_owned)
    }

    /// `{podIP}:11625` of each of these validators, once each has a pod with an address.
    pub(crate) fn addresses(&self, validators: &[&str]) -> Option<BTreeSet<String>> {
        let address = |validator: &&str| Some(format!("{}:11625", self.pod_ip(validator)?));
        validators.iter().map(address).collect()
    }

    /// Waits until these validators vote, the list is made of their present addresses, and each has loaded all the
    /// others.
    pub(crate) async fn settled(&self, validators: &[&str]) {
        self.settled_within(validators, SETTLE).await;
    }

    /// The same, with another patience.
    pub(crate) async fn settled_within(&self, validators: &[&str], patience: Duration) {
        let what = format!("{validators:?} to know each other");
        wait_for(&what, patience, async || self.is_settled(validators).then_some(())).await;
    }

    fn is_settled(&self, validators: &[&str]) -> bool {
        let voting = self.recorder.history().voting();
        if !validators.iter().all(|name| voting.contains(*name)) {
            return false;
        }
        let Some(addresses) = self.addresses(validators) else {
            return false;
        };
        let loaded: Option<Vec<BTreeSet<String>>> = validators.iter().map(|name| self.rendered_peers(name)).collect();
        let Some(loaded) = loaded else {
            return false;
        };
        self.peers() == addresses && loaded.iter().all(|peers| peers.len() + 1 == validators.len())
    }

    /// Pairs of validators neither of which loaded the other's present address: they cannot meet.
    pub(crate) fn not_connected(&self, validators: &[&str]) -> Vec<(String, String)> {
        let knows = |one: &str, other: &str| {
            let address = self.pod_ip(other).map(|ip| format!("{ip}:11625"));
            let loaded = self.rendered_peers(one).unwrap_or_default();
            address.is_some_and(|address| loaded.contains(&address))
        };
        let mut not_connected = Vec::new();
        for (place, one) in validators.iter().enumerate() {
            for other in &validators[place + 1..] {
                if !knows(one, other) && !knows(other, one) {
                    not_connected.push(((*one).to_owned(), (*other).to_owned()));
                }
            }
        }
        not_connected
    }

    /// Takes the validating registration away, as an administrator in an emergency.
    pub(crate) fn without_validation(&self) {
        self.kubectl(&["delete", "validatingwebhookconfiguration", &self.configuration()])
            .ok("delete");
    }

    /// The same with the registration that adds defaults.
    pub(crate) fn without_defaults(&self) {
        self.kubectl(&["delete", "mutatingwebhookconfiguration", &self.configuration()])
            .ok("delete");
    }

    /// When the operator last restarted each of these validators for its peers.
    pub(crate) fn restarts(&self, validators: &[&str]) -> BTreeMap<String, Option<Value>> {
        let last = |name: &&str| {
            let stateful_set = self.get(&format!("statefulset/{name}"))?;
            let annotation = stateful_set["metadata"]["annotations"][labels::LAST_RESTART].clone();
            annotation.is_string().then_some(annotation)
        };
        validators.iter().map(|name| ((*name).to_owned(), last(name))).collect()
    }

    /// The reason of a validator's condition.
    pub(crate) fn reason(&self, validator: &str, condition: &str) -> Option<String> {
        reason_of(&self.get(&format!("stellarnode/{validator}"))?, condition)
    }

    /// What the Events with this reason say of a validator.
    pub(crate) fn events(&self, validator: &str, reason: &str) -> Vec<String> {
        let events = self.get("events.events.k8s.io").unwrap_or_default();
        let events = events["items"].as_array().cloned().unwrap_or_default();
        let is_it = |event: &&Value| event["regarding"]["name"] == validator && event["reason"] == reason;
        let notes = events.iter().filter(is_it).filter_map(|event| event["note"].as_str());
        notes.map(str::to_owned).collect()
    }

    /// Waits until an Event with this reason says so of a validator.
    pub(crate) async fn told_by_event(&self, validator: &str, reason: &str, words: &str) {
        let what = format!("an Event {reason} that says {words:?}");
        wait_for(&what, SETTLE, async || {
            let notes = self.events(validator, reason);
            notes.iter().any(|note| note.contains(words)).then_some(())
        })
        .await;
    }

    /// Lets a time pass in which nothing is to happen: that is what is promised, and there is nothing to wait for. The
    /// operator still decides afterwards, so it could have done something: it puts a list right that somebody changes.
    pub(crate) async fn stays_quiet(&self, span: Duration) {
        tokio::time::sleep(span).await;
        let wrong = r#"{"data":{"KNOWN_PEERS":"wrong"}}"#;
        self.kubectl(&["patch", "configmap/stellar-peers", "--type=merge", "-p", wrong])
            .ok("a wrong list");
        wait_for("the list to be put right", START, async || {
            let list = self.get("configmap/stellar-peers")?;
            (list["data"]["KNOWN_PEERS"] != "wrong").then_some(())
        })
        .await;
    }

    /// Waits until no validator of this namespace has a slot.
    pub(crate) async fn without_slots(&self) {
        self.without_slots_within(SETTLE).await;
    }

    /// The same, with another patience.
    pub(crate) async fn without_slots_within(&self, patience: Duration) {
        wait_for("all slots to be over", patience, async || {
            let leases = self.get("leases")?;
            let is_of_a_network = |lease: &&Value| lease["metadata"]["labels"][labels::NETWORK].is_string();
            let over = |lease: &Value| lease["metadata"]["annotations"][labels::SLOTS] == "[]";
            let mut of_networks = leases["items"].as_array()?.iter().filter(is_of_a_network);
            of_networks.all(over).then_some(())
        })
        .await;
    }

    /// The `stellar-core.cfg` that a pod really got, written by its `render-config`.
    pub(crate) fn rendered_config(&self, pod: &str) -> Option<toml::Table> {
        let text = std::fs::read_to_string(self.rendered_file(pod)).ok()?;
        Some(text.parse().expect("stellar-core.cfg is TOML"))
    }

    /// Where that file is.
    pub(crate) fn rendered_file(&self, pod: &str) -> PathBuf {
        let directory = Cluster::kubelet_directory().join(&self.namespace).join(pod);
        directory.join("current/volumes/config/stellar-core.cfg")
    }

    /// `KNOWN_PEERS` of the `stellar-core.cfg` that a validator really got; none where the file leaves it out.
    pub(crate) fn rendered_peers(&self, validator: &str) -> Option<BTreeSet<String>> {
        let config = self.rendered_config(&format!("{validator}-0"))?;
        let peers = config.get(labels::KNOWN_PEERS).and_then(toml::Value::as_array);
        let peers = peers.into_iter().flatten().filter_map(toml::Value::as_str);
        Some(peers.map(str::to_owned).collect())
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

/// The reason of a condition in a StellarNode as it was read.
pub(crate) fn reason_of(node: &Value, condition: &str) -> Option<String> {
    let mut conditions = node["status"]["conditions"].as_array()?.iter();
    let found = conditions.find(|found| found["type"] == condition)?;
    found["reason"].as_str().map(str::to_owned)
}
