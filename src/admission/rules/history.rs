//! The rules for `history`: the archive that a validator publishes, and its use of the pod.

use serde_json::Value;

use super::stellar_node::amount_of;
use super::storage;
use crate::admission::validate::Verdict;
use crate::core_config::{self, VOLUME_ARCHIVE};
use crate::crd::{HistoryConfig, Network, Publish, ValidatorConfig};
use crate::kubernetes::field_error::FieldError;
use crate::kubernetes::names::{is_subdomain, not_a_name};
use crate::kubernetes::quantity::Quantity;
use crate::labels;

/// A smaller volume causes a warning: the archive is never pruned, and an idle network writes some 2 GB a year.
const SMALL: &str = "10Gi";

/// Checks `history`, or its default.
pub(crate) fn check(spec: &Value, config: &ValidatorConfig, verdict: &mut Verdict) {
    let network = Network::parse(spec["network"].as_str().unwrap_or_default());
    if let Some(history) = &config.history {
        check_commands(history, verdict);
        check_credentials(history, verdict);
    }
    if core_config::publishes(config, &network) == Publish::Volume {
        if core_config::takes_name_of_volume(config) {
            verdict.error(FieldError::invalid(
                "spec.validatorConfig.coreConfig",
                format!("HISTORY.{VOLUME_ARCHIVE} has the name of the archive that the operator adds: give it another"),
            ));
        }
        check_port(spec, verdict);
        check_sidecars(spec, verdict);
        warn_of_room(spec, verdict);
    }
}

fn check_commands(history: &HistoryConfig, verdict: &mut Verdict) {
    let field = "spec.validatorConfig.history.commands";
    let commands = match (&history.commands, history.publish) {
        (None, Publish::Commands) => {
            verdict.error(FieldError::required(
                field,
                "absent: with publish Commands write get and put, for example get: aws s3 cp s3://bucket/{0} {1}",
            ));
            return;
        }
        (Some(_), Publish::Volume | Publish::None) => {
            verdict.error(FieldError::forbidden(
                field,
                "only publish: Commands has commands: write that, or remove them",
            ));
            return;
        }
        (None, _) => return,
        (Some(commands), Publish::Commands) => commands,
    };
    let all = [
        ("get", Some(&commands.get), 2),
        ("put", Some(&commands.put), 2),
        ("mkdir", commands.mkdir.as_ref(), 1),
    ];
    for (name, text, files) in all
        .into_iter()
        .filter_map(|(name, text, files)| Some((name, text?, files)))
    {
        if text.trim().is_empty() {
            let message = "empty: write the command, with {0} and {1} for the files";
            verdict.error(FieldError::required(format!("{field}.{name}"), message));
        } else if let Some(problem) = core_config::command_problem(name, text, files) {
            verdict.error(FieldError::invalid(format!("{field}.{name}"), problem));
        }
    }
}

fn check_credentials(history: &HistoryConfig, verdict: &mut Verdict) {
    let field = "spec.validatorConfig.history.credentialsSecretRef";
    let Some(name) = &history.credentials_secret_ref else {
        return;
    };
    if history.publish != Publish::Commands {
        verdict.error(FieldError::forbidden(
            field,
            "only the commands of publish: Commands have credentials: write that, or remove it",
        ));
    } else if !is_subdomain(name) {
        verdict.error(FieldError::invalid(field, not_a_name(name, "Secret")));
    }
}

fn check_port(spec: &Value, verdict: &mut Verdict) {
    if spec["validatorConfig"]["peerPort"] == labels::HISTORY_PORT {
        verdict.error(FieldError::invalid(
            "spec.validatorConfig.peerPort",
            format!(
                "{} is the port of the container {:?} in the same pod: write another, for example 11625",
                labels::HISTORY_PORT,
                labels::HISTORY_CONTAINER
            ),
        ));
    }
}

fn check_sidecars(spec: &Value, verdict: &mut Verdict) {
    let sidecars = spec["sidecars"].as_array().into_iter().flatten().enumerate();
    for (place, sidecar) in sidecars {
        let field = format!("spec.sidecars[{place}]");
        let name = sidecar["name"].as_str().unwrap_or_default();
        if [labels::HISTORY_CONTAINER, labels::NEW_HIST_CONTAINER].contains(&name) {
            verdict.error(FieldError::duplicate(
                format!("{field}.name"),
                format!("{name:?} is the name of a container of the operator: write another"),
            ));
        }
        let ports = sidecar["ports"].as_array().into_iter().flatten().enumerate();
        for (index, _) in ports.filter(|(_, port)| port["containerPort"] == labels::HISTORY_PORT) {
            verdict.error(FieldError::duplicate(
                format!("{field}.ports[{index}].containerPort"),
                format!(
                    "{} is the port of the container {:?}: write another",
                    labels::HISTORY_PORT,
                    labels::HISTORY_CONTAINER
                ),
            ));
        }
    }
}

fn warn_of_room(spec: &Value, verdict: &mut Verdict) {
    if storage::in_pod(spec) {
        verdict.warn(
            "spec.storage.mode: with EmptyDir the archive that this validator publishes is lost with each pod: write \
             PersistentVolume, or validatorConfig.history.publish: None where another validator's archive is read",
        );
        return;
    }
    let size = &spec["storage"]["size"];
    if let (Some(given), Some(least)) = (amount_of(size), Quantity::parse(SMALL))
        && given < least
    {
        verdict.warn(format!(
            "spec.storage.size: {size} also holds the archive that this validator publishes, which only grows (some 2 GB a \
             year while the network is idle): {SMALL} or more is safe"
        ));
    }
}
