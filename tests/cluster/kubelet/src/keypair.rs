//! New Stellar keys for the networks of demos and tests.

use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use stellar_strkey::ed25519::{PrivateKey, PublicKey};

/// Prints a secret seed and its public key, one per line.
///
/// # Errors
/// When the system gives no random numbers.
pub(crate) fn print() -> anyhow::Result<()> {
    let mut seed = [0; 32];
    SystemRandom::new()
        .fill(&mut seed)
        .map_err(|_| anyhow::anyhow!("the system gave no random numbers"))?;
    let (secret, public) = encode(&seed)?;
    println!("{secret}\n{public}");
    Ok(())
}

fn encode(seed: &[u8; 32]) -> anyhow::Result<(String, String)> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|error| anyhow::anyhow!("not a seed: {error}"))?;
    let public = <[u8; 32]>::try_from(pair.public_key().as_ref())?;
    Ok((
        PrivateKey(*seed).as_unredacted().to_string().to_string(),
        PublicKey(public).to_string().to_string(),
    ))
}

#[cfg(test)]
mod tests {
    use super::encode;

    /// SEP-0023's and RFC 8032's first test vector.
    #[test]
    fn the_public_key_belongs_to_the_seed() {
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
            0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
        ];
        let (secret, public) = encode(&seed).unwrap();
        assert!(secret.starts_with('S') && secret.len() == 56, "{secret}");
        let key = stellar_strkey::ed25519::PublicKey::from_string(&public).unwrap();
        assert_eq!(key.0[..4], [0xd7, 0x5a, 0x98, 0x01]);
    }
}
