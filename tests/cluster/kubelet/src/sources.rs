//! Reads the ConfigMaps and Secrets of a pod, as they are now or as they were some time ago.
//!
//! A kubelet reads ConfigMaps from a cache, which may be late. `--read-late` simulates this: a watch records the
//! versions of each ConfigMap and their times.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};

/// How long old content is kept: longer than any simulated delay.
const KEPT: Duration = Duration::from_secs(600);

/// Keys and values of a ConfigMap or Secret.
#[derive(Debug, Clone, Default)]
pub(crate) struct Data(BTreeMap<String, Vec<u8>>);

impl<const N: usize> From<[(String, Vec<u8>); N]> for Data {
    fn from(entries: [(String, Vec<u8>); N]) -> Self {
        Self(entries.into())
    }
}

impl Data {
    /// The keys with their bytes, for files.
    pub(crate) fn bytes(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.0
    }

    /// The keys with text values, for variables.
    pub(crate) fn text(&self) -> BTreeMap<String, String> {
        let text = |value: &Vec<u8>| String::from_utf8(value.clone()).ok();
        self.0
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), text(value)?)))
            .collect()
    }
}

fn of_config_map(map: ConfigMap) -> Data {
    let text = map
        .data
        .into_iter()
        .flatten()
        .map(|(key, value)| (key, value.into_bytes()));
    Data(
        text.chain(map.binary_data.into_iter().flatten().map(|(key, value)| (key, value.0)))
            .collect(),
    )
}

fn of_secret(secret: Secret) -> Data {
    Data(
        secret
            .data
            .into_iter()
            .flatten()
            .map(|(key, value)| (key, value.0))
            .collect(),
    )
}

/// All ConfigMaps and Secrets of one pod. A missing name does not exist.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    config_maps: BTreeMap<String, Data>,
    secrets: BTreeMap<String, Data>,
}

impl Sources {
    #[cfg(test)]
    pub(crate) fn new<const N: usize>(config_maps: [(String, Data); N], secrets: [(String, Data); N]) -> Self {
        Self {
            config_maps: config_maps.into(),
            secrets: secrets.into(),
        }
    }

    /// The ConfigMap; `None` if it is missing and optional.
    pub(crate) fn config_map(&self, name: &str, optional: Option<bool>) -> Result<Option<&Data>, String> {
        find(&self.config_maps, "configmap", name, optional)
    }

    /// The Secret; `None` if it is missing and optional.
    pub(crate) fn secret(&self, name: &str, optional: Option<bool>) -> Result<Option<&Data>, String> {
        find(&self.secrets, "secret", name, optional)
    }

    /// Reads the pod's Secrets as they are now, and its ConfigMaps as they were `late` ago.
    pub(crate) async fn read(client: &Client, pod: &Pod, history: &History, late: Duration) -> kube::Result<Self> {
        let namespace = pod.namespace().unwrap_or_default();
        let (config_maps, secrets) = references(pod);
        let mut sources = Self::default();
        for name in config_maps {
            let data = if late.is_zero() {
                Api::<ConfigMap>::namespaced(client.clone(), &namespace)
                    .get_opt(&name)
                    .await?
                    .map(of_config_map)
            } else {
                history.at(&namespace, &name, late)
            };
            sources.config_maps.extend(data.map(|data| (name, data)));
        }
        for name in secrets {
            let secret = Api::<Secret>::namespaced(client.clone(), &namespace)
                .get_opt(&name)
                .await?;
            sources.secrets.extend(secret.map(|secret| (name, of_secret(secret))));
        }
        Ok(sources)
    }
}

fn find<'a>(
    map: &'a BTreeMap<String, Data>,
    kind: &str,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<&'a Data>, String> {
    match map.get(name) {
        None if optional != Some(true) => Err(format!("{kind} \"{name}\" not found")),
        found => Ok(found),
    }
}

/// The names of the ConfigMaps and Secrets that init containers and volumes refer to.
fn references(pod: &Pod) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut config_maps, mut secrets) = (BTreeSet::new(), BTreeSet::new());
    let Some(spec) = &pod.spec else {
        return (config_maps, secrets);
    };
    for container in spec.init_containers.iter().flatten() {
        for from in container.env_from.iter().flatten() {
            config_maps.extend(from.config_map_ref.iter().map(|reference| reference.name.clone()));
            secrets.extend(from.secret_ref.iter().map(|reference| reference.name.clone()));
        }
        for source in container
            .env
            .iter()
            .flatten()
            .filter_map(|variable| variable.value_from.as_ref())
        {
            config_maps.extend(source.config_map_key_ref.iter().map(|reference| reference.name.clone()));
            secrets.extend(source.secret_key_ref.iter().map(|reference| reference.name.clone()));
        }
    }
    for volume in spec.volumes.iter().flatten() {
        config_maps.extend(volume.config_map.iter().map(|source| source.name.clone()));
        secrets.extend(volume.secret.iter().filter_map(|source| source.secret_name.clone()));
        let for_driver = volume
            .csi
            .iter()
            .filter_map(|source| source.node_publish_secret_ref.as_ref());
        secrets.extend(for_driver.map(|secret| secret.name.clone()));
        for source in volume
            .projected
            .iter()
            .flat_map(|projected| projected.sources.iter().flatten())
        {
            config_maps.extend(source.config_map.iter().map(|source| source.name.clone()));
            secrets.extend(source.secret.iter().map(|source| source.name.clone()));
        }
    }
    (config_maps, secrets)
}

/// The content of a ConfigMap from a time on; `None` if it did not exist. The first entry has no start time.
type Versions = Vec<(Option<Instant>, Option<Data>)>;

/// The versions of each ConfigMap of the cluster.
#[derive(Debug, Clone, Default)]
pub(crate) struct History(Arc<Mutex<BTreeMap<(String, String), Versions>>>);

impl History {
    fn record(&self, key: (String, String), since: Option<Instant>, data: Option<Data>) {
        let mut maps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let versions = maps.entry(key).or_default();
        versions.push((since, data));
        let old = versions
            .iter()
            .filter(|(since, _)| since.is_some_and(|since| since.elapsed() > KEPT))
            .count();
        versions.drain(..old.saturating_sub(1));
    }

    fn at(&self, namespace: &str, name: &str, late: Duration) -> Option<Data> {
        let maps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let versions = maps.get(&(namespace.to_owned(), name.to_owned()))?;
        let seen = |since: &Option<Instant>| since.is_none_or(|since| since.elapsed() >= late);
        versions
            .iter()
            .rev()
            .find(|(since, _)| seen(since))
            .and_then(|(_, data)| data.clone())
    }
}

/// Records the history until the process ends.
pub(crate) async fn watch(client: Client, history: History) {
    let mut events = pin!(watcher(Api::<ConfigMap>::all(client), watcher::Config::default()).default_backoff());
    let mut first = true;
    while let Some(event) = events.next().await {
        let key = |map: &ConfigMap| (map.namespace().unwrap_or_default(), map.name_any());
        match event {
            Ok(watcher::Event::InitApply(map)) => {
                history.record(key(&map), (!first).then(Instant::now), Some(of_config_map(map)));
            }
            Ok(watcher::Event::InitDone) => first = false,
            Ok(watcher::Event::Apply(map)) => history.record(key(&map), Some(Instant::now()), Some(of_config_map(map))),
            Ok(watcher::Event::Delete(map)) => history.record(key(&map), Some(Instant::now()), None),
            Ok(watcher::Event::Init) => {}
            Err(error) => tracing::warn!(%error, "watching ConfigMaps"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Data, History};

    fn data(text: &str) -> Data {
        Data::from([("k".to_owned(), text.as_bytes().to_vec())])
    }

    #[test]
    fn history_returns_the_version_of_that_time() {
        let history = History::default();
        let key = || ("ns".to_owned(), "m".to_owned());
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        history.record(key(), None, Some(data("first")));
        history.record(key(), Some(ago(10)), Some(data("second")));
        history.record(key(), Some(ago(5)), None);
        let at = |seconds| {
            history
                .at("ns", "m", Duration::from_secs(seconds))
                .map(|data| data.text()["k"].clone())
        };
        assert_eq!(at(20).as_deref(), Some("first"));
        assert_eq!(at(7).as_deref(), Some("second"));
        assert_eq!(at(1), None);
        assert_eq!(history.at("ns", "other", Duration::ZERO).map(|data| data.text()), None);
    }
}
