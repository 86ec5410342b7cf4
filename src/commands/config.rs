//! The subcommand `config`: prints the `stellar-core.cfg` that a validator's pod would write now, without secrets.
//!
//! It uses the rights of the caller's kubeconfig, writes nothing, and needs no operator. It reads no Secret: in place
//! of a secret value, it names the source.

use std::io::Write;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{Api, Client, ResourceExt as _};
use serde::de::DeserializeOwned;
use stellar_strkey::ed25519::PublicKey;

use crate::core_config::render::{Database, Sources, preview};
use crate::core_config::{ConfigError, GroupArchives, Keys, base_config, foreign, network_of, pod_paths, publishes};
use crate::crd::{KeySource, Network, Publish, StellarNode, ValidatorConfig};
use crate::kubernetes::api::{ApiError, deadline};
use crate::labels;
use crate::peers::{NodeId, PeerList, reported_public_key};
use crate::run::connection::{Connection, ConnectionError};
use crate::util::text::plain;

/// Arguments of `config`.
#[derive(Clone, Debug, clap::Args)]
pub struct ShowConfig {
    /// Name of the StellarNode, a validator
    node: String,
    /// The validator's public key (G…), needed until its pod has reported it
    #[arg(long, value_parser = parse_key)]
    public_key: Option<String>,
    /// The cluster domain of the other members' archives
    #[arg(long, env = "CLUSTER_DOMAIN", default_value = "cluster.local")]
    cluster_domain: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error("{kind} {node} cannot be read")]
    Api {
        kind: &'static str,
        node: NodeId,
        source: Box<ApiError>,
    },
    #[error("there is no StellarNode {0}: kubectl get stellarnodes --all-namespaces lists those that are")]
    NoNode(NodeId),
    /// The validator has no valid config.
    #[error("no config for {node}")]
    Refused { node: NodeId, source: ConfigError },
    #[error("the result cannot be written")]
    Write(#[from] std::io::Error),
}

/// The stored objects of one validator.
struct StoredObjects {
    id: NodeId,
    cluster_domain: String,
    node: StellarNode,
    list: Option<ConfigMap>,
    pod: Option<Pod>,
}

impl ShowConfig {
    /// Prints the config to `out` and warnings to `err`.
    pub async fn run(&self, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), ShowError> {
        let (client, namespace) = self.connection.open().await?;
        let id = NodeId::new(namespace, &self.node);
        let found = StoredObjects::read(client, id, self.cluster_domain.clone()).await?;
        let text = found.config(self.public_key.as_deref(), err)?;
        out.write_all(text.as_bytes())?;
        Ok(())
    }
}

impl StoredObjects {
    async fn read(client: Client, id: NodeId, cluster_domain: String) -> Result<Self, ShowError> {
        let node: Option<StellarNode> = get(&client, &id, "the StellarNode of", &id.name).await?;
        let node = node.ok_or_else(|| ShowError::NoNode(id.clone()))?;
        let list = match &node.spec.validator_config {
            Some(config) => get(&client, &id, "the list of peers of", config.known_peers_config_map()).await?,
            None => None,
        };
        let pod = get(&client, &id, "the pod of", &labels::pod_name(&node.name_any())).await?;
        Ok(Self {
            id,
            cluster_domain,
            node,
            list,
            pod,
        })
    }

    fn config(&self, public_key: Option<&str>, err: &mut dyn Write) -> Result<String, ShowError> {
        let refused = |source| ShowError::Refused {
            node: self.id.clone(),
            source,
        };
        let base = base_config(&self.node.spec).map_err(refused)?;
        let config = self.node.spec.validator_config.as_ref();
        let config = config.ok_or_else(|| refused(ConfigError::NoValidator))?;
        let public_key = public_key.or_else(|| self.reported_key());
        let list = self.list(network_of(&base).as_deref(), err)?;
        let sources = Sources {
            base: &base,
            node: &self.id,
            own_peers: &config.known_peers,
            list: list.as_ref(),
            pod_ip: self.pod_ip(),
            peers_as: config.peers_as(),
            database: config
                .database
                .as_ref()
                .map_or(Database::OnVolume, |_| Database::Withheld),
            keys: Keys::of(&self.node.spec.version),
            archives: (publishes(config, &Network::parse(&self.node.spec.network)) == Publish::Volume).then_some(
                GroupArchives {
                    dir: pod_paths::HISTORY_DIR,
                    cluster_domain: &self.cluster_domain,
                },
            ),
        };
        let file = preview(&sources, public_key).map_err(refused)?;
        Ok(format!("{}{file}", left_out(&self.id, config, public_key)))
    }

    /// The list as `render-config` reads it: an unusable list causes a warning, not a failure.
    fn list(&self, network: Option<&str>, err: &mut dyn Write) -> std::io::Result<Option<PeerList>> {
        let data = self.list.as_ref().and_then(|list| list.data.as_ref());
        let Some(text) = data.and_then(|data| data.get(labels::PEERS_JSON)) else {
            return Ok(None);
        };
        let usable = PeerList::parse_noting(text)
            .map_err(|error| error.to_string())
            .and_then(|read| foreign(&read.0, network).map_or(Ok(read), |problem| Err(format!("it {problem}"))));
        match usable {
            Ok((list, left_out)) => {
                for what in left_out {
                    writeln!(err, "warning: {what} is left out: not what the operator writes")?;
                }
                Ok(Some(list))
            }
            Err(problem) => {
                writeln!(err, "warning: the list of peers is left out: {}", plain(&problem))?;
                Ok(None)
            }
        }
    }

    fn reported_key(&self) -> Option<&str> {
        let statuses = self.pod.as_ref()?.status.as_ref()?.init_container_statuses.as_ref()?;
        let status = statuses.iter().find(|status| status.name == labels::RENDER_CONTAINER)?;
        reported_public_key(status.state.as_ref()?.terminated.as_ref()?.message.as_deref()?)
    }

    fn pod_ip(&self) -> Option<Ipv4Addr> {
        self.pod.as_ref()?.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
    }
}

async fn get<K>(client: &Client, id: &NodeId, kind: &'static str, name: &str) -> Result<Option<K>, ShowError>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), &id.namespace);
    deadline(api.get_opt(name)).await.map_err(|source| ShowError::Api {
        kind,
        node: id.clone(),
        source: Box::new(source),
    })
}

/// The comment at the top of the file.
fn left_out(id: &NodeId, config: &ValidatorConfig, public_key: Option<&str>) -> String {
    let mut text = format!("# stellar-core.cfg of {id}, as its pod would write it now, except for:\n");
    match (config.key_source, &config.kms_config) {
        (KeySource::Kms, Some(kms)) => text.push_str(&format!("# NODE_SEED, from the file {}\n", kms.seed_path)),
        _ => text.push_str(&format!(
            "# NODE_SEED, from key {} of Secret {}\n",
            labels::SEED_KEY,
            config.seed_secret_ref
        )),
    }
    if let Some(database) = &config.database {
        let reference = &database.secret_key_ref;
        text.push_str(&format!(
            "# DATABASE, from key {} of Secret {}\n",
            reference.key, reference.name
        ));
    }
    if public_key.is_none() {
        text.push_str(
            "# its own [[VALIDATORS]] entry, if any, which is still included: no pod has reported the public key; \
             pass --public-key\n",
        );
    }
    text
}

fn parse_key(text: &str) -> Result<String, String> {
    match PublicKey::from_string(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("write a public key: G followed by 55 characters".to_owned()),
    }
}
