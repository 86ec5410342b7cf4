//! Reads a StatefulSet: whether it is a validator's, which container is stellar-core, and which port peers dial.
//!
//! The input is raw JSON. A field of an unexpected type counts as absent.

use serde_json::Value;

use super::context::Context;
use crate::crd::ValidatorConfig;
use crate::kubernetes::core_container::{self, Described};
use crate::labels;

/// A StatefulSet with the labels of a validator.
#[derive(Clone, Copy, Debug)]
pub struct ValidatorSet<'a> {
    object: &'a Value,
    expected_port: u16,
}

/// A container of the pod template, with its index.
#[derive(Clone, Copy, Debug)]
pub struct Container<'a> {
    pub index: usize,
    pub value: &'a Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port<'a> {
    /// Index in the container's `ports`.
    pub index: usize,
    /// The name; empty if it has none.
    pub name: &'a str,
    /// The number as written, even out of range.
    pub number: i64,
}

impl<'a> ValidatorSet<'a> {
    pub fn new(object: &'a Value) -> Option<Self> {
        let label = |name: &str| object["metadata"]["labels"][name].as_str();
        let is_validator =
            label(labels::NAME) == Some(labels::STELLAR_NODE) && label(labels::COMPONENT) == Some(labels::VALIDATOR);
        is_validator.then_some(Self {
            object,
            expected_port: crate::crd::default_peer_port(),
        })
    }

    /// Uses the peer port of the StellarNode if the object itself names none.
    pub fn expecting(self, config: Option<&ValidatorConfig>) -> Self {
        let expected_port = config.map_or(self.expected_port, ValidatorConfig::peer_port);
        Self { expected_port, ..self }
    }

    /// The peer port: the object's own, otherwise the expected one. `None` if the object names an invalid port.
    pub fn port(&self) -> Option<u16> {
        let names_one = self.port_annotation().is_some() || self.core().is_some_and(|core| core.peer_port().is_some());
        if names_one {
            self.own_port()
        } else {
            Some(self.expected_port)
        }
    }

    /// The namespace; empty if the object has none.
    pub fn namespace(&self) -> &'a str {
        self.object["metadata"]["namespace"].as_str().unwrap_or_default()
    }

    /// Name of the owning StellarNode.
    pub fn owner(&self) -> Option<&'a str> {
        let references = self.object["metadata"]["ownerReferences"].as_array()?;
        let is_node = |reference: &&Value| {
            let group = reference["apiVersion"]
                .as_str()
                .and_then(|version| version.split_once('/'));
            reference["kind"] == labels::KIND && group.is_some_and(|(group, _)| group == labels::GROUP)
        };
        references.iter().find(is_node)?["name"].as_str()
    }

    /// Name of the StellarNode: the owner, otherwise the one in its label.
    pub fn node(&self) -> Option<&'a str> {
        self.owner()
            .or_else(|| self.object["metadata"]["labels"][labels::INSTANCE].as_str())
    }

    /// The settings of its StellarNode, if known.
    pub fn config(&self, context: &dyn Context) -> Option<ValidatorConfig> {
        context.node(self.namespace(), self.node()?)?.spec.validator_config
    }

    /// Whether all its pods use the seed of one StellarNode, according to owner, manager or selector.
    pub fn has_one_seed(&self) -> bool {
        let selector = &self.object["spec"]["selector"]["matchLabels"];
        self.owner().is_some()
            || self.object["metadata"]["labels"][labels::MANAGED_BY] == labels::OPERATOR
            || selector[labels::NAME] == labels::STELLAR_NODE
    }

    /// The annotation `stellar.org/peer-port` as written.
    pub fn port_annotation(&self) -> Option<&'a str> {
        self.object["metadata"]["annotations"][labels::PEER_PORT].as_str()
    }

    pub fn containers(&self) -> impl Iterator<Item = Container<'a>> + Clone + use<'a> {
        let list = self.object["spec"]["template"]["spec"]["containers"].as_array();
        list.into_iter()
            .flatten()
            .enumerate()
            .filter(|(_, value)| value.is_object())
            .map(|(index, value)| Container { index, value })
    }

    /// The other containers that run at the same time as the core container: containers and sidecars.
    pub fn siblings(&self, core: Container<'a>) -> impl Iterator<Item = Container<'a>> + use<'a> {
        let init = self.object["spec"]["template"]["spec"]["initContainers"].as_array();
        let sidecars = init
            .into_iter()
            .flatten()
            .enumerate()
            .filter(|(_, value)| value["restartPolicy"] == "Always")
            .map(|(index, value)| Container { index, value });
        let others = self.containers().filter(move |one| one.index != core.index);
        others.chain(sidecars)
    }

    /// The containers of [`Self::siblings`] with this port.
    pub fn others_with(&self, core: Container<'a>, port: u16) -> impl Iterator<Item = Container<'a>> + use<'a> {
        self.siblings(core)
            .filter(move |other| other.ports().any(|each| each.number == i64::from(port)))
    }

    pub fn core(&self) -> Option<Container<'a>> {
        let dialled = || self.valid_annotation().unwrap_or(self.expected_port);
        core_container::find(&self.containers(), dialled)
    }

    /// The port that the object itself names: its annotation, otherwise the core container's port with one of the usual
    /// names. `None` if it names none, or an invalid one.
    pub fn own_port(&self) -> Option<u16> {
        if self.port_annotation().is_some() {
            return self.valid_annotation();
        }
        u16::try_from(self.core()?.peer_port()?.number)
            .ok()
            .filter(|port| *port > 0)
    }

    fn valid_annotation(&self) -> Option<u16> {
        parse_port(self.port_annotation()?)
    }
}

impl<'a> Container<'a> {
    /// The name; empty if it has none.
    pub fn name(&self) -> &'a str {
        self.value["name"].as_str().unwrap_or_default()
    }

    pub fn ports(&self) -> impl Iterator<Item = Port<'a>> + use<'a> {
        let list = self.value["ports"].as_array();
        list.into_iter().flatten().enumerate().filter_map(|(index, port)| {
            let tcp = port["protocol"].as_str().is_none_or(|protocol| protocol == "TCP");
            let number = port["containerPort"].as_i64().filter(|_| tcp)?;
            let name = port["name"].as_str().unwrap_or_default();
            Some(Port { index, name, number })
        })
    }

    /// The port with one of the usual names.
    pub fn peer_port(&self) -> Option<Port<'a>> {
        self.ports().find(|port| labels::PEER_PORT_NAMES.contains(&port.name))
    }

    pub fn env(&self, name: &str) -> Option<&'a Value> {
        self.value["env"].as_array()?.iter().find(|entry| entry["name"] == name)
    }
}

impl Described for Container<'_> {
    fn name(&self) -> &str {
        Container::name(self)
    }

    fn has_peer_port(&self) -> bool {
        self.peer_port().is_some()
    }

    fn has_port(&self, number: u16) -> bool {
        self.ports().any(|port| port.number == i64::from(number))
    }
}

/// Parses the port of an annotation: digits only, 1 to 65535.
pub fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}
