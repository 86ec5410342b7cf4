//! The rules for `minAvailable` and `maxUnavailable`: values that a PodDisruptionBudget accepts, and values that make
//! sense.

use serde_json::Value;

use crate::admission::validate::Verdict;
use crate::kubernetes::field_error::FieldError;

pub(crate) fn check(spec: &Value, verdict: &mut Verdict) {
    let (least, most) = (&spec["minAvailable"], &spec["maxUnavailable"]);
    for (name, value) in [("minAvailable", least), ("maxUnavailable", most)] {
        if !value.is_null() && Amount::parse(value).is_none() {
            verdict.error(FieldError::invalid(
                format!("spec.{name}"),
                format!(
                    "{value} is neither a number of pods nor a percentage up to 100%: write for example 1 or \"50%\""
                ),
            ));
        }
    }
    if !least.is_null() && !most.is_null() {
        verdict.error(FieldError::forbidden(
            "spec.maxUnavailable",
            "given together with minAvailable, and a PodDisruptionBudget takes one of the two: remove one",
        ));
        return;
    }
    let given = if most.is_null() {
        "minAvailable"
    } else {
        "maxUnavailable"
    };
    if least.is_null() && most.is_null() {
        return;
    }
    if spec["nodeType"] == "Validator" {
        verdict.warn(format!(
            "spec.{given}: it concerns Horizon and SorobanRpc; a validator is one pod, so it has no effect: remove it"
        ));
        return;
    }
    let replicas = spec["replicas"].as_i64().unwrap_or(1);
    let none_may_go = match (Amount::parse(least), Amount::parse(most)) {
        (Some(Amount::Pods(least)), _) => least >= replicas && replicas > 0,
        (Some(Amount::Percent(least)), _) => least == 100,
        (None, Some(Amount::Pods(most) | Amount::Percent(most))) => most == 0,
        (None, None) => false,
    };
    if none_may_go {
        verdict.warn(format!(
            "spec.{given}: with {replicas} replicas no pod may ever be evicted, so that the machines they are on cannot be \
             drained: allow one, or write more replicas"
        ));
    }
}

/// An IntOrString of Kubernetes.
enum Amount {
    Pods(i64),
    Percent(i64),
}

impl Amount {
    fn parse(value: &Value) -> Option<Self> {
        let amount = match value {
            Value::String(text) => {
                let number = text.strip_suffix('%')?;
                let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
                Self::Percent(number.parse().ok().filter(|number| plain && *number <= 100)?)
            }
            _ => Self::Pods(
                value
                    .as_i64()
                    .filter(|number| (0..=i64::from(i32::MAX)).contains(number))?,
            ),
        };
        Some(amount)
    }
}
