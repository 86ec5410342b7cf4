//! One row per validator, with the operator's data about it. Pure.

use jiff::Timestamp;
use serde::Serialize;

use crate::controller::discovery::decide::Plan;
use crate::controller::model::conditions::ConditionType;
use crate::controller::model::snapshot::{Snapshot, Validator};
use crate::controller::status::peers::PeersReport;
use crate::util::text::plain;

/// One validator in the output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Display name of the network.
    pub(crate) network: String,
    /// The ConfigMap of its peer group.
    pub(crate) list: String,
    pub(crate) pod: Option<String>,
    pub(crate) address: Option<String>,
    /// Whether the pod is Ready, which means that it votes.
    pub(crate) ready: bool,
    /// Number of other members of the group.
    pub(crate) known: i32,
    /// Number of members that its pod loaded; `None` without a report.
    pub(crate) loaded: Option<i32>,
    /// Reason of the pending restart, if any.
    pub(crate) pending_restart: Option<String>,
    /// The status in one word.
    pub(crate) status: String,
    /// The reason for the status, in a sentence.
    pub(crate) why: String,
    pub(crate) created: Timestamp,
}

impl Row {
    /// Escapes control characters in all texts.
    fn plain(mut self) -> Self {
        let Self {
            namespace,
            name,
            network,
            list,
            pod,
            address,
            ready: _,
            known: _,
            loaded: _,
            pending_restart,
            status,
            why,
            created: _,
        } = &mut self;
        let texts = [namespace, name, network, list, status, why].into_iter();
        for text in texts.chain([pod, address, pending_restart].into_iter().flatten()) {
            *text = plain(text);
        }
        self
    }
}

/// The rows of all validators, sorted by namespace and name, with control characters escaped.
pub(crate) fn rows(snapshot: &Snapshot, plan: &Plan) -> Vec<Row> {
    let mut rows: Vec<Row> = snapshot
        .validators
        .iter()
        .map(|validator| row(validator, plan.reports.get(&validator.id)).plain())
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

/// The first status that applies: problems come before normal states.
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
    said(ConditionType::PodBlocked, true)
        .or_else(|| said(ConditionType::RolloutStalled, true))
        .or_else(|| said(ConditionType::Joined, false))
        .or_else(|| said(ConditionType::PeersReady, false))
        .or_else(|| said(ConditionType::UpdatePending, true))
        .or_else(|| said(ConditionType::PeerGroupJoined, false))
        .or_else(|| said(ConditionType::Voting, false))
        .or_else(|| said(ConditionType::PeersReady, true))
        .unwrap_or_default()
}

/// New and changed rows. A removed row appears with its last values and the status Gone.
pub(crate) fn changes(before: &[Row], now: &[Row]) -> Vec<Row> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::peers::table::table;

    #[test]
    fn no_text_of_a_tenant_is_obeyed_by_a_terminal() {
        let evil = "a\u{1b}[2J\r\nb\u{9b}1m\u{202e}";
        let row = Row {
            namespace: evil.to_owned(),
            name: evil.to_owned(),
            network: evil.to_owned(),
            list: evil.to_owned(),
            pod: Some(evil.to_owned()),
            address: Some(evil.to_owned()),
            ready: true,
            known: 1,
            loaded: Some(1),
            pending_restart: Some(evil.to_owned()),
            status: evil.to_owned(),
            why: evil.to_owned(),
            created: Timestamp::UNIX_EPOCH,
        };
        let rows = [row.plain()];
        let shown = [
            table(&rows, true, true, Timestamp::UNIX_EPOCH),
            serde_json::to_string_pretty(&rows).unwrap(),
            serde_saphyr::to_string(&rows).unwrap(),
        ];
        for shown in shown {
            let lines: Vec<String> = shown.lines().map(str::to_owned).collect();
            assert!(lines.iter().all(|line| *line == plain(line)), "{shown:?}");
        }
        assert_eq!(table(&rows, false, true, Timestamp::UNIX_EPOCH).lines().count(), 1);
    }
}
