//! Two replicas in the place of one, of which whichever leads is killed again and again, as a crash does, and started
//! anew.
//!
//! For whole runs of the tests (`make leaders-killed`): what they promise holds all the same.

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
/// The shortest life of a leader, and how much longer it may be: more than an election takes.
const LIFE: (Duration, Duration) = (Duration::from_secs(6), Duration::from_secs(9));
const LOOK: Duration = Duration::from_millis(100);

/// Whether leaders are to be killed.
pub(crate) fn is_asked_for() -> bool {
    std::env::var_os(ASKED).is_some()
}

/// Two replicas; dropped, they are gone.
#[derive(Debug)]
pub struct Pair {
    task: JoinHandle<()>,
    killed: Arc<AtomicUsize>,
    _balancer: Arc<Balancer>,
}

impl Pair {
    /// Starts both and waits until they are ready; then the killing begins.
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
    // Not `wait_for`: what it is given could not be part of a task of its own.
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

/// From 0 to 1.
fn random() -> f64 {
    let mut byte = [0];
    let _ = SystemRandom::new().fill(&mut byte);
    f64::from(byte[0]) / 255.0
}
