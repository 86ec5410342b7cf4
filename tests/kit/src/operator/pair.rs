//! Two replicas instead of one. The leader is killed repeatedly, as by a crash, and restarted.
//!
//! `make leaders-killed` runs all promises this way: they must hold nevertheless.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::task::JoinHandle;

use crate::Balancer;
use crate::Options;
use crate::env::Site;
use crate::operator::{Operator, free_port};

/// Set for a run in which leaders are killed.
const ASKED: &str = "STELLAR_TEST_KILL_LEADERS";
/// The shortest life of a leader, which is longer than an election, and the largest random addition to it.
const LIFE: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(9));
const LOOK: Duration = Duration::from_millis(100);

/// Whether leaders are to be killed.
pub(crate) fn is_asked_for() -> bool {
    std::env::var_os(ASKED).is_some()
}

/// Two replicas; dropping the value stops them.
#[derive(Debug)]
pub struct Pair {
    task: JoinHandle<()>,
    killed: Arc<AtomicUsize>,
    _balancer: Arc<Balancer>,
}

impl Pair {
    /// Starts both, waits until they are ready, and then starts to kill leaders.
    pub(crate) async fn start(site: Site, options: Options) -> Self {
        let options = options.with("--lease-duration", "3s");
        let balancer = Arc::new(Balancer::listen(site.webhook_port).await);
        let replicas = [
            ready(&site, &options, &balancer).await,
            ready(&site, &options, &balancer).await,
        ];
        balancer.wait_for_ready(2).await;
        let killed = Arc::default();
        let task = tokio::spawn(kill_leaders(
            site,
            options,
            Arc::clone(&balancer),
            replicas,
            Arc::clone(&killed),
        ));
        Self {
            task,
            killed,
            _balancer: balancer,
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.task.abort();
        println!("leaders killed: {}", self.killed.load(Ordering::Relaxed));
    }
}

async fn ready(site: &Site, options: &Options, balancer: &Balancer) -> Operator {
    let mut replica = site.start(options, free_port(), None);
    // `wait_for` is not usable here: its future cannot be part of a spawned task.
    while !replica.is_ready().await {
        tokio::time::sleep(LOOK).await;
    }
    balancer.add(&replica);
    replica
}

async fn kill_leaders(
    site: Site,
    options: Options,
    balancer: Arc<Balancer>,
    mut replicas: [Operator; 2],
    killed: Arc<AtomicUsize>,
) {
    loop {
        tokio::time::sleep(LIFE.0 + LIFE.1.mul_f64(random())).await;
        for replica in &mut replicas {
            if replica.leads().await {
                balancer.remove(replica);
                replica.kill_now();
                killed.fetch_add(1, Ordering::Relaxed);
                *replica = ready(&site, &options, &balancer).await;
                break;
            }
        }
    }
}

/// A random number from 0 to 1.
fn random() -> f64 {
    let mut byte = [0];
    let _ = SystemRandom::new().fill(&mut byte);
    f64::from(byte[0]) / 255.0
}
