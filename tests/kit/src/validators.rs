//! Validators of a private network with random seeds and one quorum set of all validators.

use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use stellar_k8s::labels;
use stellar_strkey::ed25519::{PrivateKey, PublicKey};

/// Fewer validators tolerate no failure, which stellar-core considers unsafe.
const FEWEST: usize = 4;

/// The names of the first two validators.
pub const TWO: [&str; 2] = first();
/// The names of the first three validators.
pub const THREE: [&str; 3] = first();
/// The names of the first four validators.
pub const FOUR: [&str; 4] = first();
/// The names of the first six validators.
pub const SIX: [&str; 6] = first();
/// The names of the first eight validators.
pub const EIGHT: [&str; 8] = [
    "validator-1",
    "validator-2",
    "validator-3",
    "validator-4",
    "validator-5",
    "validator-6",
    "validator-7",
    "validator-8",
];

const fn first<const N: usize>() -> [&'static str; N] {
    let mut names = [""; N];
    let mut place = 0;
    while place < N {
        names[place] = EIGHT[place];
        place += 1;
    }
    names
}

/// `validator-1` … `validator-n`. The quorum set of each has all their keys, whether they are created or not.
#[derive(Debug)]
pub struct Validators {
    passphrase: String,
    seeds: Vec<Seed>,
}

#[derive(Debug)]
struct Seed {
    secret: String,
    public: String,
}

impl Seed {
    fn make() -> Self {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).expect("random bytes");
        let pair = Ed25519KeyPair::from_seed_unchecked(&bytes).expect("any 32 bytes are a seed");
        let public: [u8; 32] = pair.public_key().as_ref().try_into().expect("32 bytes");
        Self {
            secret: PrivateKey(bytes).as_unredacted().to_string().as_str().to_owned(),
            public: PublicKey(public).to_string().as_str().to_owned(),
        }
    }
}

impl Validators {
    /// `n` validators, at least four.
    pub fn new(n: usize) -> Self {
        let seeds: Vec<Seed> = (0..n.max(FEWEST)).map(|_| Seed::make()).collect();
        Self {
            // Each test has its own network.
            passphrase: format!("Private test network of {}", seeds[0].public),
            seeds,
        }
    }

    /// The name of the validator with this number, from 1.
    pub fn name(number: usize) -> String {
        format!("validator-{number}")
    }

    /// Public key (`G…`) of a validator.
    pub fn public_key(&self, number: usize) -> &str {
        &self.seeds[number - 1].public
    }

    /// Secret seed (`S…`) of a validator.
    pub fn seed(&self, number: usize) -> &str {
        &self.seeds[number - 1].secret
    }

    /// Whether a config's `NODE_SEED` belongs to this validator.
    pub fn is_seed_of(&self, number: usize, seed: &str) -> bool {
        // A config may have the node's name behind the seed.
        seed.split(' ').next() == Some(self.seeds[number - 1].secret.as_str())
    }

    /// Passphrase of the network.
    pub fn passphrase(&self) -> &str {
        &self.passphrase
    }

    /// The Secret with a validator's seed.
    pub fn secret(&self, number: usize) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": format!("{}-seed", Self::name(number)) },
            "stringData": { labels::SEED_KEY: self.seeds[number - 1].secret },
        })
    }

    /// The StellarNode of a validator, without fields that have defaults.
    pub fn node(&self, number: usize) -> Value {
        let keys: Vec<&str> = self.seeds.iter().map(|seed| seed.public.as_str()).collect();
        let quorum_set = format!("[QUORUM_SET]\nTHRESHOLD_PERCENT=67\nVALIDATORS={keys:?}\n");
        json!({
            "apiVersion": labels::API_VERSION,
            "kind": labels::KIND,
            "metadata": { "name": Self::name(number) },
            "spec": {
                "nodeType": "Validator",
                "network": self.passphrase,
                "version": "26.0.1-3109.e78c97ed0.jammy",
                "storage": { "size": "1Gi" },
                "validatorConfig": {
                    "seedSecretRef": format!("{}-seed", Self::name(number)),
                    "quorumSet": quorum_set,
                },
            },
        })
    }

    /// The Secrets and StellarNodes of these validators, as one document for `kubectl apply`.
    pub fn manifests(&self, numbers: impl IntoIterator<Item = usize>) -> String {
        let items: Vec<Value> = numbers
            .into_iter()
            .flat_map(|number| [self.secret(number), self.node(number)])
            .collect();
        json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
    }
}
