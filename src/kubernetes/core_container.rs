//! Finds the stellar-core container of a pod. The webhook, which reads templates, and discovery, which reads pods,
//! share this rule.

use crate::labels;

/// The properties of a container that identify it.
pub trait Described: Copy {
    fn name(&self) -> &str;
    /// Whether it declares a TCP port with one of the usual names of the peer port.
    fn has_peer_port(&self) -> bool;
    fn has_port(&self, number: u16) -> bool;
}

/// Picks the container with a usual name, else the only container, else the one with a port of a usual name, else the
/// one that declares the port that peers dial.
pub fn find<C: Described>(containers: &(impl Iterator<Item = C> + Clone), dialled: impl Fn() -> u16) -> Option<C> {
    let named = labels::CORE_CONTAINERS
        .iter()
        .find_map(|name| containers.clone().find(|one| one.name() == *name));
    let only = || {
        let mut all = containers.clone();
        all.next().filter(|_| all.next().is_none())
    };
    named
        .or_else(only)
        .or_else(|| containers.clone().find(Described::has_peer_port))
        .or_else(|| containers.clone().find(|one| one.has_port(dialled())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Container name, and name and number of its only port.
    impl Described for (&str, &str, u16) {
        fn name(&self) -> &str {
            self.0
        }

        fn has_peer_port(&self) -> bool {
            labels::PEER_PORT_NAMES.contains(&self.1)
        }

        fn has_port(&self, number: u16) -> bool {
            self.2 == number
        }
    }

    #[test]
    fn each_sign_counts_before_the_next() {
        let (named, second) = (("stellar-core", "", 1), ("core", "", 1));
        let (by_name, by_number, other) = (("a", "peer", 1), ("b", "", 11625), ("c", "http", 80));
        for (containers, expected) in [
            (vec![by_name, by_number, second, named], Some(named)),
            (vec![by_name, by_number, second], Some(second)),
            (vec![other], Some(other)),
            (vec![by_number, other, by_name], Some(by_name)),
            (vec![other, by_number], Some(by_number)),
            (vec![other, other], None),
            (vec![], None),
        ] {
            assert_eq!(find(&containers.iter().copied(), || 11625), expected, "{containers:?}");
        }
    }
}
