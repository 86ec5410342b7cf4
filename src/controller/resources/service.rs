//! The headless Service that gives a validator's pod its DNS name.

use serde_json::{Value, json};

use super::{Subject, selector};
use crate::crd::Publish;
use crate::labels;

pub(super) fn build(subject: &Subject<'_>) -> Value {
    let port = subject.config.peer_port();
    let mut ports = vec![
        json!({ "name": labels::PEER_PORT_NAME, "port": port, "targetPort": labels::PEER_PORT_NAME, "protocol": "TCP" }),
    ];
    if subject.publishes() == Publish::Volume {
        let name = labels::HISTORY_CONTAINER;
        ports.push(json!({ "name": name, "port": labels::HISTORY_PORT, "targetPort": name, "protocol": "TCP" }));
    }
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": subject.metadata(&labels::headless_service_name(&subject.name)),
        "spec": {
            "clusterIP": "None",
            // stellar-core parses no IPv6 literal.
            "ipFamilyPolicy": "SingleStack",
            "ipFamilies": ["IPv4"],
            // Peers must reach a validator before it votes: no validator votes without peers.
            "publishNotReadyAddresses": true,
            "selector": selector(&subject.name),
            "ports": ports,
        },
    })
}
