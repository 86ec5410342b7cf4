//! The rules for scheduling: settings that the API server would refuse in a pod (`pkg/apis/core/validation`) are
//! refused here, where their author sees the reason. The API server does not validate them in the template of a
//! StatefulSet; it would refuse the new pod after the old one is gone.

use k8s_openapi::api::core::v1::Affinity;
use serde_json::Value;

use super::{check_labels, check_shape, repeated};
use crate::admission::validate::Verdict;
use crate::kubernetes::field_error::FieldError;
use crate::kubernetes::names::{is_label_value, is_qualified, not_qualified};
use crate::labels;

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
/// Operators of a toleration. The last two need a newer Kubernetes.
const OPERATORS: [&str; 4] = ["Equal", "Exists", "Lt", "Gt"];

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
        // ValidateTopologySpreadConstraints in pkg/apis/core/validation; otherwise the API server would refuse the pod
        // template during its slot.
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
        refuse(
            "operator",
            format!("unsupported value {operator:?}: use Equal or Exists"),
        );
    } else if key.is_empty() && operator != "Exists" {
        refuse(
            "operator",
            "a toleration without a key needs operator: Exists: use that, or write a key".to_owned(),
        );
    }
    if !key.is_empty() && !is_qualified(key) {
        refuse("key", not_qualified(key, "a taint"));
    }
    if operator == "Exists" && !value.is_empty() {
        refuse(
            "value",
            "operator Exists takes no value: omit it, or use operator: Equal".to_owned(),
        );
    } else if !is_label_value(value) {
        refuse("value", format!("{value:?} cannot be the value of a taint"));
    }
    if !effect.is_empty() && !EFFECTS.contains(&effect) {
        refuse(
            "effect",
            format!("unsupported value {effect:?}: use {}, or omit it", EFFECTS.join(", ")),
        );
    } else if !toleration["tolerationSeconds"].is_null() && effect != "NoExecute" {
        refuse(
            "effect",
            "tolerationSeconds needs effect NoExecute: use that, or omit tolerationSeconds".to_owned(),
        );
    }
}
