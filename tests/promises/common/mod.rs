//! An operator of the test's own in a real cluster: one namespace, the shipped manifests, the shipped rights.
//!
//! The cluster comes from `STELLAR_TEST_KUBECONFIG` and from nowhere else; `make test` makes one and sets it.

mod balancer;
mod cluster;
mod env;
mod install;
mod kubectl;
mod load;
mod loss;
mod operator;
mod pair;
mod proxy;
mod recorder;
mod second;
mod validators;

pub(crate) use balancer::Balancer;
pub(crate) use cluster::Cluster;
pub(crate) use env::{Options, TestEnv, reason_of};
pub(crate) use kubectl::Output;
pub(crate) use load::Load;
pub(crate) use loss::Loss;
pub(crate) use operator::{Operator, free_port};
pub(crate) use proxy::{Call, Fate, Proxy};
pub(crate) use recorder::Recorder;
pub(crate) use second::Second;
pub(crate) use validators::Validators;

use std::time::{Duration, Instant};

/// What a wait may take on a machine of its own, so many times: machines are shared, and one that is busy otherwise
/// fails nothing.
const PATIENCE: u32 = 3;
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(200);

/// Waits until `probe` finds something, and gives it back; fails the test when that takes far longer than `timeout`.
pub(crate) async fn wait_for<T>(what: &str, timeout: Duration, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let (start, timeout) = (Instant::now(), timeout * PATIENCE);
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(start.elapsed() < timeout, "waited {timeout:?} in vain for {what}");
        tokio::time::sleep(POLL).await;
    }
}
