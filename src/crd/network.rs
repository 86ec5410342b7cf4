//! Which Stellar network a node belongs to.
//!
//! Networks are compared by passphrase, never by the way they are written.

use crate::util::digest;

/// A Stellar network, known by its passphrase.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    passphrase: String,
}

/// Passphrase of the public network (stellar-core `docs/stellar-core_example.cfg`).
const PUBLIC: &str = "Public Global Stellar Network ; September 2015";
/// Passphrase of SDF's test network.
const TESTNET: &str = "Test SDF Network ; September 2015";
/// Passphrase of SDF's network for features to come.
const FUTURENET: &str = "Test SDF Future Network ; October 2022";

impl Network {
    /// The network meant by `spec.network`: one of the spellings in use, in any case, or else a passphrase as it stands.
    pub fn parse(text: &str) -> Self {
        let passphrase = match text.to_ascii_lowercase().as_str() {
            "mainnet" | "public" | "pubnet" => PUBLIC,
            "testnet" => TESTNET,
            "futurenet" => FUTURENET,
            _ => text,
        };
        Self {
            passphrase: passphrase.to_owned(),
        }
    }

    /// The passphrase, as stellar-core's `NETWORK_PASSPHRASE` wants it.
    pub fn passphrase(&self) -> &str {
        &self.passphrase
    }

    /// Whether this is SDF's test network.
    pub fn is_testnet(&self) -> bool {
        self.passphrase == TESTNET
    }

    /// Whether this is SDF's network for features to come.
    pub fn is_futurenet(&self) -> bool {
        self.passphrase == FUTURENET
    }

    /// Whether this is the public network.
    pub fn is_public(&self) -> bool {
        self.passphrase == PUBLIC
    }

    /// Whether this is none of SDF's networks.
    pub fn is_private(&self) -> bool {
        !(self.is_public() || self.is_testnet() || self.is_futurenet())
    }

    /// A short hash of the passphrase, fit for a label and for an object's name.
    pub fn short_hash(&self) -> String {
        digest::short_hex(self.passphrase.as_bytes(), 10)
    }

    /// What to call the network in a message: its usual name, or its passphrase in quotes.
    pub fn display_name(&self) -> String {
        match self.passphrase.as_str() {
            PUBLIC => "mainnet".to_owned(),
            TESTNET => "testnet".to_owned(),
            FUTURENET => "futurenet".to_owned(),
            other => format!("{other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_network_are_one_network() {
        for (spellings, passphrase) in [
            (
                &["mainnet", "Mainnet", "Public", "public", "pubnet", PUBLIC][..],
                PUBLIC,
            ),
            (&["testnet", "Testnet", "TESTNET", TESTNET][..], TESTNET),
            (&["futurenet", "Futurenet", FUTURENET][..], FUTURENET),
            (&["My Private Network ; 2026"][..], "My Private Network ; 2026"),
        ] {
            for spelling in spellings {
                assert_eq!(Network::parse(spelling).passphrase(), passphrase, "{spelling}");
            }
        }
    }
}
