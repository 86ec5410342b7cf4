//! The webhook's flags and the values derived from them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::Uri;
use clap::Args;
use jiff::SignedDuration;

use crate::labels;
use crate::tls::plan::Policy;
use crate::tls::store::Store;
use crate::tls::upkeep::Source;
use crate::util::durations::{duration, lifetime};

/// Flags of the admission webhook.
#[derive(Args, Clone, Debug)]
pub struct WebhookConfig {
    /// Address that the webhook listens on; port 0 picks a free port.
    #[arg(long, env = "WEBHOOK_LISTEN", default_value = "0.0.0.0:9443")]
    pub webhook_listen: SocketAddr,
    /// Address at which the API server calls the webhook, if not through its Service, such as `https://HOST:PORT`.
    #[arg(long, env = "WEBHOOK_URL", value_parser = url)]
    pub webhook_url: Option<Uri>,
    /// Name of the webhook's Service, in the operator's namespace.
    #[arg(long, env = "WEBHOOK_SERVICE", default_value = labels::DEFAULT_WEBHOOK_SERVICE)]
    pub webhook_service: String,
    /// Name of the MutatingWebhookConfiguration and ValidatingWebhookConfiguration whose caBundle the operator keeps up
    /// to date.
    #[arg(long, env = "WEBHOOK_CONFIGURATION", default_value = labels::DEFAULT_WEBHOOK_CONFIGURATION)]
    pub webhook_configuration: String,
    /// Name of the Secret, in the operator's namespace, with the certificate that all replicas share.
    #[arg(long, env = "CERTIFICATE_SECRET", default_value = labels::DEFAULT_CERTIFICATE_SECRET)]
    pub certificate_secret: String,
    /// File with an externally renewed certificate chain, used instead of the Secret.
    #[arg(long, env = "TLS_CERT_FILE", requires = "tls_key_file")]
    pub tls_cert_file: Option<PathBuf>,
    /// File with the private key of that certificate.
    #[arg(long, env = "TLS_KEY_FILE", requires = "tls_cert_file")]
    pub tls_key_file: Option<PathBuf>,
    /// File with the CA certificates for caBundle; without it, the operator leaves caBundle alone if the certificate
    /// comes from files.
    #[arg(long, env = "TLS_CA_FILE", requires = "tls_cert_file")]
    pub tls_ca_file: Option<PathBuf>,
    /// Lifetime of the certificate; the operator renews it after two thirds of that.
    #[arg(long, env = "CERTIFICATE_LIFETIME", default_value = "90d", value_parser = lifetime)]
    pub certificate_lifetime: SignedDuration,
    /// Lifetime of the CA that signs it; the operator creates the next CA after two thirds of that.
    #[arg(long, env = "CA_LIFETIME", default_value = "730d", value_parser = lifetime)]
    pub ca_lifetime: SignedDuration,
    /// Address of /healthz and /readyz; port 0 picks a free port.
    #[arg(long, env = "PROBE_LISTEN", default_value = "0.0.0.0:8080")]
    pub probe_listen: SocketAddr,
    /// Time to continue serving after a shutdown signal, until no API server sends further requests.
    #[arg(long, env = "DRAIN_TIME", default_value = "10s", value_parser = duration)]
    pub drain_time: Duration,
}

impl WebhookConfig {
    pub fn policy(&self, namespace: &str) -> Policy {
        Policy {
            names: self.names(namespace),
            leaf_lifetime: self.certificate_lifetime,
            ca_lifetime: self.ca_lifetime,
            // API servers see a changed configuration through a watch, within a second or so.
            settle: SignedDuration::from_secs(30).min(self.ca_lifetime / 12),
        }
    }

    /// The source of the certificate: the files, if both are given, or else this Secret.
    pub fn certificate_source(&self, secret: Store) -> Source {
        match (&self.tls_cert_file, &self.tls_key_file) {
            (Some(cert), Some(key)) => Source::Files {
                cert: cert.clone(),
                key: key.clone(),
                ca: self.tls_ca_file.clone(),
            },
            _ => Source::Secret(Box::new(secret)),
        }
    }

    /// Interval at which Secret, files and configurations are checked; short enough for the shortest lifetime.
    pub fn interval(&self) -> Duration {
        let life = self.certificate_lifetime.min(self.ca_lifetime).unsigned_abs();
        (life / 40).clamp(Duration::from_millis(100), Duration::from_secs(3))
    }

    /// Names and addresses by which the API server may call the webhook.
    fn names(&self, namespace: &str) -> BTreeSet<String> {
        let service = &self.webhook_service;
        let mut names = BTreeSet::from([
            service.clone(),
            format!("{service}.{namespace}"),
            format!("{service}.{namespace}.svc"),
            format!("{service}.{namespace}.svc.cluster.local"),
        ]);
        if let Some(host) = self.webhook_url.as_ref().and_then(Uri::host) {
            names.insert(host.trim_matches(['[', ']']).to_owned());
        }
        if self.webhook_listen.ip().is_loopback() {
            names.extend([self.webhook_listen.ip().to_string(), "localhost".to_owned()]);
        }
        names
    }
}

fn url(text: &str) -> Result<Uri, String> {
    let url: Uri = text
        .parse()
        .map_err(|error| format!("{error}; write https://HOST[:PORT]"))?;
    if url.scheme_str() != Some("https") || url.host().is_none_or(str::is_empty) {
        return Err("write https://HOST[:PORT]: API servers call webhooks over HTTPS only".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        webhook: WebhookConfig,
    }

    fn parse(flags: &[&str]) -> Result<WebhookConfig, String> {
        let flags = Flags::try_parse_from([&["webhook"], flags].concat());
        flags.map(|flags| flags.webhook).map_err(|error| error.to_string())
    }

    #[test]
    fn the_certificate_names_whatever_the_api_server_may_call() {
        let service = ["w", "w.ns", "w.ns.svc", "w.ns.svc.cluster.local"];
        let check = |flags: &[&str], more: &[&str]| {
            let config = parse(&[&["--webhook-service", "w"], flags].concat()).unwrap();
            let expected = service.iter().chain(more).map(|name| (*name).to_owned()).collect();
            assert_eq!(config.policy("ns").names, expected, "{flags:?}");
        };
        check(&[], &[]);
        check(
            &["--webhook-url", "https://webhook.example.org:9443"],
            &["webhook.example.org"],
        );
        check(&["--webhook-url", "https://10.0.0.7/"], &["10.0.0.7"]);
        check(&["--webhook-url", "https://[fd00::7]:443"], &["fd00::7"]);
        check(&["--webhook-listen", "127.0.0.1:0"], &["127.0.0.1", "localhost"]);
    }

    #[test]
    fn lifetimes_are_read_and_bounded() {
        let life =
            |text: &str| parse(&[&format!("--certificate-lifetime={text}")]).map(|config| config.certificate_lifetime);
        assert_eq!(life("90d").unwrap(), SignedDuration::from_hours(24 * 90));
        assert_eq!(life("6s").unwrap(), SignedDuration::from_secs(6));
        for (text, sentence) in [
            ("2s", "between 3 s"),
            ("-1d", "between 3 s"),
            ("200y", ""),
            ("90", "90d, 12h or 30s"),
        ] {
            let error = life(text).unwrap_err();
            assert!(
                error.contains("--certificate-lifetime") && error.contains(sentence),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for (flags, sentence) in [
            (&["--webhook-url", "http://example.org"][..], "https://HOST"),
            (&["--webhook-url", "example.org"], "https://HOST"),
            (&["--tls-cert-file", "a"], "--tls-key-file"),
            (&["--tls-key-file", "a"], "--tls-cert-file"),
            (&["--tls-ca-file", "a"], "--tls-cert-file"),
            (&["--drain-time=-1s"], "is not a time"),
        ] {
            let error = parse(flags).unwrap_err();
            assert!(error.contains(sentence), "{flags:?}: {error}");
        }
    }

    #[test]
    fn short_lives_are_looked_at_more_often() {
        let interval = |life| parse(&["--certificate-lifetime", life]).unwrap().interval();
        assert_eq!(interval("90d"), Duration::from_secs(3));
        assert_eq!(interval("6s"), Duration::from_millis(150));
    }
}
