//! Reports validators whose seed runs twice, and counts them for each list. Pure.

use std::collections::{BTreeMap, HashMap};

use crate::controller::exclusivity::shared_keys::SharedKey;
use crate::controller::model::snapshot::Snapshot;
use crate::controller::status::peers::PeersReport;
use crate::metrics::GroupMetrics;
use crate::peers::NodeId;

/// Adds a condition to the report of each validator in `shared`, and the number of these to the metrics of each list.
pub(crate) fn report(
    shared: &BTreeMap<NodeId, SharedKey>,
    snapshot: &Snapshot,
    reports: &mut BTreeMap<NodeId, PeersReport>,
    metrics: &mut [GroupMetrics],
) {
    for (id, found) in shared {
        if let Some(report) = reports.get_mut(id) {
            report.conditions.push(found.finding());
        }
    }
    let mut of_lists = HashMap::<_, usize>::new();
    for validator in snapshot
        .validators
        .iter()
        .filter(|validator| shared.contains_key(&validator.id))
    {
        *of_lists
            .entry((&validator.list.namespace, &validator.list.name))
            .or_default() += 1;
    }
    for metrics in metrics {
        let count = of_lists.get(&(&metrics.namespace, &metrics.config_map)).copied();
        metrics.shared_seeds += count.unwrap_or_default();
    }
}
