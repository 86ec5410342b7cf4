//! One replica of the webhook, in this process, with a reviewer that allows and labels everything.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use stellar_k8s::metrics::probes::Readiness;
use stellar_k8s::tls::ca_bundle::Configurations;
use stellar_k8s::tls::certificate::Certificate;
use stellar_k8s::tls::store::Store;
use stellar_k8s::util::telemetry::{self, Log, LogFormat};
use stellar_k8s::webhook::config::WebhookConfig;
use stellar_k8s::webhook::reviewer::{Answer, Reviewer};
use stellar_k8s::webhook::server::Webhook;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::cluster::{Cluster, eventually};

pub(crate) struct Replica {
    pub(crate) address: SocketAddr,
    pub(crate) readiness: Readiness,
    task: JoinHandle<()>,
}

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    webhook: WebhookConfig,
}

/// One log for all tests of the process.
static LOG: OnceLock<Log> = OnceLock::new();

impl Replica {
    /// Starts a leader: it serves and keeps the certificate and `caBundle`.
    pub(crate) async fn start(cluster: &Cluster, flags: &[&str]) -> Self {
        Self::start_as(cluster, &cluster.name, flags, true).await
    }

    /// Starts a follower: it serves the certificate that the leader keeps.
    pub(crate) async fn follow(cluster: &Cluster) -> Self {
        Self::start_as(cluster, &cluster.name, &[], false).await
    }

    /// Starts a leader that is configured with other webhook configurations.
    pub(crate) async fn lead_elsewhere(cluster: &Cluster) -> Self {
        Self::start_as(cluster, "elsewhere", &[], true).await
    }

    async fn start_as(cluster: &Cluster, configuration: &str, flags: &[&str], leads: bool) -> Self {
        LOG.get_or_init(|| telemetry::start(LogFormat::Pretty));
        let name = cluster.name.as_str();
        let fixed = [
            "webhook",
            "--webhook-listen",
            "127.0.0.1:0",
            "--probe-listen",
            "127.0.0.1:0",
        ];
        let named = ["--webhook-configuration", configuration, "--certificate-secret", name];
        let flags = Flags::parse_from(fixed.iter().chain(&named).chain(flags));
        let readiness = Readiness::default();
        let client = cluster.operator().await;
        let configurations = Configurations::new(&client, &flags.webhook.webhook_configuration);
        let secret = Store::new(client, name, &flags.webhook.certificate_secret);
        let source = flags.webhook.certificate_source(secret);
        let (config, metrics) = (flags.webhook, Arc::default());
        let webhook = Webhook::bind(config, source, configurations, name, readiness.clone(), metrics)
            .await
            .unwrap();
        let address = webhook.local_addr().unwrap();
        let keeper = webhook.keeper();
        let task = tokio::spawn(async move {
            let serving = webhook.serve(Arc::new(Labeller), std::future::pending());
            tokio::select! {
                result = serving => result.unwrap(),
                () = keeper.run(), if leads => {}
            }
        });
        Self {
            address,
            readiness,
            task,
        }
    }

    pub(crate) async fn ready(&self) {
        eventually("the replica is ready", async || self.readiness.is_ready()).await;
    }

    /// The certificate that the replica presents to a client that trusts `bundle`.
    pub(crate) async fn shown(&self, bundle: &str) -> io::Result<String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tcp = TcpStream::connect(self.address).await?;
        let name = ServerName::from(self.address.ip());
        let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
        let leaf = &stream.get_ref().1.peer_certificates().unwrap()[0];
        let pem = format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            STANDARD.encode(leaf)
        );
        Ok(Certificate::parse(&pem).unwrap().pem)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Allows everything and adds a label to the object.
struct Labeller;

fn answer(body: &[u8], patch: Option<Value>) -> Answer {
    let review: Value = serde_json::from_slice(body).unwrap();
    let mut response = json!({ "uid": review["request"]["uid"], "allowed": true });
    if let Some(patch) = patch {
        response["patchType"] = "JSONPatch".into();
        response["patch"] = STANDARD.encode(patch.to_string()).into();
    }
    let review = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response });
    Answer {
        status: 200,
        body: review.to_string().into_bytes(),
        ..Answer::default()
    }
}

impl Reviewer for Labeller {
    fn mutate(&self, body: &[u8]) -> Answer {
        answer(
            body,
            Some(json!([{ "op": "add", "path": "/metadata/labels", "value": { "seen": "yes" } }])),
        )
    }

    fn validate(&self, body: &[u8]) -> Answer {
        answer(body, None)
    }

    fn is_quick(&self, _: &[u8]) -> bool {
        true
    }
}
