//! Replicas come and go, one at a time, and no call fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::balancer::Balancer;
use crate::cluster::Cluster;
use crate::replica::Replica;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_restart_in_turn_and_no_call_fails() {
    let cluster = Arc::new(Cluster::new().await);
    let balancer = Balancer::start().await;
    let start = async || {
        let replica = Replica::start(&cluster, &["--drain-time", "3s"]).await;
        balancer.add(&replica);
        replica.ready().await;
        replica
    };
    let (first, second) = (start().await, start().await);
    balancer.hears(2).await;
    cluster.register(balancer.address, balancer.address).await;
    cluster.create_until_trusted().await;

    let done = Arc::new(AtomicBool::new(false));
    let load = [0, 1, 2, 3].map(|task| {
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
    first.stop().await;
    let first = start().await;
    second.stop().await;
    let second = start().await;
    first.stop().await;
    done.store(true, Ordering::Relaxed);
    let mut created = 0;
    for task in load {
        let (count, failed) = task.await.unwrap();
        assert_eq!(failed, Vec::<String>::new());
        created += count;
    }
    eprintln!("{created} objects created over three restarts, 0 failures");
    drop(second);
    Arc::into_inner(cluster).unwrap().remove().await;
}
