//! The webhook's certificates expire while no operator runs. The next operator replaces both, and the API server trusts
//! them.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use stellar_k8s::labels;
use stellar_k8s::util::clock;
use test_kit::{Options, TestEnv, wait_for};
use x509_parser::pem::parse_x509_pem;

use crate::four::{at_rest, is_reviewed};

/// The decoded certificates of the Secret.
fn kept(env: &TestEnv) -> BTreeMap<String, Vec<u8>> {
    let secret = env
        .get(&format!("secret/{}", labels::DEFAULT_CERTIFICATE_SECRET))
        .expect("the Secret with the certificate");
    let decoded = |name: &str| {
        STANDARD
            .decode(secret["data"][name].as_str().expect("a text"))
            .expect("base64")
    };
    [labels::TLS_CERT, labels::CA_CERT]
        .map(|name| (name.to_owned(), decoded(name)))
        .into()
}

/// When a certificate expires.
fn end(pem: &[u8]) -> Timestamp {
    let (_, pem) = parse_x509_pem(pem).expect("PEM");
    let certificate = pem.parse_x509().expect("a certificate");
    Timestamp::from_second(certificate.validity().not_after.timestamp()).expect("a time")
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_expired_during_a_stop_are_renewed() {
    let env = TestEnv::installed("expired").await;
    let options = Options::default()
        .with("--certificate-lifetime", "9s")
        .with("--ca-lifetime", "15s");
    let operator = env.ready_replica(&options).await;
    let (validators, lives) = at_rest(&env).await;
    let signal = |signal: &str| {
        let sent = Command::new("kill")
            .args([signal, &operator.pid().to_string()])
            .status();
        assert!(sent.expect("kill").success());
    };
    signal("-STOP");
    let before = kept(&env);
    let ends = [labels::TLS_CERT, labels::CA_CERT].map(|name| end(&before[name]));
    wait_for("both to expire", Duration::from_secs(60), async || {
        ends.iter().all(|end| *end < clock::now()).then_some(())
    })
    .await;
    signal("-CONT");
    // The API server may still have a connection from before, on which reviews are answered at once.
    wait_for("both to be replaced", Duration::from_secs(60), async || {
        let after = kept(&env);
        let is_new = |name: &str| after[name] != before[name];
        (is_new(labels::TLS_CERT) && is_new(labels::CA_CERT)).then_some(())
    })
    .await;
    is_reviewed(&env, &validators).await;
    crate::four::a_fifth_joins(&env, &validators, lives).await;
}
