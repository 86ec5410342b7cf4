//! One row for each validator: what the operator knows and says of it. Pure.

use jiff::Timestamp;
use serde::Serialize;

use crate::controller::conditions::ConditionType;
use crate::controller::decide::Plan;
use crate::controller::report::PeersReport;
use crate::controller::snapshot::{Snapshot, Validator};

/// A validator, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    /// Its namespace.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
    /// Its network, as people call it.
    pub(super) network: String,
    /// The ConfigMap of its peer group.
    pub(super) list: String,
    /// Its pod.
    pub(super) pod: Option<String>,
    /// Where the others dial it.
    pub(super) address: Option<String>,
    /// Whether its pod is Ready, which says that it votes.
    pub(super) ready: bool,
    /// Number of other members of its group.
    pub(super) known: i32,
    /// Number of those that its pod loaded; `None` where it does not tell.
    pub(super) loaded: Option<i32>,
    /// Why it is to be restarted; `None` where it is not.
    pub(super) pending_restart: Option<String>,
    /// One word for how it stands.
    pub(super) status: String,
    /// Why it stands so, in a sentence.
    pub(super) why: String,
    /// When it was created.
    pub(super) created: Timestamp,
}

/// The rows of all validators, sorted by namespace and name.
pub(super) fn rows(snapshot: &Snapshot, plan: &Plan) -> Vec<Row> {
    let mut rows: Vec<Row> = snapshot
        .validators
        .iter()
        .map(|validator| row(validator, plan.reports.get(&validator.id)))
        .collect();
    rows.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    rows
}

fn row(validator: &Validator, report: Option<&PeersReport>) -> Row {
    let peers = report.map(|report| report.peers.clone()).unwrap_or_default();
    let (status, why) = status(validator, report);
    Row {
        namespace: validator.id.namespace.clone(),
        name: validator.id.name.clone(),
        network: validator.network.display_name().trim_matches('"').to_owned(),
        list: validator.list.name.clone(),
        pod: validator.pod.as_ref().map(|pod| pod.name.clone()),
        address: peers.address,
        ready: validator.is_voting(),
        known: peers.known,
        loaded: peers.loaded,
        pending_restart: peers.pending_restart,
        status,
        why,
        created: validator.created,
    }
}

/// The first that holds: what is out of order before what is as it should be.
fn status(validator: &Validator, report: Option<&PeersReport>) -> (String, String) {
    let conditions = report.map_or(&[][..], |report| &report.conditions[..]);
    let said = |about: ConditionType, status: bool| {
        let found = conditions
            .iter()
            .find(|finding| finding.condition() == about && finding.status == status)?;
        Some((found.reason.as_str().to_owned(), found.message.clone()))
    };
    if validator.deleting {
        return ("Deleting".to_owned(), "it is being deleted".to_owned());
    }
    said(ConditionType::RolloutStalled, true)
        .or_else(|| said(ConditionType::Joined, false))
        .or_else(|| said(ConditionType::PeersReady, false))
        .or_else(|| said(ConditionType::UpdatePending, true))
        .or_else(|| said(ConditionType::PeerGroupJoined, false))
        .or_else(|| said(ConditionType::PeersReady, true))
        .unwrap_or_default()
}

/// The rows that are new or other than before; one that is gone comes as it was, called so.
pub(super) fn changes(before: &[Row], now: &[Row]) -> Vec<Row> {
    let is_same = |a: &Row, b: &Row| a.namespace == b.namespace && a.name == b.name;
    let mut changed: Vec<Row> = now.iter().filter(|row| !before.contains(row)).cloned().collect();
    let gone = before
        .iter()
        .filter(|row| !now.iter().any(|other| is_same(row, other)))
        .cloned()
        .map(|row| Row {
            status: "Gone".to_owned(),
            why: "it is no longer there".to_owned(),
            ready: false,
            ..row
        });
    changed.extend(gone);
    changed
}
