//! The events of a history, and the repair at its end.

use proptest::prelude::*;
use stellar_k8s::controller::model::snapshot::PublishedList;
use stellar_k8s::crd::Network;
use stellar_k8s::labels;

use crate::kubelet::ENDS;
use crate::world::{Kind, Millis, SimNode, World};

/// An event in a history; numbers count the existing validators.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    Join,
    Suspend(usize),
    Resume(usize),
    Delete(usize),
    ChangePort(usize),
    NewVersion(usize),
    /// A version that never votes.
    BadVersion(usize),
    /// The validator never votes again.
    Break(usize),
    /// Its container crashes repeatedly: how long it runs each time, and for how long this lasts.
    Crash(usize, Millis, Millis),
    LosePod(usize),
    /// Its pod is lost, and no machine takes the next one.
    LoseMachine(usize),
    LoseAll,
    /// A policy refuses every change of its pod template.
    Refuse(usize),
    /// A user deletes its StatefulSet.
    LoseWorkload(usize),
    Flap(usize),
    Pause(usize),
    Unpause(usize),
    PauseAll,
    UnpauseAll,
    DeleteList,
    EditList(Edit),
    /// A user replaces a list by their own ConfigMap.
    TakeList,
}

/// An edit of a list by a user.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Edit {
    Broken,
    Shortened,
    OfTheFuture,
}

/// The key in a user's ConfigMap that has the name of a list.
const FOREIGN_KEY: &str = "mine";

pub(crate) fn happening() -> impl Strategy<Value = Happening> {
    let who = || 0..8usize;
    let runs = prop_oneof![Just(300), Just(1_500), Just(3_000)];
    let span = prop_oneof![2 => Just(60_000), 1 => Just(Millis::MAX)];
    let edit = prop_oneof![Just(Edit::Broken), Just(Edit::Shortened), Just(Edit::OfTheFuture)];
    prop_oneof![
        3 => Just(Happening::Join),
        2 => who().prop_map(Happening::Suspend),
        2 => who().prop_map(Happening::Resume),
        2 => who().prop_map(Happening::Delete),
        1 => who().prop_map(Happening::ChangePort),
        2 => who().prop_map(Happening::NewVersion),
        1 => who().prop_map(Happening::BadVersion),
        1 => who().prop_map(Happening::Break),
        2 => (who(), runs, span).prop_map(|(index, runs, span)| Happening::Crash(index, runs, span)),
        4 => who().prop_map(Happening::LosePod),
        1 => who().prop_map(Happening::LoseMachine),
        2 => Just(Happening::LoseAll),
        1 => who().prop_map(Happening::Refuse),
        1 => who().prop_map(Happening::LoseWorkload),
        2 => who().prop_map(Happening::Flap),
        1 => who().prop_map(Happening::Pause),
        1 => who().prop_map(Happening::Unpause),
        1 => Just(Happening::PauseAll),
        1 => Just(Happening::UnpauseAll),
        1 => Just(Happening::DeleteList),
        2 => edit.prop_map(Happening::EditList),
        1 => Just(Happening::TakeList),
    ]
}

/// Which validators differ from the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cast {
    /// The second cannot report what it loaded.
    pub(crate) silent: bool,
    /// The third has a StatefulSet that the operator does not manage.
    pub(crate) foreign: bool,
    pub(crate) second_network: SecondNetwork,
}

/// Whether every third validator belongs to another network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecondNetwork {
    No,
    /// It does and names the same ConfigMap.
    SameList,
    /// It does and names another ConfigMap.
    OwnList,
}

impl Cast {
    /// Adds a validator.
    pub(crate) fn join(self, world: &mut World) {
        let is_free = |index: &usize| {
            let name = format!("validator-{index}");
            world.nodes.iter().all(|node| node.id.name != name)
        };
        let index = (0..).find(is_free).unwrap();
        let node = world.join(&format!("validator-{index}"));
        node.kind = match index {
            1 if self.silent => Kind::Silent,
            2 if self.foreign => Kind::Foreign,
            _ => Kind::Ours,
        };
        if index % 3 == 1 && self.second_network != SecondNetwork::No {
            node.network = Network::parse("Another Network ; 2026");
            if self.second_network == SecondNetwork::OwnList {
                node.list.name.push_str("-b");
            }
        }
    }
}

impl World {
    pub(crate) fn happen(&mut self, happening: &Happening, cast: Cast) {
        if matches!(happening, Happening::Join) {
            if self.nodes.len() < 8 {
                cast.join(self);
            }
            return;
        }
        let count = self.nodes.len();
        if count == 0 {
            return;
        }
        let now = self.now;
        let version = u32::try_from(self.next()).unwrap() + 1;
        let mut of_all = true;
        match happening {
            Happening::Suspend(index) => self.nodes[index % count].suspended = true,
            Happening::Resume(index) => self.nodes[index % count].suspended = false,
            Happening::Delete(index) => {
                self.nodes[index % count].deleting.get_or_insert(now);
            }
            Happening::ChangePort(index) => {
                let node = &mut self.nodes[index % count];
                node.spec.port = if node.spec.port == 11625 { 11700 } else { 11625 };
                node.reasons += 1;
            }
            // Several losses in a row may split the group.
            Happening::LosePod(index) => self.kill_pod(index % count),
            Happening::LoseMachine(index) => {
                self.nodes[index % count].no_machine = true;
                self.kill_pod(index % count);
            }
            Happening::LoseAll => self.cut_the_power(),
            Happening::LoseWorkload(index) => self.nodes[index % count].lose_workload(now),
            Happening::EditList(Edit::Broken) => self.edit_list(|list| {
                list.data.insert(labels::KNOWN_PEERS.to_owned(), "1.2.3.4:5".to_owned());
                list.data.insert(labels::PEERS_JSON.to_owned(), "{}".to_owned());
            }),
            Happening::EditList(edit) => self.edit_list(|list| edit_members(list, *edit)),
            Happening::TakeList => self.take_list(),
            Happening::DeleteList => self.lists.clear(),
            _ => of_all = false,
        }
        if of_all {
            self.all_have_a_reason();
            return;
        }
        match happening {
            Happening::NewVersion(index) | Happening::BadVersion(index) => {
                let node = &mut self.nodes[index % count];
                node.spec.version = version;
                node.reasons += 1;
                if matches!(happening, Happening::BadVersion(_)) {
                    self.bad_versions.insert(version);
                }
            }
            Happening::Refuse(index) => self.nodes[index % count].refused = true,
            Happening::Break(index) => self.nodes[index % count].broken = true,
            Happening::Crash(index, runs, span) => self.crash(index % count, *span, *runs),
            Happening::Flap(index) => self.nodes[index % count].flapping_until = now + 20_000,
            Happening::Pause(index) => self.nodes[index % count].paused = true,
            Happening::Unpause(index) => self.nodes[index % count].paused = false,
            Happening::PauseAll => {
                let namespaces = self.nodes.iter().map(|node| node.id.namespace.clone());
                self.paused_namespaces = namespaces.collect();
            }
            Happening::UnpauseAll => self.paused_namespaces.clear(),
            _ => unreachable!("the event concerns all validators"),
        }
    }

    fn take_list(&mut self) {
        let version = self.next();
        if let Some(list) = self.lists.values_mut().next() {
            *list = PublishedList {
                uid: format!("somebodys-{version}"),
                resource_version: version.to_string(),
                ours: false,
                network: None,
                data: [(FOREIGN_KEY.to_owned(), String::new())].into(),
                list: None,
            };
        }
    }

    /// Repairs what only users can repair.
    pub(crate) fn heal(&mut self) {
        let now = self.now;
        let version = u32::try_from(self.next()).unwrap() + 1;
        let bad = &self.bad_versions;
        for node in &mut self.nodes {
            node.broken = false;
            node.no_machine = false;
            node.refused = false;
            node.paused = false;
            if let Some(crash) = &mut node.crash {
                crash.until = crash.until.min(now);
            }
            if bad.contains(&node.spec.version) {
                node.spec.version = version;
                node.reasons += 1;
            }
            // Kubernetes may keep a pod that is not Ready, and the operator changes no foreign pod: the owner deletes
            // it.
            let pod = node.pod.as_mut().filter(|pod| bad.contains(&pod.spec.version));
            if let Some(pod) = pod.filter(|_| node.kind == Kind::Foreign) {
                pod.dying.get_or_insert(now + ENDS);
            }
        }
        self.paused_namespaces.clear();
        self.lists.retain(|_, list| list.ours);
        self.all_have_a_reason();
    }
}

impl SimNode {
    pub(crate) fn lose_workload(&mut self, now: Millis) {
        self.no_workload_until = Some(now + 1_500);
        (self.member, self.assumed, self.last_restart, self.given_back) = (None, None, None, None);
        self.reasons += 1;
    }
}

/// Changes `peers.json` so that it can still be read.
fn edit_members(published: &mut PublishedList, edit: Edit) {
    let Some(list) = &mut published.list else {
        return;
    };
    match edit {
        Edit::Shortened => list.members.truncate(list.members.len() / 2),
        Edit::OfTheFuture => list.version = "2100-01-01T00:00:00Z".parse().unwrap(),
        Edit::Broken => {}
    }
    published.data.insert(labels::PEERS_JSON.to_owned(), list.to_json());
}
