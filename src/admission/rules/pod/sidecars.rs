//! The rules for a user's sidecars: they must not use the operator's names, ports or volumes.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::Container;
use serde_json::Value;

use super::{check_shape, repeated};
use crate::admission::validate::Verdict;
use crate::kubernetes::field_error::FieldError;
use crate::kubernetes::names::is_dns_label;
use crate::labels::{self, LABEL_LIMIT};
use crate::util::text::cut;

/// Volumes of a validator's pod that contain its seed: the rendered config, and the volume of a CSI driver.
const SEED_VOLUMES: [&str; 2] = [labels::CONFIG_VOLUME, labels::SEED_VOLUME];

pub(crate) fn check(spec: &Value, verdict: &mut Verdict) {
    let mut names = own_names(spec);
    let mut ports = own_ports(spec);
    let sidecars = spec["sidecars"].as_array();
    for (place, sidecar) in sidecars.into_iter().flatten().enumerate() {
        let field = format!("spec.sidecars[{place}]");
        check_shape::<Container>(sidecar, &field, "container", verdict);
        check_name(sidecar, &field, &mut names, verdict);
        check_ports(sidecar, &field, &mut ports, verdict);
        check_mounts(spec, sidecar, &field, verdict);
        if sidecar["image"].as_str().is_none_or(str::is_empty) {
            verdict.error(FieldError::required(
                format!("{field}.image"),
                "absent: write the image of the container, with its tag",
            ));
        }
        if let Some(name) = repeated(&sidecar["env"], |variable| variable["name"].as_str()) {
            verdict.error(FieldError::duplicate(
                format!("{field}.env"),
                format!("{name} is given twice: keep one"),
            ));
        }
        if !is_restricted(sidecar) {
            verdict.warn(format!(
                "{field}.securityContext: a namespace that enforces the Pod Security Standard restricted refuses the whole pod: \
                 write allowPrivilegeEscalation: false and capabilities: {{drop: [ALL]}}"
            ));
        }
        if spec["nodeType"] == "Validator" {
            warn_of(sidecar, &field, verdict);
        }
    }
}

/// Names of the operator's containers, each with its owner.
fn own_names(spec: &Value) -> HashMap<String, String> {
    let names: &[&str] = match spec["nodeType"].as_str() {
        Some("Validator") => &[
            labels::RENDER_CONTAINER,
            labels::NEW_DB_CONTAINER,
            labels::HEALTH_CONTAINER,
            // The names that identify the core container.
            labels::CORE_CONTAINERS[0],
            labels::CORE_CONTAINERS[1],
            labels::CORE_CONTAINERS[2],
        ],
        Some("Horizon") => &[labels::HORIZON_CONTAINER],
        _ => &[labels::RPC_CONTAINER],
    };
    let ours = names.iter().map(|name| ((*name).to_owned(), "the operator".to_owned()));
    ours.collect()
}

/// Ports of the operator's containers, each with its use.
fn own_ports(spec: &Value) -> HashMap<i64, String> {
    let core = (i64::from(labels::HTTP_PORT), "stellar-core's HTTP port".to_owned());
    if spec["nodeType"] == "Validator" {
        let peer = spec["validatorConfig"]["peerPort"].as_i64();
        let peer = peer.unwrap_or_else(|| i64::from(crate::crd::default_peer_port()));
        let health = format!("the port of container {:?}", labels::HEALTH_CONTAINER);
        // For equal numbers, the last entry wins.
        return HashMap::from([
            (i64::from(labels::HEALTH_PORT), health),
            core,
            (peer, "the peer port".to_owned()),
        ]);
    }
    HashMap::from([
        (i64::from(labels::API_PORT), "the port of the API".to_owned()),
        (i64::from(labels::ADMIN_PORT), "the admin port".to_owned()),
        core,
    ])
}

fn own_volumes(spec: &Value) -> Vec<&'static str> {
    let mut volumes = vec![labels::DATA_VOLUME, labels::TMP_VOLUME, labels::CONFIG_VOLUME];
    if spec["nodeType"] == "Validator" {
        volumes.extend([labels::BASE_VOLUME, labels::PEERS_VOLUME]);
        if !spec["validatorConfig"]["kmsConfig"]["csi"].is_null() {
            volumes.push(labels::SEED_VOLUME);
        }
    }
    volumes
}

/// Checks the volume mounts. The API server validates the pod template of a Deployment but not that of a StatefulSet,
/// whose pods may get further volumes from another webhook, such as a secrets agent's.
fn check_mounts(spec: &Value, sidecar: &Value, field: &str, verdict: &mut Verdict) {
    let volumes = own_volumes(spec);
    let mounts = sidecar["volumeMounts"].as_array().into_iter().flatten().enumerate();
    let names = mounts.filter_map(|(place, mount)| Some((place, mount["name"].as_str()?)));
    for (place, name) in names.filter(|(_, name)| !volumes.contains(name)) {
        let field = format!("{field}.volumeMounts[{place}].name");
        let message = format!("the pod has no volume {name:?}: mount one of {}", volumes.join(", "));
        if spec["nodeType"] == "Validator" {
            verdict.warn(format!("{field}: {message}, unless a webhook for pods adds it"));
        } else {
            verdict.error(FieldError::invalid(field, message));
        }
    }
}

fn check_name(sidecar: &Value, field: &str, names: &mut HashMap<String, String>, verdict: &mut Verdict) {
    let field = format!("{field}.name");
    let Some(name) = sidecar["name"].as_str().filter(|name| !name.is_empty()) else {
        verdict.error(FieldError::required(field, "absent: write a name for the container"));
        return;
    };
    if !is_dns_label(name) {
        verdict.error(FieldError::invalid(
            field,
            format!(
                "{name:?} cannot be the name of a container: write at most {LABEL_LIMIT} of a-z, 0-9 and -, first and last no -"
            ),
        ));
    } else if let Some(whose) = names.get(name) {
        verdict.error(FieldError::duplicate(
            field,
            format!("{name:?} is the name of a container of {whose}: write another"),
        ));
    } else {
        names.insert(name.to_owned(), "this list".to_owned());
    }
}

fn check_ports(sidecar: &Value, field: &str, ports: &mut HashMap<i64, String>, verdict: &mut Verdict) {
    let declared = sidecar["ports"].as_array().into_iter().flatten().enumerate();
    for (place, port) in declared {
        let tcp = port["protocol"].as_str().is_none_or(|protocol| protocol == "TCP");
        let Some(number) = port["containerPort"].as_i64().filter(|_| tcp) else {
            continue;
        };
        if let Some(whose) = ports.get(&number) {
            verdict.error(FieldError::duplicate(
                format!("{field}.ports[{place}].containerPort"),
                format!("{number} is {whose}, and the containers of a pod share their ports: write another"),
            ));
        } else {
            let name = sidecar["name"].as_str().unwrap_or_default();
            let name = cut(name.to_owned(), LABEL_LIMIT);
            ports.insert(number, format!("the port of container {name:?}"));
        }
    }
}

/// Whether a container is restricted as the Pod Security Standard requires. The pod sets the rest of that standard.
fn is_restricted(sidecar: &Value) -> bool {
    let context = &sidecar["securityContext"];
    let dropped = context["capabilities"]["drop"].as_array();
    let drops_all = dropped.is_some_and(|dropped| dropped.iter().any(|capability| capability == "ALL"));
    context["allowPrivilegeEscalation"] == false && drops_all && context["runAsNonRoot"] != false
}

/// Warns of risks next to a validator.
fn warn_of(sidecar: &Value, field: &str, verdict: &mut Verdict) {
    if sidecar["readinessProbe"].is_object() {
        verdict.warn(format!(
            "{field}.readinessProbe: while it fails, the pod is not Ready, and its validator counts as one that does not vote"
        ));
    }
    let mounts = sidecar["volumeMounts"].as_array().into_iter().flatten();
    let names = mounts.filter_map(|mount| mount["name"].as_str());
    for name in names.filter(|name| SEED_VOLUMES.contains(name)) {
        verdict.warn(format!(
            "{field}.volumeMounts: volume {name:?} holds the validator's seed: mount another"
        ));
    }
}
