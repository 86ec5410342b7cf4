//! The rules for a validator's StatefulSet: its ports must agree with each other.
//!
//! A difference between a StellarNode and its StatefulSet is allowed; otherwise the port could never change.

use serde_json::Value;

use super::port;
use crate::admission::stateful_set::{ValidatorSet, parse_port};
use crate::admission::validate::Verdict;
use crate::kubernetes::field_error::FieldError;
use crate::labels;

pub(crate) fn check(object: &Value, set: ValidatorSet<'_>, verdict: &mut Verdict) {
    let annotation_field = format!("metadata.annotations[{}]", labels::PEER_PORT);
    let annotated = set.port_annotation();
    if let Some(text) = annotated {
        let number = parse_port(text).map(i64::from);
        port::check(&annotation_field, number, &format!("{text:?}"), verdict);
    }
    let core = set.core();
    let declared = core.and_then(|core| core.peer_port().map(|port| (core, port)));
    if let Some((core, declared)) = declared {
        let field = format!(
            "spec.template.spec.containers[{}].ports[{}].containerPort",
            core.index, declared.index
        );
        port::check(&field, Some(declared.number), &declared.number.to_string(), verdict);
        let differs = |port: &u16| i64::from(*port) != declared.number;
        if let Some(port) = annotated.and_then(parse_port).filter(differs) {
            verdict.error(FieldError::invalid(
                field,
                format!(
                    "{} is not the {port} of the annotation {}: write the same port in both",
                    declared.number,
                    labels::PEER_PORT
                ),
            ));
        }
    }
    if let (Some(core), Some(wanted)) = (core, set.port()) {
        let field = if annotated.is_some() {
            annotation_field
        } else {
            format!("spec.template.spec.containers[{}].ports", core.index)
        };
        for other in set.others_with(core, wanted) {
            verdict.error(FieldError::invalid(
                field.as_str(),
                format!(
                    "{wanted} is already the port of container {:?}: write a peer port that no other container has",
                    other.name()
                ),
            ));
        }
    }
    if let Some(replicas) = object["spec"]["replicas"].as_i64().filter(|count| *count > 1) {
        let message = format!("{replicas} pods of one validator run with one seed, which harms consensus: write 1");
        if set.has_one_seed() {
            verdict.error(FieldError::invalid("spec.replicas", message));
        } else {
            verdict.warn(format!("spec.replicas: {message}"));
        }
    }
}
