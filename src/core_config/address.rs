//! stellar-core's syntax of a peer address: `PeerBareAddress::resolve` (`src/overlay/PeerBareAddress.cpp`).
//!
//! Its regular expression is `^(?:(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})|([[:alnum:].-]+))(?:\:(\d{1,5}))?$`: a host name
//! or an IPv4 address, and an optional port. It does not accept IPv6 literals.

use crate::crd::default_peer_port;

/// The problem of an address, or `None` if stellar-core can dial it.
pub(super) fn problem(address: &str) -> Option<String> {
    let (host, port) = match address.split_once(':') {
        Some((_, rest)) if rest.contains(':') => {
            return Some(format!(
                "{address:?} is an IPv6 address, which stellar-core cannot read: write host:port with a host name or an IPv4 address"
            ));
        }
        Some((host, port)) => (host, Some(port)),
        None => (address, None),
    };
    let host_is_plain = !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
    if !host_is_plain {
        return Some(format!(
            "{address:?} is not an address: write host or host:port, the host made of letters, digits, '.' and '-'"
        ));
    }
    let looks_like_ipv4 = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if looks_like_ipv4 && host.parse::<std::net::Ipv4Addr>().is_err() {
        return Some(format!(
            "{address:?} is not an IPv4 address: write four numbers from 0 to 255, as 10.0.0.7"
        ));
    }
    match port.map(read_port) {
        Some(None) => Some(format!(
            "the port in {address:?} is not a port: write a number from 1 to 65535"
        )),
        Some(Some(_)) | None => None,
    }
}

fn read_port(text: &str) -> Option<u16> {
    let digits = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits {
        text.parse().ok().filter(|port| *port != 0)
    } else {
        None
    }
}

/// The normal form of an address: host in lower case, and port.
pub(super) fn normal_form(address: &str) -> (String, u16) {
    let (host, port) = address.split_once(':').unwrap_or((address, ""));
    (
        host.trim_end_matches('.').to_ascii_lowercase(),
        read_port(port).unwrap_or_else(default_peer_port),
    )
}

/// Appends a dot to a host name to make it absolute. For a relative name, a pod's resolver also tries each search
/// domain, and stellar-core waits for that.
pub(super) fn absolute(address: &str) -> String {
    let (host, port) = address
        .split_once(':')
        .map_or((address, None), |(host, port)| (host, Some(port)));
    let is_name = host.parse::<std::net::Ipv4Addr>().is_err() && !host.ends_with('.');
    let dot = if is_name { "." } else { "" };
    match port {
        Some(port) => format!("{host}{dot}:{port}"),
        None => format!("{host}{dot}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_stellar_core_reads_them() {
        for good in [
            "10.244.0.2:11625",
            "10.244.0.2",
            "core-testnet1.stellar.org",
            "validator-1-0.validator-1-headless.stellar.svc.cluster.local:11625",
            "validator-1-0.validator-1-headless.stellar.svc.cluster.local.:11625",
            "core-testnet1.stellar.org.",
            "localhost:1",
            "h:65535",
            "h:00080",
        ] {
            assert_eq!(problem(good), None, "{good}");
        }
        for bad in [
            "",
            ":11625",
            "h:",
            "h:0",
            "h:65536",
            "h:123456",
            "h:+80",
            "fd00::1",
            "[fd00::1]:11625",
            "10.0.0.300",
            "10.0.0.7.:11625",
            "10.0.0",
            "a_b",
            "a b",
            "a/b",
            "tcp://a:1",
            "ä.example",
            "h:1:2",
        ] {
            assert!(problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn two_spellings_of_one_address_are_one() {
        assert_eq!(normal_form("Host.Example."), normal_form("host.example:11625"));
        assert_ne!(normal_form("host.example:11626"), normal_form("host.example"));
    }

    #[test]
    fn a_name_is_made_absolute_and_an_address_stays() {
        for (address, made) in [
            (
                "a-0.a-headless.n.svc.cluster.local:11625",
                "a-0.a-headless.n.svc.cluster.local.:11625",
            ),
            ("core.example", "core.example."),
            ("core.example.:1", "core.example.:1"),
            ("10.0.0.7:11625", "10.0.0.7:11625"),
            ("10.0.0.7", "10.0.0.7"),
        ] {
            assert_eq!(absolute(address), made);
            assert_eq!(problem(made), None);
            assert_eq!(normal_form(address), normal_form(made));
        }
    }
}
