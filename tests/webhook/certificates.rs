//! The API server trusts the served certificate from the first call on, through every rotation and after every edit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use stellar_k8s::labels;
use stellar_k8s::tls::plan::{self, Policy, Step};
use stellar_k8s::tls::store::{Store, StoreError};
use stellar_k8s::util::clock;

use crate::cluster::{Cluster, eventually};
use crate::replica::Replica;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_that_start_together_share_one_ca() {
    for _ in 0..5 {
        let cluster = Cluster::new().await;
        let replicas = tokio::join!(Replica::start(&cluster, &[]), Replica::start(&cluster, &[]));
        let replicas = <[Replica; 2]>::from(replicas);
        cluster.register_replicas(&replicas).await;
        for replica in &replicas {
            replica.ready().await;
        }
        let secret = cluster.secret().await;
        let [mutating, validating] = cluster.bundles().await;
        assert_eq!(
            mutating,
            secret[labels::CA_CERT],
            "there is one CA, and caBundle has it"
        );
        assert_eq!(validating, mutating);
        for replica in &replicas {
            assert_eq!(replica.shown(&mutating).await.unwrap(), secret[labels::TLS_CERT]);
        }
        cluster.create_until_trusted().await;
        cluster.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_under_load_fails_no_request() {
    let cluster = Arc::new(Cluster::new().await);
    let lives = ["--certificate-lifetime", "6s", "--ca-lifetime", "24s"];
    let replicas = [
        Replica::start(&cluster, &lives).await,
        Replica::start(&cluster, &lives).await,
    ];
    cluster.register_replicas(&replicas).await;
    for replica in &replicas {
        replica.ready().await;
    }
    cluster.create_until_trusted().await;

    let done = Arc::new(AtomicBool::new(false));
    let load = [0, 1, 2].map(|task| {
        let (cluster, done) = (Arc::clone(&cluster), Arc::clone(&done));
        tokio::spawn(async move {
            let (mut created, mut failed) = (0, Vec::new());
            while !done.load(Ordering::Relaxed) {
                match cluster.create(&format!("load-{task}-{created}")).await {
                    Ok(()) => created += 1,
                    Err(error) => failed.push(error.to_string()),
                }
            }
            (created, failed)
        })
    });
    // The API server reuses connections, so a second client makes new handshakes with each replica all the time.
    let (mut leaves, mut authorities, mut handshakes) = (Vec::new(), Vec::new(), 0);
    let begin = Instant::now();
    while authorities.len() < 3 || leaves.len() < 7 {
        assert!(
            begin.elapsed() < Duration::from_secs(90),
            "{} leaves, {} CAs",
            leaves.len(),
            authorities.len()
        );
        let [bundle, _] = cluster.bundles().await;
        for replica in &replicas {
            let leaf = replica
                .shown(&bundle)
                .await
                .unwrap_or_else(|error| panic!("not trusted: {error}"));
            handshakes += 1;
            if !leaves.contains(&leaf) {
                leaves.push(leaf);
            }
        }
        let authority = cluster.secret().await[labels::CA_CERT].clone();
        if !authorities.contains(&authority) {
            authorities.push(authority);
        }
    }
    done.store(true, Ordering::Relaxed);
    let mut created = 0;
    for task in load {
        let (count, failed) = task.await.unwrap();
        assert_eq!(failed, Vec::<String>::new());
        created += count;
    }
    eprintln!(
        "{created} objects created in {:.0?}, {handshakes} handshakes, {} certificates, {} CAs, 0 failures",
        begin.elapsed(),
        leaves.len(),
        authorities.len(),
    );
    Arc::into_inner(cluster).unwrap().remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_ca_bundle_is_restored_and_nothing_else_is_changed() {
    let cluster = Cluster::new().await;
    let replica = [Replica::start(&cluster, &[]).await];
    cluster.register_replicas(&replica).await;
    replica[0].ready().await;
    cluster.create_until_trusted().await;
    let [right, _] = cluster.bundles().await;

    let other = cluster.register_other().await;
    let edit = json!([
        { "op": "remove", "path": "/webhooks/0/clientConfig/caBundle" },
        { "op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": 7 },
    ]);
    let patch = Patch::<()>::Json(serde_json::from_value(edit).unwrap());
    let begin = Instant::now();
    cluster
        .mutating()
        .patch(&cluster.name, &PatchParams::default(), &patch)
        .await
        .unwrap();
    eventually("caBundle is restored", async || cluster.bundles().await[0] == right).await;
    eprintln!("restored after {:.1?}", begin.elapsed());
    let edited = cluster.mutating().get(&cluster.name).await.unwrap();
    assert_eq!(
        edited.webhooks.unwrap()[0].timeout_seconds,
        Some(7),
        "the rest of the edit stays"
    );
    cluster.create_until_trusted().await;
    assert_eq!(
        cluster
            .mutating()
            .get(&other.metadata.name.clone().unwrap())
            .await
            .unwrap(),
        other
    );
    cluster.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_replica_is_ready_before_the_certificate_is_trusted() {
    let cluster = Cluster::new().await;
    let address = {
        let first = Replica::start(&cluster, &[]).await;
        first.ready().await;
        first.address
    };
    // The certificate exists, but the policy prevents the replica from writing it into the registrations.
    cluster.register(address, address).await;
    cluster.refuse_changes_of(&["mutatingwebhookconfigurations"]).await;
    let replica = Replica::start(&cluster, &[]).await;
    eventually("/readyz says what is missing, and why", async || {
        let missing = replica.readiness.missing();
        missing
            .iter()
            .any(|(condition, reason)| *condition == "caBundle" && reason.contains("nobody changes this here"))
    })
    .await;
    assert!(!replica.readiness.is_ready());
    let [mutating, validating] = cluster.bundles().await;
    assert_eq!(mutating, "");
    assert!(!validating.is_empty(), "a refused write does not prevent the other");
    cluster.allow_changes().await;
    replica.ready().await;
    cluster.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_with_other_settings_than_the_leader_becomes_ready() {
    let cluster = Cluster::new().await;
    let leader = Replica::lead_elsewhere(&cluster).await;
    let replicas = [Replica::follow(&cluster).await];
    cluster.register_replicas(&replicas).await;
    replicas[0].ready().await;
    cluster.create_until_trusted().await;
    let [mutating, validating] = cluster.bundles().await;
    assert_eq!(mutating, validating);
    let secret = cluster.secret().await;
    assert_eq!(replicas[0].shown(&mutating).await.unwrap(), secret[labels::TLS_CERT]);
    drop(leader);
    cluster.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_configuration_is_not_recreated() {
    let cluster = Cluster::new().await;
    let replica = [Replica::start(&cluster, &[]).await];
    cluster.register_replicas(&replica).await;
    replica[0].ready().await;
    cluster
        .mutating()
        .delete(&cluster.name, &Default::default())
        .await
        .unwrap();
    // The keeper repairs the other configuration, so it has also checked the deleted one.
    let patch = json!([{ "op": "remove", "path": "/webhooks/0/clientConfig/caBundle" }]);
    let patch = Patch::<()>::Json(serde_json::from_value(patch).unwrap());
    cluster
        .validating()
        .patch(&cluster.name, &PatchParams::default(), &patch)
        .await
        .unwrap();
    eventually("the other is repaired", async || {
        let other = cluster.validating().get(&cluster.name).await.unwrap();
        other.webhooks.unwrap()[0].client_config.ca_bundle.is_some()
    })
    .await;
    assert!(cluster.mutating().get_opt(&cluster.name).await.unwrap().is_none());
    replica[0].ready().await;
    cluster.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_one_of_two_certificate_managers_creates_the_secret() {
    let cluster = Cluster::new().await;
    let first = Store::new(cluster.operator().await, &cluster.name, &cluster.name);
    let second = first.clone();
    let day = SignedDuration::from_hours(24);
    let policy = Policy {
        names: ["127.0.0.1".to_owned()].into(),
        leaf_lifetime: day,
        ca_lifetime: day * 2,
        settle: SignedDuration::ZERO,
    };
    let material = || {
        let made = plan::after(Step::CreateAll, None, &policy, clock::now()).unwrap();
        made.expect("a certificate")
    };
    let (nothing, nor_here) = (first.read().await.unwrap(), second.read().await.unwrap());
    let made = material();
    first.write(&nothing, &made).await.unwrap();
    let error = second.write(&nor_here, &material()).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
    assert_eq!(cluster.secret().await[labels::TLS_CERT], made.leaf.certificate.pem);
    cluster.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_of_another_owner_is_left_alone() {
    let cluster = Cluster::new().await;
    let theirs = json!({ "metadata": { "name": cluster.name }, "stringData": { "password": "theirs" } });
    let theirs = serde_json::from_value(theirs).unwrap();
    let theirs = cluster.secrets().create(&PostParams::default(), &theirs).await.unwrap();
    let replica = Replica::start(&cluster, &[]).await;
    eventually("/readyz names the Secret", async || {
        let missing = replica.readiness.missing();
        missing
            .iter()
            .any(|(condition, reason)| *condition == "certificate" && reason.contains("is not ours"))
    })
    .await;
    assert_eq!(cluster.secrets().get(&cluster.name).await.unwrap(), theirs);
    cluster.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_secret_is_replaced() {
    let cluster = Cluster::new().await;
    let replica = [Replica::start(&cluster, &[]).await];
    cluster.register_replicas(&replica).await;
    replica[0].ready().await;
    let before = cluster.secret().await;
    let patch = Patch::Merge(json!({ "stringData": { labels::TLS_CERT: "nonsense" } }));
    cluster
        .secrets()
        .patch(&cluster.name, &PatchParams::default(), &patch)
        .await
        .unwrap();
    eventually("a new certificate is trusted and served", async || {
        let secret = cluster.secret().await;
        let [bundle, _] = cluster.bundles().await;
        let shown = replica[0].shown(&bundle).await;
        secret[labels::CA_CERT] != before[labels::CA_CERT] && shown.is_ok_and(|leaf| leaf == secret[labels::TLS_CERT])
    })
    .await;
    cluster.create_until_trusted().await;
    cluster.remove().await;
}
