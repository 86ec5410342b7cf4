//! The served certificate can change at any time without closing a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stellar_k8s::webhook::limits::Limits;

use crate::client::{Client, Trust};
use crate::server::Server;

pub(crate) fn shown(client: &Client) -> Vec<u8> {
    client.stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_fail_only_without_a_certificate() {
    let server = Server::start_without_certificate(Limits::default(), Duration::ZERO);
    assert!(Client::connect(server.address, &server.trust()).await.is_err());
    server.serve_new_leaf();
    server.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_1_2_and_1_3_with_http_1_1() {
    let server = Server::start(Limits::default());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let trust = Trust::with_versions(&server.authority.certificate.pem, &[version]);
        let mut client = Client::connect(server.address, &trust).await.unwrap();
        assert_eq!(client.post("/mutate", b"{}").await.unwrap().status, 200);
        let session = client.stream.get_ref().1;
        assert_eq!(session.protocol_version(), Some(version.version));
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloading_under_load_drops_no_request() {
    let server = Server::start(Limits::default());
    let done = Arc::new(AtomicBool::new(false));
    let clients = [true, true, false, false].map(|keeps_connection| {
        let (address, trust, done) = (server.address, server.trust(), Arc::clone(&done));
        tokio::spawn(async move {
            let mut answered = 0;
            let mut client = Client::connect(address, &trust).await.unwrap();
            while !done.load(Ordering::Relaxed) {
                if !keeps_connection {
                    client = Client::connect(address, &trust).await.unwrap();
                }
                assert_eq!(client.post("/mutate", b"{}").await.unwrap().status, 200);
                answered += 1;
            }
            answered
        })
    });
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..50 {
        server.serve_new_leaf();
        let mut client = server.connect().await;
        assert_eq!(client.post("/mutate", b"{}").await.unwrap().status, 200);
        seen.insert(shown(&client));
    }
    assert_eq!(seen.len(), 50, "the next client sees each new certificate");
    done.store(true, Ordering::Relaxed);
    for client in clients {
        assert!(client.await.unwrap() > 50, "the load had too few requests");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unusable_certificate_leaves_the_old_one_in_place() {
    let server = Server::start(Limits::default());
    let before = shown(&server.connect().await);
    let (one, other) = (server.new_leaf(), server.new_leaf());
    let cut = one.certificate.pem.len() / 2;
    for (name, chain, key) in [
        ("empty", "", one.key.as_str()),
        ("not PEM", "certificate", one.key.as_str()),
        ("cut off", &one.certificate.pem[..cut], one.key.as_str()),
        ("no key", &one.certificate.pem, ""),
        ("another's key", &one.certificate.pem, other.key.as_str()),
    ] {
        assert!(server.serving.offer(chain, key).is_err(), "{name}");
        assert_eq!(shown(&server.connect().await), before, "{name}");
    }
    assert!(server.serving.offer(&one.certificate.pem, &one.key).unwrap());
    assert!(
        !server.serving.offer(&one.certificate.pem, &one.key).unwrap(),
        "the same certificate is no change"
    );
    assert_ne!(shown(&server.connect().await), before);
}
