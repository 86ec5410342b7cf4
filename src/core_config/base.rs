//! StellarNode → base config: everything in `stellar-core.cfg` except the seed and the known peers.
//!
//! It goes into a ConfigMap, so it must not contain a secret. The same spec always gives the same bytes.

use toml::{Table, Value};

use super::check::{check_document, check_validator, set_postgres};
use super::problems::Problems;
use super::{ConfigError, Keys, archives, document, pod_paths};
use crate::crd::{Network, NodeType, Publish, StellarNodeSpec, ValidatorConfig};
use crate::labels;
use crate::peers::NodeId;

/// SDF's three validators of the test network, from stellar-core's `docs/stellar-core_testnet_validator.cfg` (commit
/// 80f80669). Like that example, it is unsafe by stellar-core's rules: a single failure can stop the node.
pub(super) const TESTNET: &str = r#"
UNSAFE_QUORUM=true

[[HOME_DOMAINS]]
HOME_DOMAIN="testnet.stellar.org"
QUALITY="HIGH"

[[VALIDATORS]]
NAME="sdftest1"
HOME_DOMAIN="testnet.stellar.org"
PUBLIC_KEY="GDKXE2OZMJIPOSLNA6N6F2BVCI3O777I2OOC4BV7VOYUEHYX7RTRYA7Y"
ADDRESS="core-testnet1.stellar.org"
HISTORY="curl -sf http://history.stellar.org/prd/core-testnet/core_testnet_001/{0} -o {1}"

[[VALIDATORS]]
NAME="sdftest2"
HOME_DOMAIN="testnet.stellar.org"
PUBLIC_KEY="GCUCJTIYXSOXKBSNFGNFWW5MUQ54HKRPGJUTQFJ5RQXZXNOLNXYDHRAP"
ADDRESS="core-testnet2.stellar.org"
HISTORY="curl -sf http://history.stellar.org/prd/core-testnet/core_testnet_002/{0} -o {1}"

[[VALIDATORS]]
NAME="sdftest3"
HOME_DOMAIN="testnet.stellar.org"
PUBLIC_KEY="GC2V2EFSXN6SQTWVYA5EPJPBWWIMSD2XQNKUOHGEKB535AQE2I6IXV2Z"
ADDRESS="core-testnet3.stellar.org"
HISTORY="curl -sf http://history.stellar.org/prd/core-testnet/core_testnet_003/{0} -o {1}"
"#;

/// The base config of a validator, as TOML. Fails if the node is not a validator, lacks a quorum set on a network
/// without a default, or stellar-core would refuse the settings; the error lists all problems.
pub fn base_config(spec: &StellarNodeSpec) -> Result<String, ConfigError> {
    let (Some(config), NodeType::Validator) = (&spec.validator_config, spec.node_type) else {
        return Err(ConfigError::NoValidator);
    };
    config_of(config, &spec.network, &spec.version)
}

/// Like [`base_config`], from a validator's settings, network and version. Fails if there is no quorum set on a network
/// without a default, or stellar-core would refuse the settings; the error lists all problems.
pub fn config_of(config: &ValidatorConfig, network: &str, version: &str) -> Result<String, ConfigError> {
    let keys = Keys::of(version);
    let problems = check_validator(config, keys);
    if !problems.is_empty() {
        let messages = problems
            .into_iter()
            .map(|problem| format!("{}: {}", problem.field, problem.message));
        return Err(ConfigError::Refused(messages.collect()));
    }
    let network = Network::parse(network);
    let mut base = settings(config, &network);
    let quorum = match &config.quorum_set {
        Some(text) => document::parse_given("quorumSet", text)?,
        None if network.is_testnet() => testnet_quorum(config, &mut base)?,
        None => {
            return Err(ConfigError::NoQuorumSet {
                network: network.display_name(),
            });
        }
    };
    let core = match &config.core_config {
        Some(text) => document::parse_given("coreConfig", text)?,
        None => Table::new(),
    };
    let mut problems = Problems::default();
    merge(&mut base, core, &mut problems);
    merge(&mut base, archives::of_settings(config, &network), &mut problems);
    merge(&mut base, quorum, &mut problems);
    archives::add_memory(&mut base, &network, keys);
    let mut whole = base.clone();
    if archives::publishes(config, &network) == Publish::Volume {
        archives::add_of_group(&mut whole, archives::IN_POD, &NodeId::new("", ""), None);
    }
    problems.extend(archives::none_readable(&whole).map(str::to_owned));
    if config.database.is_some() {
        set_postgres(&mut whole);
    }
    problems.extend(check_document(&whole, None, keys).into_vec());
    if problems.is_empty() {
        Ok(document::write(&base))
    } else {
        Err(ConfigError::Refused(problems.into_vec()))
    }
}

/// The keys that the operator owns.
fn settings(config: &ValidatorConfig, network: &Network) -> Table {
    let text = |text: &str| Value::String(text.to_owned());
    let mut base: Table = [
        ("NETWORK_PASSPHRASE", text(network.passphrase())),
        ("PEER_PORT", Value::Integer(config.peer_port().into())),
        ("HTTP_PORT", Value::Integer(labels::HTTP_PORT.into())),
        ("PUBLIC_HTTP_PORT", Value::Boolean(false)),
        ("LOG_FILE_PATH", text("")),
        ("DATABASE", text(pod_paths::DATABASE)),
        ("BUCKET_DIR_PATH", text(pod_paths::BUCKET_DIR)),
        ("NODE_IS_VALIDATOR", Value::Boolean(true)),
        ("CATCHUP_COMPLETE", Value::Boolean(config.catchup_complete)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    if let Some(domain) = &config.home_domain {
        base.insert("NODE_HOME_DOMAIN".to_owned(), text(domain));
    }
    base
}

/// The default quorum set of testnet, with the validator as an organisation of its own. Without a home domain, it gets
/// a unique one, which stellar-core uses only for grouping.
fn testnet_quorum(config: &ValidatorConfig, base: &mut Table) -> Result<Table, ConfigError> {
    let mut quorum = document::parse("the default quorum set", TESTNET)?;
    let domain = config.home_domain.clone().unwrap_or_else(|| "self".to_owned());
    base.insert("NODE_HOME_DOMAIN".to_owned(), Value::String(domain.clone()));
    if let Some(Value::Array(domains)) = quorum.get_mut("HOME_DOMAINS") {
        let listed = domains
            .iter()
            .any(|entry| entry.get("HOME_DOMAIN").and_then(Value::as_str) == Some(domain.as_str()));
        if !listed {
            let mut own = Table::new();
            own.insert("HOME_DOMAIN".to_owned(), Value::String(domain));
            own.insert("QUALITY".to_owned(), Value::String("MEDIUM".to_owned()));
            domains.push(Value::Table(own));
        }
    }
    Ok(quorum)
}

/// Merges `from` into `base`. Archives are added one by one; any other key may occur only once.
fn merge(base: &mut Table, from: Table, problems: &mut Problems) {
    for (key, value) in from {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(archives)), Value::Table(more)) if key == "HISTORY" => {
                for (name, archive) in more {
                    if archives.contains_key(&name) {
                        problems.push(format!(
                            "HISTORY.{name} in coreConfig has the name of an archive that the operator adds: give it another"
                        ));
                    }
                    archives.insert(name, archive);
                }
            }
            (Some(_), _) => problems.push(format!(
                "{key} is given twice, in quorumSet and in coreConfig: keep one"
            )),
            (None, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// The problem of a history archive's URL, or `None`. stellar-core runs it as part of a command line.
pub(super) fn url_problem(url: &str) -> Option<String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let plain = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&()*+,;=%".contains(&byte))
    };
    match rest {
        Some(rest)
            if !rest.is_empty()
                && plain(rest)
                && !rest.contains(['$', '&', ';', '(', ')', '*', '!', '#', '?', '[', ']']) =>
        {
            None
        }
        Some(_) => Some(format!(
            "{url:?} holds blanks, quotes or signs that a command line gives a meaning to (stellar-core would run them): write \
             http://host/path with letters, digits and -._~:/@+,=% only"
        )),
        None => Some(format!("{url:?} is not an http:// or https:// URL")),
    }
}
