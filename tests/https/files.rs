//! Certificates from files that another program renews, swapped by a symbolic link as the kubelet does.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use stellar_k8s::metrics::probes::Readiness;
use stellar_k8s::tls::ca_bundle::Configurations;
use stellar_k8s::tls::certificate::Pair;
use stellar_k8s::tls::plan::Policy;
use stellar_k8s::tls::upkeep::{Follower, Keeper, Source};
use stellar_k8s::webhook::limits::Limits;

use crate::certificates::shown;
use crate::client::Client;
use crate::server::Server;

/// A mounted Secret: files behind a symbolic link, which is swapped.
struct Volume(tempfile::TempDir);

impl Volume {
    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join("data").join(file)
    }

    fn swap(&self, version: &str, chain: &str, key: &str) {
        let directory = self.0.path().join(version);
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("tls.crt"), chain).unwrap();
        std::fs::write(directory.join("tls.key"), key).unwrap();
        let link: &Path = &self.0.path().join("data.new");
        symlink(&directory, link).unwrap();
        std::fs::rename(link, self.0.path().join("data")).unwrap();
    }

    fn swap_pair(&self, version: &str, pair: &Pair) {
        self.swap(version, &pair.certificate.pem, &pair.key);
    }
}

/// Waits until a client that trusts the server's CA sees this certificate.
async fn is_served(server: &Server, pair: &Pair) {
    let wanted = async {
        loop {
            if let Ok(client) = Client::connect(server.address, &server.trust()).await
                && pair.certificate == stellar_k8s::tls::certificate::Certificate::parse(&pem(&shown(&client))).unwrap()
            {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wanted)
        .await
        .expect("the new certificate is not served");
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_files_are_loaded_and_bad_ones_ignored() {
    let server = Server::start_without_certificate(Limits::default(), Duration::ZERO);
    let volume = Volume(tempfile::tempdir().unwrap());
    // Without a file for caBundle the server makes no calls to the API server, which does not exist in this test.
    let nowhere = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let client = kube::Client::try_from(nowhere).unwrap();
    let readiness = Readiness::default();
    let follower = Follower {
        keeper: Keeper {
            source: Source::Files {
                cert: volume.path("tls.crt"),
                key: volume.path("tls.key"),
                ca: None,
            },
            configurations: Configurations::new(&client, "none"),
            policy: Policy {
                names: BTreeSet::new(),
                leaf_lifetime: SignedDuration::ZERO,
                ca_lifetime: SignedDuration::ZERO,
                settle: SignedDuration::ZERO,
            },
            interval: Duration::from_millis(20),
            metrics: Arc::default(),
        },
        serving: server.serving.clone(),
        readiness: readiness.clone(),
    };
    let following = tokio::spawn(follower.run());

    let missing = async {
        while !readiness.missing().iter().any(|(_, reason)| reason.contains("tls.crt")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), missing)
        .await
        .expect("/readyz does not report the missing file");

    let (first, second, third) = (server.new_leaf(), server.new_leaf(), server.new_leaf());
    volume.swap_pair("1", &first);
    is_served(&server, &first).await;
    volume.swap_pair("2", &second);
    is_served(&server, &second).await;
    assert!(readiness.is_ready(), "{:?}", readiness.missing());

    volume.swap("3", &third.certificate.pem, &first.key);
    for _ in 0..20 {
        is_served(&server, &second).await;
    }
    assert!(readiness.is_ready(), "the served certificate is still valid");
    volume.swap_pair("4", &third);
    is_served(&server, &third).await;
    following.abort();
}
