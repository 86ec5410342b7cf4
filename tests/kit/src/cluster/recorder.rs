//! Records the changes of the pods of a namespace from the start, so that a test can count restarts and prove that two
//! validators were never down at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use stellar_k8s::labels;
use tokio::task::JoinHandle;

/// The state of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The pod exists and is not Ready.
    NotReady,
    /// The pod is Ready: its validator votes.
    Ready,
    /// The pod is terminating.
    Terminating,
    /// The pod is deleted.
    Gone,
}

/// One recorded change.
#[derive(Clone, Debug)]
struct Seen {
    validator: String,
    uid: String,
    state: State,
}

/// All recorded changes, in the API server's order.
#[derive(Clone, Debug, Default)]
pub struct History(Vec<Seen>);

impl History {
    fn note(&mut self, validator: &str, uid: &str, state: State) {
        let last = self.0.iter().rev().find(|seen| seen.uid == uid);
        if last.is_none_or(|last| last.state != state) {
            self.0.push(Seen {
                validator: validator.to_owned(),
                uid: uid.to_owned(),
                state,
            });
        }
    }

    /// A one-line summary for `make faults`.
    pub fn summary(&self) -> String {
        let lives = self.lives();
        format!(
            "{} validators had {} pods, at most {} down at once",
            lives.len(),
            lives.values().sum::<usize>(),
            self.down_at_once(&[]).len()
        )
    }

    /// How many pods each validator has had.
    pub fn lives(&self) -> BTreeMap<String, usize> {
        let pods: BTreeSet<(&str, &str)> = self
            .0
            .iter()
            .map(|seen| (seen.validator.as_str(), seen.uid.as_str()))
            .collect();
        let mut lives = BTreeMap::new();
        for (validator, _) in pods {
            *lives.entry(validator.to_owned()).or_default() += 1;
        }
        lives
    }

    /// How often each validator stopped voting. Kubernetes may create a pod from the old template and replace it at
    /// once, so one change of a template can need more than one pod.
    pub fn downs(&self) -> BTreeMap<String, usize> {
        let mut downs = BTreeMap::new();
        let mut voting = BTreeSet::new();
        for seen in &self.0 {
            let count = downs.entry(seen.validator.clone()).or_default();
            if seen.state == State::Ready {
                voting.insert(&seen.validator);
            } else if voting.remove(&seen.validator) {
                *count += 1;
            }
        }
        downs
    }

    /// The validators whose current pod is Ready.
    pub fn voting(&self) -> BTreeSet<String> {
        let last: BTreeMap<&str, bool> = self.readiness().collect();
        let ready = last.into_iter().filter(|(_, ready)| *ready);
        ready.map(|(validator, _)| validator.to_owned()).collect()
    }

    /// The most pods that existed at one moment, terminating ones included.
    pub fn most_alive_at_once(&self) -> usize {
        let mut alive = BTreeSet::new();
        let counts = self.0.iter().map(|seen| {
            if seen.state == State::Gone {
                alive.remove(&seen.uid);
            } else {
                alive.insert(&seen.uid);
            }
            alive.len()
        });
        counts.max().unwrap_or_default()
    }

    /// The validator of each recorded change and whether its pod was Ready, in order.
    pub fn readiness(&self) -> impl Iterator<Item = (&str, bool)> {
        let seen = self.0.iter();
        seen.map(|seen| (seen.validator.as_str(), seen.state == State::Ready))
    }

    /// The largest set of validators that were down at one moment, without those in `leaving`. A validator is down if
    /// it voted before and does not vote now.
    pub fn down_at_once(&self, leaving: &[&str]) -> BTreeSet<String> {
        let mut down = BTreeSet::new();
        let mut most = BTreeSet::new();
        let mut voted = BTreeSet::new();
        for seen in self.0.iter().filter(|seen| !leaving.contains(&seen.validator.as_str())) {
            if seen.state == State::Ready {
                voted.insert(&seen.validator);
                down.remove(&seen.validator);
            } else if voted.contains(&seen.validator) {
                down.insert(seen.validator.clone());
            }
            if down.len() > most.len() {
                most = down.clone();
            }
        }
        most
    }
}

impl fmt::Display for History {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Seen { validator, uid, state } in &self.0 {
            writeln!(formatter, "{validator} {} {state:?}", uid.get(..8).unwrap_or(uid))?;
        }
        Ok(())
    }
}

/// Watches the pods of a namespace.
#[derive(Debug)]
pub struct Recorder {
    history: Arc<Mutex<History>>,
    may_break_off: Arc<AtomicBool>,
    watch: JoinHandle<()>,
}

impl Recorder {
    /// Starts the watch; the namespace need not exist yet.
    pub fn start(client: Client, namespace: &str) -> Self {
        Self::watch(Api::namespaced(client, namespace), Vec::new())
    }

    /// Watches several namespaces, whose validators must have different names.
    pub fn across(client: Client, namespaces: &[&str]) -> Self {
        let namespaces = namespaces.iter().map(|name| (*name).to_owned()).collect();
        Self::watch(Api::all(client), namespaces)
    }

    /// Watches the pods of `namespaces`, or all pods of `pods` if that is empty.
    fn watch(pods: Api<Pod>, namespaces: Vec<String>) -> Self {
        let history: Arc<Mutex<History>> = Arc::default();
        let may_break_off: Arc<AtomicBool> = Arc::default();
        let (noted, forgiven) = (Arc::clone(&history), Arc::clone(&may_break_off));
        let watch = tokio::spawn(async move {
            let mut events = watcher(pods, watcher::Config::default().labels(labels::INSTANCE))
                .default_backoff()
                .boxed();
            while let Some(event) = events.next().await {
                let (pod, gone) = match event {
                    Ok(Event::Apply(pod) | Event::InitApply(pod)) => (pod, false),
                    Ok(Event::Delete(pod)) => (pod, true),
                    Ok(Event::Init | Event::InitDone) => continue,
                    Err(_) if forgiven.load(Ordering::Relaxed) => continue,
                    // A record with a gap would prove nothing.
                    Err(error) => panic!("the recorder's watch broke off: {error}"),
                };
                if !namespaces.is_empty() && !pod.namespace().is_some_and(|one| namespaces.contains(&one)) {
                    continue;
                }
                let validator = pod.labels().get(labels::INSTANCE).cloned().unwrap_or_default();
                let state = if gone { State::Gone } else { state(&pod) };
                let mut history = noted.lock().expect("the lock is not poisoned");
                history.note(&validator, &pod.uid().unwrap_or_default(), state);
            }
        });
        Self {
            history,
            may_break_off,
            watch,
        }
    }

    /// From now on the watch may break off, because the API server stops. Restarts are still recorded by the uid of the
    /// pods; simultaneous downtimes may be missed.
    pub fn may_break_off(&self) {
        self.may_break_off.store(true, Ordering::Relaxed);
    }

    /// All changes recorded so far.
    pub fn history(&self) -> History {
        assert!(
            !self.watch.is_finished() || std::thread::panicking(),
            "the recorder's watch broke off"
        );
        self.history.lock().map(|history| history.clone()).unwrap_or_default()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

fn state(pod: &Pod) -> State {
    if pod.metadata.deletion_timestamp.is_some() {
        return State::Terminating;
    }
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    if ready { State::Ready } else { State::NotReady }
}
