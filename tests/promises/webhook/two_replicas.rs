//! Two replicas serve the webhook and one of them leads. They start, stop, crash and renew their certificate, and no
//! request waits or fails because of it.

use std::collections::BTreeSet;

use serde_json::json;
use stellar_k8s::labels;
use test_kit::{Balancer, Load, Operator, Options, SOON, TestEnv, free_port, wait_for};

fn options() -> Options {
    // Longer than the balancer needs to notice that a replica is ending.
    Options::default()
        .with("--drain-time", "3s")
        .with("--lease-duration", "3s")
}

/// Starts a replica behind the balancer and waits until the balancer sees it ready, in addition to `others`.
async fn ready_replica(env: &TestEnv, balancer: &Balancer, options: &Options, others: usize) -> Operator {
    let replica = env.replica(options, free_port());
    balancer.add(&replica);
    balancer.wait_for_ready(others + 1).await;
    replica
}

/// The CA in the certificate Secret, and the `caBundle` of each webhook of both configurations.
fn authorities(env: &TestEnv) -> (String, Vec<String>) {
    let secret = env
        .get(&format!("secret/{}", labels::DEFAULT_CERTIFICATE_SECRET))
        .expect("the certificate Secret");
    let authority = secret["data"][labels::CA_CERT].as_str().expect("an authority");
    let name = env.configuration();
    let trusted = ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"]
        .into_iter()
        .flat_map(|kind| {
            let configuration = env.get(&format!("{kind}/{name}")).expect("a configuration");
            let webhooks = configuration["webhooks"].as_array().cloned().unwrap_or_default();
            webhooks.into_iter().map(|webhook| {
                webhook["clientConfig"]["caBundle"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            })
        })
        .collect();
    (authority.to_owned(), trusted)
}

async fn one_leads(replicas: &mut [&mut Operator]) -> usize {
    wait_for("exactly one replica to lead", SOON, async || {
        let mut leaders = Vec::new();
        for (place, replica) in replicas.iter().enumerate() {
            if replica.leads().await {
                leaders.push(place);
            }
        }
        (leaders.len() == 1).then(|| leaders[0])
    })
    .await
}

fn create_horizon(env: &TestEnv, name: &str) {
    let node = json!({
        "apiVersion": "stellar.org/v1alpha1", "kind": "StellarNode", "metadata": { "name": name },
        "spec": {
            "nodeType": "Horizon", "network": "testnet", "version": "26.0.1",
            "horizonConfig": { "databaseSecretRef": "db", "stellarCoreUrl": "http://core:11626" },
        },
    });
    env.kubectl_with(&["create", "-f", "-"], &node.to_string()).ok(name);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_started_together_share_one_ca_and_both_serve() {
    let env = TestEnv::installed("replicas-start").await;
    let (mut first, mut second) = (
        env.replica(&options(), free_port()),
        env.replica(&options(), free_port()),
    );
    for replica in [&mut first, &mut second] {
        wait_for("both replicas to be ready", SOON, async || {
            replica.is_ready().await.then_some(())
        })
        .await;
    }
    one_leads(&mut [&mut first, &mut second]).await;
    let (authority, trusted) = authorities(&env);
    assert_eq!(trusted, vec![authority; 4], "one CA, trusted by all four webhooks");
    // Each replica alone answers the API server.
    for (name, replica) in [("by-the-first", &first), ("by-the-second", &second)] {
        let balancer = Balancer::listen(env.webhook_port()).await;
        balancer.add(replica);
        balancer.wait_for_ready(1).await;
        create_horizon(&env, name);
        drop(balancer);
        // An open connection would keep reaching the same replica.
        wait_for("the balancer to stop", SOON, async || {
            std::net::TcpListener::bind(("127.0.0.1", env.webhook_port()))
                .is_ok()
                .then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_restart_one_by_one_without_a_failed_request() {
    let env = TestEnv::installed("replicas-restart").await;
    let balancer = Balancer::listen(env.webhook_port()).await;
    let options = options();
    let mut first = ready_replica(&env, &balancer, &options, 0).await;
    let mut second = ready_replica(&env, &balancer, &options, 1).await;
    let load = Load::begin(env.cluster(), env.namespace()).await;
    // Restart the leader twice, so that each replica restarts once.
    for _ in 0..2 {
        let leader = one_leads(&mut [&mut first, &mut second]).await;
        if leader == 1 {
            std::mem::swap(&mut first, &mut second);
        }
        first.terminate().await;
        balancer.wait_for_ready(1).await;
        wait_for("the other to lead", SOON, async || second.leads().await.then_some(())).await;
        first = ready_replica(&env, &balancer, &options, 1).await;
    }
    let counts = load.end().await;
    assert_eq!(counts.failed, Vec::<String>::new(), "of {}", counts.admitted);
    assert!(counts.admitted > 0);
    eprintln!("{} creates while both replicas restarted, 0 failures", counts.admitted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loses_only_the_requests_in_flight() {
    let env = TestEnv::installed("replicas-crash").await;
    let balancer = Balancer::listen(env.webhook_port()).await;
    let options = options();
    let mut first = ready_replica(&env, &balancer, &options, 0).await;
    let mut second = ready_replica(&env, &balancer, &options, 1).await;
    if one_leads(&mut [&mut first, &mut second]).await == 1 {
        std::mem::swap(&mut first, &mut second);
    }
    let load = Load::begin(env.cluster(), env.namespace()).await;
    first.kill();
    balancer.wait_for_ready(1).await;
    wait_for("the other to lead", SOON, async || second.leads().await.then_some(())).await;
    let under_way = load.tasks();
    let counts = load.end().await;
    assert!(
        counts.failed.len() <= under_way,
        "{} failed of {}: {:?}",
        counts.failed.len(),
        counts.admitted,
        counts.failed
    );
    eprintln!(
        "{} creates, {} lost with the crash",
        counts.admitted,
        counts.failed.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_renew_certificate_and_ca_without_a_failed_request() {
    let env = TestEnv::installed("replicas-renew").await;
    let balancer = Balancer::listen(env.webhook_port()).await;
    let options = options()
        // A third of the lifetime is left for a renewal, even on a busy machine.
        .with("--certificate-lifetime", "12s")
        .with("--ca-lifetime", "36s");
    let _first = ready_replica(&env, &balancer, &options, 0).await;
    let _second = ready_replica(&env, &balancer, &options, 1).await;
    let load = Load::begin(env.cluster(), env.namespace()).await;
    let (mut leaves, mut roots) = (BTreeSet::new(), BTreeSet::new());
    wait_for("three more certificates and one more CA", SOON * 2, async || {
        let secret = env.get(&format!("secret/{}", labels::DEFAULT_CERTIFICATE_SECRET))?;
        let text = |key: &str| secret["data"][key].as_str().map(str::to_owned);
        leaves.insert(text(labels::TLS_CERT));
        roots.insert(text(labels::CA_CERT));
        (leaves.len() > 3 && roots.len() > 1).then_some(())
    })
    .await;
    wait_for("both replicas to serve the new certificates", SOON, async || {
        (env.log().matches("serving a new certificate").count() >= 2 * 3).then_some(())
    })
    .await;
    let counts = load.end().await;
    assert_eq!(counts.failed, Vec::<String>::new(), "of {}", counts.admitted);
    eprintln!(
        "{} creates, {} certificates, {} authorities, 0 failures",
        counts.admitted,
        leaves.len(),
        roots.len()
    );
}
