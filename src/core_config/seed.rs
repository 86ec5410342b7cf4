//! A validator's secret seed, protected against accidental output.

use std::fmt;

use ring::signature::{Ed25519KeyPair, KeyPair as _};
use stellar_strkey::ed25519::{PrivateKey, PublicKey};

use super::ConfigError;

/// A secret seed (`S…`) and its public key (`G…`). `Debug` shows only the public key, and there is no `Display`.
#[derive(Clone)]
pub struct Seed {
    text: String,
    public_key: String,
}

impl Seed {
    /// Parses a seed from a Secret or a file; surrounding whitespace is ignored. Fails if the text is not a secret
    /// seed. The error does not contain the text.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ConfigError::Seed("it is empty"));
        }
        if text.starts_with('G') {
            return Err(ConfigError::Seed("it is a public key (G…), the seed starts with S"));
        }
        if text.contains(char::is_whitespace) {
            return Err(ConfigError::Seed(
                "it has blanks inside; write the seed alone, without a name",
            ));
        }
        let key = PrivateKey::from_string(text).map_err(|_| ConfigError::Seed("its form or its checksum is wrong"))?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&key.0)
            .map_err(|_| ConfigError::Seed("no key pair follows from it"))?;
        let public: [u8; 32] = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| ConfigError::Seed("no key pair follows from it"))?;
        Ok(Self {
            text: text.to_owned(),
            public_key: PublicKey(public).to_string().as_str().to_owned(),
        })
    }

    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// The seed itself, only for the config file.
    pub(super) fn expose(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seed(of {})", self.public_key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 1: a seed and its public key.
    const SECRET: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    fn bytes(hex: &str) -> [u8; 32] {
        std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
    }

    #[test]
    fn the_public_key_follows_from_the_seed() {
        let text = PrivateKey(bytes(SECRET)).as_unredacted().to_string();
        let seed = Seed::parse(&format!(" {}\n", text.as_str())).unwrap();
        assert_eq!(seed.public_key(), PublicKey(bytes(PUBLIC)).to_string().as_str());
        let shown = format!("{seed:?}");
        assert!(
            shown.contains(seed.public_key()) && !shown.contains(seed.expose()),
            "{shown}"
        );
    }

    #[test]
    fn what_is_no_seed_is_refused_without_being_repeated() {
        let public = PublicKey(bytes(PUBLIC)).to_string();
        let seed = PrivateKey(bytes(SECRET)).as_unredacted().to_string();
        let named = format!("{} self", seed.as_str());
        let broken = seed.as_str().replace(&seed.as_str()[5..7], "22");
        for text in ["", " \n", public.as_str(), &named, &broken, "SABC", "hello"] {
            let error = Seed::parse(text).unwrap_err().to_string();
            assert!(text.trim().is_empty() || !error.contains(text.trim()), "{error}");
            assert!(!error.contains(seed.as_str()), "{error}");
        }
    }
}
