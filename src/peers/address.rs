//! The two forms of peer address that the operator writes. A record with any other form comes from another writer.

use std::net::Ipv4Addr;

use super::NodeId;
use crate::kubernetes::names::{SUBDOMAIN_LIMIT, is_subdomain};
use crate::labels;

/// The port of an address in the operator's form, `IPv4:port` or `{DNS name of the node's pod}:port`. `None` for any
/// other text.
pub fn port_of_address(node: &NodeId, address: &str) -> Option<u16> {
    let (host, digits) = address.rsplit_once(':')?;
    let port: u16 = digits.parse().ok().filter(|port| *port != 0)?;
    let is_written_so = digits == port.to_string();
    let is_host = host.parse::<Ipv4Addr>().is_ok() || is_name_of(node, host);
    (is_written_so && is_host).then_some(port)
}

/// Whether a host is the DNS name of the validator's pod, in any cluster domain.
fn is_name_of(node: &NodeId, host: &str) -> bool {
    let pod = labels::pod_host(&node.name, &node.namespace);
    let domain = host.strip_prefix(&pod).and_then(|rest| rest.strip_prefix(".svc."));
    host.len() <= SUBDOMAIN_LIMIT && domain.is_some_and(is_subdomain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_operator_writes_is_an_address() {
        let node = NodeId::new("stellar", "validator-1");
        let name = "validator-1-0.validator-1-headless.stellar.svc.cluster.local";
        for (good, port) in [
            ("10.244.0.2:11625".to_owned(), 11625),
            ("10.244.0.2:1".to_owned(), 1),
            (format!("{name}:65535"), 65535),
        ] {
            assert_eq!(port_of_address(&node, &good), Some(port), "{good}");
        }
        for bad in [
            "",
            "10.244.0.2",
            "10.244.0.2:",
            "10.244.0.2:0",
            "10.244.0.2:00080",
            "10.244.0.2:+80",
            "10.244.0.2:65536",
            "010.244.0.2:11625",
            "[fd00::2]:11625",
            "core.example:11625",
            "10.244.0.2:11625\n",
            " 10.244.0.2:11625",
            "x y\"]\nNODE_SEED=1:11625",
            "validator-2-0.validator-2-headless.stellar.svc.cluster.local:11625",
            "validator-1-0.validator-1-headless.stellar.svc:11625",
            "validator-1-0.validator-1-headless.stellar.svc.cluster\n.local:11625",
            "validator-1-0.validator-1-headless.stellar.svc.:11625",
        ] {
            assert_eq!(port_of_address(&node, bad), None, "{bad:?}");
        }
        let endless = format!("{name}{}:11625", ".a".repeat(120));
        assert_eq!(port_of_address(&node, &endless), None);
    }
}
