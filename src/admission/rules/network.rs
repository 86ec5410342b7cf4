//! A warning for a network whose name looks like a mistake: any text is the passphrase of some private network.

use serde_json::Value;

use crate::admission::validate::Verdict;
use crate::crd::Network;
use crate::kubernetes::names::distance;

/// Most edits between a name and a misspelt form of it.
const MOST_EDITS: usize = 2;
/// The names of SDF's networks, and how their passphrases begin.
const KNOWN: [(&str, &str); 5] = [
    ("mainnet", "public"),
    ("public", "public"),
    ("pubnet", "public"),
    ("testnet", "test sdf network"),
    ("futurenet", "test sdf future"),
];

/// Warns of a misspelt name, and of a single word as a passphrase.
pub(crate) fn check(spec: &Value, verdict: &mut Verdict) {
    let Some(text) = spec["network"].as_str().filter(|text| !text.is_empty()) else {
        return;
    };
    if !Network::parse(text).is_private() {
        return;
    }
    let is_named_custom = text.eq_ignore_ascii_case("custom");
    let passphrase = spec["customNetworkPassphrase"].as_str();
    if let Some(passphrase) = passphrase.filter(|_| is_named_custom) {
        verdict.warn(format!(
            "spec.network: {text:?} would be the passphrase, and customNetworkPassphrase is not read: write network: \
             {passphrase:?}"
        ));
    } else if let Some(name) = meant(text) {
        verdict.warn(format!(
            "spec.network: {text:?} becomes the passphrase of a private network: write {name} if you mean that"
        ));
    } else if !text.contains(' ') {
        verdict.warn(format!(
            "spec.network: {text:?} becomes the passphrase of a private network, and others may have chosen it, too: write one \
             that is yours alone, for example \"{text} of Example Org ; 2026\""
        ));
    }
}

/// The known network whose name or passphrase this text is close to.
fn meant(text: &str) -> Option<&'static str> {
    let text = text.trim().to_lowercase();
    let is_close = |name: &str| distance(&text, name, MOST_EDITS).is_some();
    let is_begun = |passphrase: &str| text.contains(' ') && text.starts_with(passphrase);
    let mut known = KNOWN.iter();
    let found = known.find(|(name, passphrase)| is_close(name) || is_begun(passphrase));
    found.map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn warnings(spec: &Value) -> Vec<String> {
        let mut verdict = Verdict::default();
        check(spec, &mut verdict);
        assert_eq!(verdict.errors.len(), 0);
        verdict.warnings
    }

    #[test]
    fn a_name_that_looks_like_a_mistake_is_warned_of() {
        for (text, advice) in [
            ("tesnet", Some("write testnet if")),
            ("test-net", Some("write testnet if")),
            ("mainet", Some("write mainnet if")),
            ("Public Network", Some("write mainnet if")),
            ("Public Global Stellar Network", Some("write mainnet if")),
            ("Test SDF Network", Some("write testnet if")),
            ("future net", Some("write futurenet if")),
            ("custom", Some("yours alone")),
            ("standalone", Some("yours alone")),
            ("testnet", None),
            ("PUBLIC", None),
            ("", None),
            ("My Private Network ; 2026", None),
            ("Private test network", None),
        ] {
            let found = warnings(&json!({ "network": text }));
            assert_eq!(found.len(), usize::from(advice.is_some()), "{text}: {found:?}");
            assert!(
                found.iter().all(|one| one.contains(advice.unwrap_or_default())),
                "{found:?}"
            );
        }
        let found = warnings(&json!({ "network": "Custom", "customNetworkPassphrase": "Ours ; 2026" }));
        assert!(found[0].ends_with("write network: \"Ours ; 2026\""), "{found:?}");
        assert_eq!(warnings(&json!({ "network": { "custom": {} } })), [""; 0]);
    }
}
