//! The loaded peers as a graph for Graphviz. Pure.
//!
//! | | drawn as |
//! |---|---|
//! | a voting validator | green |
//! | a validator with a pending or running restart | orange |
//! | a validator that does not vote | red |
//! | a suspended validator, or one that has not joined | grey |
//! | loaded the other's current address | black arrow |
//! | no report of loaded peers | dotted grey arrow |
//! | neither member loaded the other | dashed red line |

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::controller::Options;
use crate::controller::discovery::decide::{Plan, decide};
use crate::controller::model::snapshot::{Snapshot, Validator};
use crate::controller::peering::groups::{self, Group};
use crate::controller::peering::links::Acquaintance;

/// The graph of all groups, one box per group.
pub(crate) fn graph(snapshot: &Snapshot, options: &Options) -> String {
    let plan = decide(snapshot, options);
    let mut text = "digraph peers {\n  node [shape=box, style=filled];\n".to_owned();
    for (number, group) in groups::form(snapshot, options).iter().enumerate() {
        let title = format!(
            "{}/{}, {}",
            group.id.namespace,
            group.id.name,
            group.network.display_name()
        );
        let _ = writeln!(text, "  subgraph cluster_{number} {{\n    label={title:?};");
        for validator in &group.validators {
            text.push_str(&node(snapshot, group, &plan, validator));
        }
        text.push_str("  }\n");
        text.push_str(&edges(group));
    }
    text.push_str("}\n");
    text
}

fn node(snapshot: &Snapshot, group: &Group<'_>, plan: &Plan, validator: &Validator) -> String {
    let member = group.member(validator);
    let report = plan.reports.get(&validator.id);
    let pending = report.and_then(|report| report.peers.pending_restart.as_deref());
    let mut slots = snapshot.slots.values().flat_map(|lease| &lease.slots);
    let has_slot = slots.any(|slot| slot.uid == validator.uid);
    let color = if pending.is_some() || has_slot {
        "orange"
    } else if validator.suspended || member.is_none() {
        "lightgrey"
    } else if validator.is_voting() {
        "palegreen"
    } else {
        "tomato"
    };
    let address = member
        .and_then(|member| member.address.as_deref())
        .unwrap_or("no address");
    let mut label = format!("{}\n{address}", validator.id.name);
    if let Some(pending) = pending {
        label.push_str(&format!("\n{pending}"));
    }
    let id = validator.id.to_string();
    format!("    {id:?} [label={label:?}, fillcolor={color}];\n")
}

/// The arrows from this group's own members. Those from remote members are drawn with their own list.
fn edges(group: &Group<'_>) -> String {
    let acquaintance = Acquaintance::of(group);
    let members = &group.members;
    let own = |index: &usize| members[*index].validator.list == group.id;
    let mut text = String::new();
    let mut apart = BTreeSet::new();
    for a in (0..members.len()).filter(own) {
        for b in (0..members.len()).filter(|b| *b != a) {
            let (from, to) = (members[a].validator.id.to_string(), members[b].validator.id.to_string());
            match acquaintance.knows(a, b) {
                Some(true) => {
                    let _ = writeln!(text, "  {from:?} -> {to:?};");
                }
                None => {
                    let _ = writeln!(text, "  {from:?} -> {to:?} [style=dotted, color=grey];");
                }
                Some(false) if acquaintance.knows(b, a) == Some(false) => {
                    apart.insert(if from < to { (from, to) } else { (to, from) });
                }
                Some(false) => {}
            }
        }
    }
    for (one, other) in apart {
        let _ = writeln!(text, "  {one:?} -> {other:?} [style=dashed, color=red, dir=none];");
    }
    text
}
