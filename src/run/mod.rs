//! `stellar-operator run`: connects, waits for its CRD, and runs the webhook and, on the leader, the controllers.
//!
//! This module only wires the parts together; it makes no decisions.

pub mod connection;
pub mod leader;

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use futures::FutureExt as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::client::ClientBuilder;
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::Condition as _;
use kube::{Api, Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

use crate::admission::context::OnceComplete;
use crate::admission::reviewer::Rules;
use crate::controller::{self, BuildSettings, Caches, ControllerConfig, Options, Scope};
use crate::kubernetes::api::deadline;
use crate::kubernetes::names::is_dns_label;
use crate::labels;
use crate::metrics::probes::Readiness;
use crate::metrics::{CountCalls, Metrics};
use crate::tls::ca_bundle::Configurations;
use crate::tls::store::Store;
use crate::tls::upkeep::Keeper;
use crate::util::telemetry::LogFormat;
use crate::webhook::config::WebhookConfig;
use crate::webhook::server::{ServerError, Webhook};
use leader::{Election, LeaderConfig};

/// How often the CRD is read until it is established.
const CRD_POLL: Duration = Duration::from_secs(2);
/// Read timeout of a connection: a live watch gets a bookmark every minute (Kubernetes docs, "Efficient detection of
/// changes"). Without it, a request without an answer would block its watch forever.
const READ_TIMEOUT: Duration = Duration::from_secs(75);
/// How often `/readyz` lists the caches that are still syncing.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// Condition of readiness: the CRD is installed.
const CRD: &str = "crd";
/// Condition of readiness: the caches are complete.
const CACHES: &str = "caches";

/// Arguments of `run`.
#[derive(Clone, Debug, Args)]
pub struct OperatorArgs {
    /// Namespace to watch; can be repeated; the operator's own if none is given
    #[arg(long = "namespace", env = "WATCH_NAMESPACE", value_delimiter = ',', value_parser = namespace)]
    namespaces: Vec<String>,
    /// Watch all namespaces
    #[arg(long, env = "WATCH_ALL_NAMESPACES", conflicts_with = "namespaces")]
    all_namespaces: bool,
    /// The operator's own namespace, where slots and the webhook's certificate are kept; that of the kubeconfig or the
    /// service account if absent
    #[arg(long, env = "POD_NAMESPACE")]
    pod_namespace: Option<String>,
    /// Image of the init container and the sidecar that run this program in the validators' pods
    #[arg(long, env = "OPERATOR_IMAGE", default_value = controller::DEFAULT_OPERATOR_IMAGE)]
    operator_image: String,
    /// Format of the log; RUST_LOG sets what is logged, for example stellar_k8s=debug
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    webhook: WebhookConfig,
    #[command(flatten)]
    leader: LeaderConfig,
}

/// Parses a namespace name, a DNS label (Kubernetes docs, "Object Names and IDs"): a watch of any other name would
/// never start.
fn namespace(text: &str) -> Result<String, String> {
    if is_dns_label(text) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} cannot be a namespace: write names like stellar or team-a with a comma and no space between them, or watch \
             all with --all-namespaces"
        ))
    }
}

/// The reason why the operator could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    #[error("no API server: set KUBECONFIG, or run in a pod with a service account")]
    Config(#[from] kube::config::InferConfigError),
    #[error("no client can be made for the API server")]
    Client(#[source] kube::Error),
    #[error("signals cannot be received")]
    Signals(#[from] std::io::Error),
    /// A cache would never be updated again.
    #[error("a watch ended for good, which is a bug in this program: restart it")]
    Watch,
    #[error("the API server has an earlier state than before, as after a restore of etcd: restart this program")]
    WentBack,
    #[error("the webhook cannot be served")]
    Server(#[from] ServerError),
}

/// Runs the operator until a signal stops it. Fails when it cannot connect or serve at all. It waits out problems that
/// can pass.
pub async fn run(args: OperatorArgs) -> Result<(), OperatorError> {
    let OperatorArgs {
        namespaces,
        all_namespaces,
        pod_namespace,
        operator_image,
        log_format: _,
        options,
        webhook,
        leader,
    } = args;
    let mut config = Config::infer().await?;
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true;
    let own_namespace = pod_namespace.unwrap_or_else(|| config.default_namespace.clone());
    let metrics = Arc::new(Metrics::default());
    let client = ClientBuilder::try_from(config).map_err(OperatorError::Client)?;
    let client = client.with_layer(&CountCalls(Arc::clone(&metrics))).build();
    let scope = match (all_namespaces, namespaces.is_empty()) {
        (true, _) => Scope::All,
        (false, true) => Scope::Namespaces([own_namespace.clone()].into()),
        (false, false) => Scope::Namespaces(namespaces.into_iter().collect()),
    };
    info!(version = env!("CARGO_PKG_VERSION"), namespace = own_namespace, ?scope, restart = ?options.restart, "starting");
    let readiness = Readiness::default();
    readiness.require(CRD, "the CustomResourceDefinition is not installed");
    readiness.require(CACHES, "the caches are not complete");
    let config = ControllerConfig {
        scope: scope.clone(),
        own_namespace: own_namespace.clone(),
        settings: BuildSettings {
            operator_image,
            cluster_domain: options.cluster_domain.clone(),
        },
        options,
        metrics: Arc::clone(&metrics),
    };
    let known = Arc::new(OnceComplete::<Caches>::new());
    let shutdown = shutdown()?.shared();
    let election = Election::new(client.clone(), &own_namespace, leader, Arc::clone(&metrics));
    let configurations = Configurations::new(&client, &webhook.webhook_configuration);
    let secret = Store::new(client.clone(), &own_namespace, &webhook.certificate_secret);
    let source = webhook.certificate_source(secret);
    let webhook = Webhook::bind(
        webhook,
        source,
        configurations,
        &own_namespace,
        readiness.clone(),
        metrics,
    )
    .await?;
    let work = {
        let (keeper, client, known) = (webhook.keeper(), client.clone(), Arc::clone(&known));
        move || lead(keeper.clone(), client.clone(), config.clone(), Arc::clone(&known))
    };
    let reviewer = Arc::new(Rules::new(Arc::<OnceComplete<Caches>>::clone(&known)));
    let serve = webhook.serve(reviewer, shutdown.clone());
    // The lead is released first; the webhook drains meanwhile.
    let serve_and_lead = async { tokio::try_join!(serve, election.run(work, shutdown).map(Ok)) };
    tokio::select! {
        result = serve_and_lead => {
            result?;
            info!("stopped");
        }
        () = election.history_went_back() => return Err(OperatorError::WentBack),
        error = observe(&client, &scope, &own_namespace, &known, &readiness) => return Err(error),
    }
    Ok(())
}

/// Starts and keeps the caches, on every replica. Returns only if one of them breaks.
async fn observe(
    client: &Client,
    scope: &Scope,
    own_namespace: &str,
    known: &OnceComplete<Caches>,
    readiness: &Readiness,
) -> OperatorError {
    wait_for_crd(client).await;
    readiness.met(CRD);
    let caches = Arc::new(Caches::start(client, scope, own_namespace));
    let complete = async {
        // A missing namespace or right blocks this forever, so `/readyz` lists what is missing.
        while tokio::time::timeout(REPORT_INTERVAL, caches.wait_until_complete())
            .await
            .is_err()
        {
            let incomplete = caches.incomplete().join(", ");
            readiness.unmet(
                CACHES,
                format!("not listed yet: {incomplete}; the log has the API server's answers"),
            );
        }
        known.complete(Arc::clone(&caches));
        readiness.met(CACHES);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = complete => {}
        () = caches.broken() => {}
    }
    OperatorError::Watch
}

/// Runs the leader-only work. Returns only after a panic; the election then restarts it. The certificate does not wait
/// for the caches: without it no replica becomes ready.
async fn lead(keeper: Keeper, client: Client, config: ControllerConfig, known: Arc<OnceComplete<Caches>>) {
    let control = async { controller::run_controller(client, config, known.wait().await).await };
    tokio::select! {
        () = keeper.run() => {}
        () = control => {}
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Crd {
    Unreadable,
    Missing,
    NotEstablished,
    Established,
}

/// Waits until the CRD is established, and logs each state once.
async fn wait_for_crd(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut logged = None;
    loop {
        let answer = deadline(api.get_opt(labels::CRD_NAME)).await;
        let now = match &answer {
            Err(_) => Crd::Unreadable,
            Ok(None) => Crd::Missing,
            Ok(crd @ Some(_)) if is_crd_established().matches_object(crd.as_ref()) => Crd::Established,
            Ok(Some(_)) => Crd::NotEstablished,
        };
        let changed = logged != Some(now);
        match answer {
            Ok(_) if now == Crd::Established => return,
            Ok(_) if changed && now == Crd::Missing => error!(
                crd = labels::CRD_NAME,
                "not installed; waiting: kubectl apply --server-side -f manifests/crd/stellarnodes.yaml"
            ),
            Ok(_) if changed => info!(crd = labels::CRD_NAME, "installed, not established yet; waiting"),
            Err(error) if changed => error!(
                crd = labels::CRD_NAME,
                error = &error as &dyn std::error::Error,
                "cannot be read; retrying"
            ),
            Ok(_) | Err(_) => {}
        }
        logged = Some(now);
        tokio::time::sleep(CRD_POLL).await;
    }
}

/// Completes on SIGTERM or SIGINT.
fn shutdown() -> Result<impl Future<Output = ()> + Send, std::io::Error> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("stopping on a signal; draining");
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: OperatorArgs,
    }

    #[test]
    fn namespaces_are_valid_and_watched_once() {
        let read = |namespaces: &str| Line::try_parse_from(["run", "--namespace", namespaces]);
        let parts = |namespaces: &str| {
            let names = read(namespaces).unwrap().args.namespaces;
            Scope::Namespaces(names.into_iter().collect()).parts().len()
        };
        assert_eq!(parts("stellar"), 1);
        assert_eq!(parts("stellar,team-a"), 2);
        assert_eq!(parts("stellar,stellar"), 1, "each validator would appear twice");
        for wrong in ["", "stellar,", "stellar, team-a", "Stellar", "a.b"] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains("cannot be a namespace"), "{wrong:?}: {error}");
        }
    }
}
