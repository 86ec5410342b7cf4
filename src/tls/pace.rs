//! The waits between rounds of certificate upkeep. They grow after errors; each error is logged once.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info};

use crate::metrics::Metrics;
use crate::util::error_chain;

/// Longest wait after errors.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

pub(super) struct Pace {
    pub(super) interval: Duration,
    metrics: Arc<Metrics>,
    failures: u32,
    last: Option<String>,
}

impl Pace {
    pub(super) fn new(interval: Duration, metrics: Arc<Metrics>) -> Self {
        Self {
            interval,
            metrics,
            failures: 0,
            last: None,
        }
    }

    pub(super) async fn wait<E: Error>(&mut self, doing: &str, result: Result<(), E>) {
        match result {
            Ok(()) => {
                if self.last.take().is_some() {
                    info!("{doing}: works again");
                }
                self.failures = 0;
            }
            Err(error) => {
                let text = error_chain::on_one_line(&error);
                if self.last.as_ref() != Some(&text) {
                    error!("{doing}: {text}");
                }
                self.last = Some(text);
                self.metrics.certificate_failed();
                self.failures = self.failures.saturating_add(1);
            }
        }
        let factor = 2_u32.saturating_pow(self.failures.min(10));
        tokio::time::sleep(
            self.interval
                .saturating_mul(factor)
                .min(LONGEST_WAIT.max(self.interval)),
        )
        .await;
    }
}
