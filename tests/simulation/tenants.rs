//! A tenant with rights in one namespace cannot affect another namespace, whatever it writes.

use std::time::Duration;

use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use stellar_k8s::controller::discovery::decide::decide;
use stellar_k8s::controller::model::options::RestartMode;
use stellar_k8s::controller::model::snapshot::{LastRestart, MemberRecord};
use stellar_k8s::labels;
use stellar_k8s::peers::{NodeId, PeerRecord, Report, View};

use crate::checks::check;
use crate::operator::Fault;
use crate::world::{Millis, NAMESPACES, Spec, World, minutes, options, time};

const TENANT: &str = "tenant";
const HONEST: usize = 4;
const TENANTS: usize = 3;

/// An action of a tenant on its namespace or one of its validators, or a fault of the whole cluster.
#[derive(Clone, Debug)]
enum Deed {
    /// It writes the validators of the other namespace with wrong addresses into its list.
    ForgeList,
    /// It writes the name of another network into its list.
    ForgeNetwork,
    ForgeMember(usize),
    ForgeLastRestart(usize),
    ForgeGivenBack(usize),
    ForgeSpecHash(usize),
    ForgeRevision(usize),
    ForgeReport(usize),
    /// It makes one of its StellarNodes unreadable, or readable again.
    Unreadable(usize),
    NewVersion(usize),
    BadVersion(usize),
    Suspend(usize),
    Resume(usize),
    LosePod(usize),
    /// The controller manager is paused for this time.
    ControllersPause(Millis),
    /// The Lease of the slots is deleted.
    LoseLease,
}

fn deed() -> impl Strategy<Value = Deed> {
    let who = || 0..TENANTS;
    prop_oneof![
        2 => Just(Deed::ForgeList),
        1 => Just(Deed::ForgeNetwork),
        2 => who().prop_map(Deed::ForgeMember),
        1 => who().prop_map(Deed::ForgeLastRestart),
        1 => who().prop_map(Deed::ForgeGivenBack),
        1 => who().prop_map(Deed::ForgeSpecHash),
        2 => who().prop_map(Deed::ForgeRevision),
        2 => who().prop_map(Deed::ForgeReport),
        3 => who().prop_map(Deed::Unreadable),
        3 => who().prop_map(Deed::NewVersion),
        3 => who().prop_map(Deed::BadVersion),
        1 => who().prop_map(Deed::Suspend),
        1 => who().prop_map(Deed::Resume),
        2 => who().prop_map(Deed::LosePod),
        1 => prop_oneof![Just(3_000), Just(9_000)].prop_map(Deed::ControllersPause),
        2 => Just(Deed::LoseLease),
    ]
}

impl World {
    /// Four validators in one namespace and three of a tenant, on one network, at rest.
    fn with_tenant() -> Self {
        let mut world = Self::new(options(RestartMode::Changed));
        world.options.cross_namespace_groups = true;
        world.options.rollout_deadline = Duration::from_secs(60);
        for index in 0..HONEST + TENANTS {
            let node = world.join(&format!("validator-{index}"));
            if index >= HONEST {
                TENANT.clone_into(&mut node.id.namespace);
                TENANT.clone_into(&mut node.list.namespace);
            }
        }
        world.run(minutes(12));
        world
    }

    fn commit(&mut self, deed: &Deed) {
        let now = self.now;
        let version = u32::try_from(self.next()).unwrap() + 1;
        let id = |index: usize| NodeId::new(TENANT, format!("validator-{}", HONEST + index));
        match deed {
            Deed::ForgeList => self.forge_list(|members, _| {
                members.extend((0..HONEST).map(|index| PeerRecord {
                    node: NodeId::new(NAMESPACES[0], format!("validator-{index}")),
                    port: 11625,
                    address: Some("192.0.2.1:11625".to_owned()),
                    since: time(now),
                    history: None,
                }));
            }),
            Deed::ForgeNetwork => self.forge_list(|_, network| *network = Some("Another Network ; 2026".to_owned())),
            Deed::Unreadable(index) => {
                if !self.unreadable.remove(&id(*index)) {
                    self.unreadable.insert(id(*index));
                }
            }
            Deed::LosePod(index) => self.kill_pod(HONEST + index),
            Deed::ControllersPause(span) => self.controller_late = *span,
            Deed::LoseLease => self.lose_lease(),
            Deed::ForgeMember(index)
            | Deed::ForgeLastRestart(index)
            | Deed::ForgeGivenBack(index)
            | Deed::ForgeSpecHash(index)
            | Deed::ForgeRevision(index)
            | Deed::ForgeReport(index)
            | Deed::NewVersion(index)
            | Deed::BadVersion(index)
            | Deed::Suspend(index)
            | Deed::Resume(index) => self.tamper(deed, HONEST + index, version),
        }
    }

    /// Deletes the Lease. A holder that already has its new pod is then unknown to other groups; only its own group
    /// waits for it. A holder that still has its old pod is about to restart, and all groups wait for it.
    fn lose_lease(&mut self) {
        self.leases.clear();
        for node in &mut self.nodes {
            let is_replaced = node.pod.as_ref().is_none_or(|pod| pod.revision == node.revision);
            node.down_by_us = node.down_by_us.filter(|_| !is_replaced);
        }
    }

    fn tamper(&mut self, deed: &Deed, index: usize, version: u32) {
        let now = time(self.now);
        // The address of a validator in the other namespace.
        let theirs = self.nodes[0].member.clone();
        let node = &mut self.nodes[index];
        node.resource_version += 1;
        match deed {
            Deed::ForgeMember(_) => {
                node.member = theirs.map(|member| MemberRecord {
                    joined: now + SignedDuration::from_hours(1),
                    never_voted: false,
                    ..member
                });
            }
            Deed::ForgeLastRestart(_) => {
                let (view, pod_uid) = (View::empty(), None);
                node.last_restart = Some(LastRestart { at: now, view, pod_uid });
            }
            Deed::ForgeGivenBack(_) => node.given_back = Some(now),
            Deed::ForgeSpecHash(_) => {
                node.template = Spec {
                    version,
                    ..node.template
                };
                node.revision += 1;
            }
            Deed::ForgeRevision(_) => node.pod.iter_mut().for_each(|pod| pod.revision += 1_000),
            Deed::ForgeReport(_) => node
                .pod
                .iter_mut()
                .for_each(|pod| pod.report = Some(Report::of_nothing())),
            Deed::NewVersion(_) => node.spec.version = version,
            Deed::BadVersion(_) => {
                node.spec.version = version;
                self.bad_versions.insert(version);
            }
            Deed::Suspend(_) => node.suspended = true,
            Deed::Resume(_) => node.suspended = false,
            _ => unreachable!("the fault concerns the cluster"),
        }
    }

    fn forge_list(&mut self, forge: impl FnOnce(&mut Vec<PeerRecord>, &mut Option<String>)) {
        let mut lists = self.lists.iter_mut().filter(|(id, _)| id.namespace == TENANT);
        let Some((_, published)) = lists.next() else { return };
        let Some(list) = &mut published.list else { return };
        forge(&mut list.members, &mut list.network);
        published.data.insert(labels::PEERS_JSON.to_owned(), list.to_json());
        published.resource_version.push('x');
    }

    /// Runs some cycles and checks the other namespace at each step.
    fn suffer(&mut self, cycles: usize) {
        for _ in 0..cycles {
            self.now += 500;
            self.settle();
            let snapshot = self.snapshot();
            let plan = decide(&snapshot, &self.options);
            check(&snapshot, &plan, &self.options);
            for write in plan.lists.iter().filter(|write| write.id.namespace != TENANT) {
                assert!(!write.data[labels::PEERS_JSON].contains(TENANT), "{write:?}");
            }
            self.carry_out(&snapshot, &plan, Fault::default());
            self.settle();
            let gone: Vec<&str> = self.missed().collect();
            assert!(gone.len() <= 1, "the operator had these down at once: {gone:?}");
        }
    }

    /// Validators that voted, were taken down by the operator and are not back. Those of the tenant count only while
    /// they hold a slot and their StellarNode can be read, because a tenant may take down its own validators.
    fn missed(&self) -> impl Iterator<Item = &str> {
        let has_slot = |uid: &str| {
            self.leases
                .values()
                .any(|lease| lease.slots.iter().any(|slot| slot.uid == uid))
        };
        let down = self.nodes.iter().filter(|node| node.down_by_us == Some(true));
        let down = down.filter(move |node| {
            let is_known = !self.unreadable.contains(&node.id) && has_slot(&node.uid);
            node.id.namespace != TENANT || is_known
        });
        down.map(|node| node.id.name.as_str())
    }

    fn honest_restarts(&self) -> usize {
        self.nodes[..HONEST].iter().map(|node| node.restarts.len()).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("HISTORIES").map_or(24, |count| count.parse().unwrap()),
        rng_seed: std::env::var("HISTORIES").map_or(RngSeed::Fixed(2026), |_| RngSeed::Random),
        max_shrink_iters: 60,
        ..ProptestConfig::default()
    })]

    #[test]
    fn tampering_by_a_tenant_neither_restarts_nor_delays_validators_of_others(
        deeds in proptest::collection::vec((deed(), 1..80usize), 1..16),
        asks_at in 0..16usize,
    ) {
        let mut world = World::with_tenant();
        let before = world.honest_restarts();
        let lists = world.lists.iter().filter(|(id, _)| id.namespace != TENANT);
        let lists: Vec<_> = lists.map(|(id, list)| (id.clone(), list.data.clone())).collect();
        for (position, (deed, cycles)) in deeds.iter().enumerate() {
            if position == asks_at.min(deeds.len() - 1) {
                prop_assert_eq!(world.honest_restarts(), before, "the other namespace asked for no change");
                world.nodes[..HONEST].iter_mut().for_each(|node| node.spec.version = 1_000_000);
            }
            world.commit(deed);
            world.suffer(*cycles);
        }
        // If a tenant's validator voted, restarted for its own change and never votes again, it holds a slot of the
        // network until a person acts, and no other voting validator may restart. Nothing else that a tenant does
        // delays the others.
        let stuck = world.nodes[HONEST..].iter().any(|node| node.down_by_us == Some(true));
        world.suffer(600);
        let voting = world.nodes[..HONEST].iter().filter(|node| world.is_voting(node)).count();
        prop_assert!(voting >= HONEST - 1, "{voting} vote");
        let updated = world.nodes[..HONEST].iter().filter(|node| node.template == node.spec).count();
        let held = world.nodes[HONEST..].iter().any(|node| node.down_by_us == Some(true));
        prop_assert!(stuck || held || updated == HONEST, "{updated} have their new version");
        for (id, data) in &lists {
            let members = |data: &std::collections::BTreeMap<String, String>| data[labels::PEERS_JSON].matches("\"node\"").count();
            prop_assert_eq!(members(&world.lists[id].data), members(data));
        }
    }
}
