//! The rules for where pods run: what the API server would refuse of a pod's scheduling (`pkg/apis/core/validation`) is
//! refused while its author is there to read why. It does not look into the template of a StatefulSet: the pod would be
//! refused, when the one before is gone.

use k8s_openapi::api::core::v1::Affinity;
use serde_json::Value;

use super::{check_labels, check_shape, repeated};
use crate::admission::validate::Verdict;
use crate::kubernetes::field_error::FieldError;
use crate::kubernetes::names::{is_label_value, is_qualified, not_qualified};
use crate::labels;

/// Effects of a taint.
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
/// How a toleration is compared with a taint; the last two where a newer Kubernetes has them enabled.
const OPERATORS: [&str; 4] = ["Equal", "Exists", "Lt", "Gt"];

/// Judges where the pods of a node are to run.
pub(crate) fn check(spec: &Value, verdict: &mut Verdict) {
    check_labels(&spec["nodeSelector"], "spec.nodeSelector", verdict);
    check_spread(&spec["topologySpreadConstraints"], verdict);
    if spec["affinity"].is_object() {
        check_shape::<Affinity>(&spec["affinity"], "spec.affinity", "affinity", verdict);
    }
    for (place, toleration) in spec["tolerations"].as_array().into_iter().flatten().enumerate() {
        check_toleration(toleration, &format!("spec.tolerations[{place}]"), verdict);
    }
}

fn check_spread(constraints: &Value, verdict: &mut Verdict) {
    let key = |constraint: &Value| {
        let (key, when) = (&constraint["topologyKey"], &constraint["whenUnsatisfiable"]);
        Some(format!("{} with {}", key.as_str()?, when.as_str()?))
    };
    if let Some(both) = repeated(constraints, key) {
        verdict.error(FieldError::duplicate(
            "spec.topologySpreadConstraints",
            format!("there are two for {both}: keep one"),
        ));
    }
    for (place, constraint) in constraints.as_array().into_iter().flatten().enumerate() {
        let field = |name: &str| format!("spec.topologySpreadConstraints[{place}].{name}");
        // ValidateTopologySpreadConstraints in pkg/apis/core/validation: the pod template would be refused, in its
        // slot.
        if constraint["maxSkew"].as_i64().is_some_and(|skew| skew < 1) {
            verdict.error(FieldError::invalid(field("maxSkew"), "must be 1 or more"));
        }
        let when = constraint["whenUnsatisfiable"].as_str();
        if when.is_some_and(|when| !["DoNotSchedule", "ScheduleAnyway"].contains(&when)) {
            let message = "must be DoNotSchedule or ScheduleAnyway";
            verdict.error(FieldError::invalid(field("whenUnsatisfiable"), message));
        }
        if constraint["labelSelector"].is_null() {
            verdict.warn(format!(
                "spec.topologySpreadConstraints[{place}].labelSelector: absent, so it counts no pods and spreads nothing: write \
                 for example matchLabels with {}: {}",
                labels::NAME,
                labels::STELLAR_NODE
            ));
        }
    }
}

fn check_toleration(toleration: &Value, field: &str, verdict: &mut Verdict) {
    let text = |name: &str| toleration[name].as_str().unwrap_or_default();
    let (key, operator, value, effect) = (text("key"), text("operator"), text("value"), text("effect"));
    let mut refuse = |name: &str, message: String| {
        verdict.error(FieldError::invalid(format!("{field}.{name}"), message));
    };
    if !operator.is_empty() && !OPERATORS.contains(&operator) {
        refuse("operator", format!("{operator:?} is none: write Equal or Exists"));
    } else if key.is_empty() && operator != "Exists" {
        refuse(
            "operator",
            "without a key it is Exists: write a key, or operator: Exists".to_owned(),
        );
    }
    if !key.is_empty() && !is_qualified(key) {
        refuse("key", not_qualified(key, "a taint"));
    }
    if operator == "Exists" && !value.is_empty() {
        refuse(
            "value",
            "with operator Exists there is none: leave it out, or write operator: Equal".to_owned(),
        );
    } else if !is_label_value(value) {
        refuse("value", format!("{value:?} cannot be the value of a taint"));
    }
    if !effect.is_empty() && !EFFECTS.contains(&effect) {
        refuse(
            "effect",
            format!("{effect:?} is none: write {}, or leave it out", EFFECTS.join(", ")),
        );
    } else if !toleration["tolerationSeconds"].is_null() && effect != "NoExecute" {
        refuse(
            "effect",
            "with tolerationSeconds it is NoExecute: write that, or leave the seconds out".to_owned(),
        );
    }
}
