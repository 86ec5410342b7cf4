//! Adds defaults and injected fields to an object before it is stored.
//!
//! The patch lists explicit RFC 6902 operations, so every other field stays unchanged, byte for byte. A second run
//! gives an empty patch. The controller runs the StatefulSets that it builds through [`apply`], so the stored object is
//! the same with the webhook up or down.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation};
use serde_json::{Value, json};

use super::context::Context;
use super::stateful_set::{Container, ValidatorSet, parse_port};
use crate::crd::default_peer_port;
use crate::labels;

/// The additions to an object, and the warnings for its author.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mutation {
    /// Operations on the object; empty if nothing is missing.
    pub patch: Patch,
    /// Warnings, one line each.
    pub warnings: Vec<String>,
}

/// The additions to an object. `old` is the stored object on an update, `None` on a create.
pub fn mutate(object: &Value, old: Option<&Value>, context: &dyn Context) -> Mutation {
    match object["kind"].as_str() {
        Some(labels::KIND) => stellar_node(object),
        Some("StatefulSet") => ValidatorSet::new(object)
            .map(|set| stateful_set(object, old, set, context))
            .unwrap_or_default(),
        _ => Mutation::default(),
    }
}

/// Applies the additions for a create to an object, and returns the warnings. Fails if the patch does not apply, which
/// the tests show to be impossible. The object is then unchanged.
pub fn apply(object: &mut Value, context: &dyn Context) -> Result<Vec<String>, json_patch::PatchError> {
    let Mutation { patch, warnings } = mutate(object, None, context);
    json_patch::patch(object, &patch)?;
    Ok(warnings)
}

fn stellar_node(node: &Value) -> Mutation {
    let mut mutation = Mutation::default();
    let config = &node["spec"]["validatorConfig"];
    if node["spec"]["nodeType"] != "Validator" || !config.is_object() {
        return mutation;
    }
    if config["peerPort"].is_null() {
        mutation.add(["spec", "validatorConfig", "peerPort"], json!(default_peer_port()));
    }
    if config["knownPeersRef"].is_null() {
        mutation.add(
            ["spec", "validatorConfig", "knownPeersRef"],
            json!({ "name": labels::DEFAULT_PEERS_CONFIG_MAP, "key": labels::KNOWN_PEERS }),
        );
    }
    mutation
}

fn stateful_set(object: &Value, old: Option<&Value>, set: ValidatorSet<'_>, context: &dyn Context) -> Mutation {
    let mut mutation = Mutation::default();
    let config = set.config(context);
    let set = set.expecting(config.as_ref());
    let core = set.core();
    // An invalid peer port is not copied elsewhere: validation refuses it at the author's own field.
    let port = set.port().filter(|port| {
        let taken = core.is_some_and(|core| set.others_with(core, *port).next().is_some());
        *port != labels::HTTP_PORT && !taken
    });
    if let (Some(port), None, None, Some(_)) = (port, set.port_annotation(), set.owner(), core) {
        mutation.annotate(object, labels::PEER_PORT, &port.to_string());
    }
    let moved = old.and_then(|old| moved_port(set, old));
    if let Some(port) = moved {
        mutation.follow_port(port);
    }
    let port = moved.or(port);
    // Scaling or annotating an older StatefulSet must not restart its validator.
    let template_changed = old.is_none_or(|old| old["spec"]["template"] != object["spec"]["template"]);
    if !template_changed {
        return mutation;
    }
    let Some(core) = core else {
        mutation.warnings.push(format!(
            "no container of the pod is known as stellar-core, so {} was not added: name the container {:?}, or its port {:?}",
            labels::KNOWN_PEERS,
            labels::CORE_CONTAINER,
            labels::PEER_PORT_NAME,
        ));
        return mutation;
    };
    let config_map = config.as_ref().map_or(labels::DEFAULT_PEERS_CONFIG_MAP, |config| {
        config.known_peers_config_map()
    });
    mutation.add_known_peers(core, config_map);
    if let Some(port) = port {
        mutation.add_peer_port(set, core, port);
    }
    mutation
}

/// The new peer port of a StatefulSet whose author changed the container port but not the annotation, which had the
/// same value. The annotation may come from this webhook, and an update keeps it.
fn moved_port(set: ValidatorSet<'_>, old: &Value) -> Option<u16> {
    let declared = |set: ValidatorSet<'_>| u16::try_from(set.core()?.peer_port()?.number).ok();
    let old = ValidatorSet::new(old)?;
    let (now, before) = (declared(set)?, declared(old)?);
    let annotated = parse_port(old.port_annotation()?)?;
    let same = set.port_annotation() == old.port_annotation() && annotated == before;
    let usable = now != 0 && now != labels::HTTP_PORT;
    (set.owner().is_none() && same && now != before && usable).then_some(now)
}

impl Mutation {
    fn follow_port(&mut self, port: u16) {
        let port = port.to_string();
        // `add` replaces an existing value.
        self.add(["metadata", "annotations", labels::PEER_PORT], json!(port));
        self.warnings.push(format!(
            "metadata.annotations[{}]: changed to {port}, as the peer port was: write it so, or leave it out",
            labels::PEER_PORT
        ));
    }

    fn add<const N: usize>(&mut self, path: [&str; N], value: Value) {
        self.patch.0.push(PatchOperation::Add(AddOperation {
            path: PointerBuf::from_tokens(path),
            value,
        }));
    }

    /// Adds an annotation. The API server refuses an existing one that is not a text.
    fn annotate(&mut self, object: &Value, name: &str, value: &str) {
        let annotations = &object["metadata"]["annotations"];
        if annotations.is_null() {
            self.add(["metadata", "annotations"], json!({ name: value }));
        } else if annotations.is_object() && annotations[name].is_null() {
            self.add(["metadata", "annotations", name], json!(value));
        }
    }

    /// Appends to a list of a container, or creates the list. The API server refuses a value that is not a list.
    fn append(&mut self, container: Container<'_>, list: &str, value: Value) {
        let index = container.index.to_string();
        let path = ["spec", "template", "spec", "containers", &index, list];
        match &container.value[list] {
            Value::Array(_) => {
                let [a, b, c, d, e, f] = path;
                self.add([a, b, c, d, e, f, "-"], value);
            }
            Value::Null => self.add(path, json!([value])),
            _ => {}
        }
    }

    fn add_known_peers(&mut self, core: Container<'_>, config_map: &str) {
        let wanted = json!({
            "name": labels::KNOWN_PEERS,
            "valueFrom": {
                // Optional: a pod must start before the first discovery.
                "configMapKeyRef": { "name": config_map, "key": labels::KNOWN_PEERS, "optional": true },
            },
        });
        match core.env(labels::KNOWN_PEERS) {
            None => self.append(core, "env", wanted),
            Some(found) if *found == wanted => {}
            Some(_) => self.warnings.push(format!(
                "container {:?} sets {} itself and was left alone: remove that env to have the peers that the operator \
                 finds, from ConfigMap {config_map:?}",
                core.name(),
                labels::KNOWN_PEERS,
            )),
        }
    }

    fn add_peer_port(&mut self, set: ValidatorSet<'_>, core: Container<'_>, port: u16) {
        let number = i64::from(port);
        let declared = set
            .containers()
            .any(|one| one.ports().any(|each| each.number == number));
        // The API server would refuse a second port with this name. Validation reports the different number.
        let name_taken = core.ports().any(|each| each.name == labels::PEER_PORT_NAME);
        if !declared && !name_taken {
            self.append(
                core,
                "ports",
                json!({ "name": labels::PEER_PORT_NAME, "containerPort": port, "protocol": "TCP" }),
            );
        }
    }
}
