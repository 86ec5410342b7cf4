//! The expected state of up to six validators, the manual changes, and the comparison with the cluster.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use stellar_k8s::labels;
use test_kit::{TestEnv, Validators};

/// The most validators.
pub(crate) const MOST: usize = 6;

/// The expected spec of a validator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) port: u16,
    pub(crate) version: u32,
    pub(crate) suspended: bool,
}

/// The expected state.
#[derive(Debug)]
pub(crate) struct World {
    validators: Validators,
    /// The existing validators by number.
    pub(crate) specs: BTreeMap<usize, Spec>,
    /// How many reasons for a restart each validator has had.
    reasons: BTreeMap<String, usize>,
    /// The validators taken down by hand, each with the length of the record at that time.
    by_hand: Vec<(usize, String)>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            validators: Validators::new(MOST),
            specs: BTreeMap::new(),
            reasons: (1..=MOST).map(|number| (Validators::name(number), 0)).collect(),
            by_hand: Vec::new(),
        }
    }

    /// The current and future members.
    pub(crate) fn members(&self) -> Vec<usize> {
        let wanted = self.specs.iter().filter(|(_, spec)| !spec.suspended);
        wanted.map(|(number, _)| *number).collect()
    }

    /// The suspended validators.
    pub(crate) fn suspended(&self) -> Vec<usize> {
        let suspended = self.specs.iter().filter(|(_, spec)| spec.suspended);
        suspended.map(|(number, _)| *number).collect()
    }

    /// The validators that do not exist.
    pub(crate) fn absent(&self) -> Vec<usize> {
        (1..=MOST).filter(|number| !self.specs.contains_key(number)).collect()
    }

    /// The members, their ports or several addresses changed, so each validator may restart once more.
    pub(crate) fn all_have_a_reason(&mut self) {
        self.reasons.values_mut().for_each(|count| *count += 1);
    }

    pub(crate) fn has_a_reason(&mut self, number: usize) {
        *self.reasons.entry(Validators::name(number)).or_default() += 1;
    }

    /// Notes that the test takes this validator down now.
    pub(crate) fn goes_down_by_hand(&mut self, env: &TestEnv, number: usize) {
        let seen = env.recorder().history().readiness().count();
        self.by_hand.push((seen, Validators::name(number)));
    }

    /// Applies the specs of these validators in one command.
    pub(crate) fn apply(&self, env: &TestEnv, numbers: &[usize]) {
        let items = numbers.iter().flat_map(|number| {
            let Spec {
                port,
                version,
                suspended,
            } = self.specs[number];
            let mut node = self.validators.node(*number);
            node["spec"]["validatorConfig"]["peerPort"] = json!(port);
            node["spec"]["version"] = json!(format!("{version}.0.0"));
            node["spec"]["suspended"] = json!(suspended);
            [self.validators.secret(*number), node]
        });
        let items: Vec<Value> = items.collect();
        env.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string());
    }

    /// The first difference from the expected state; `None` at the end of a history.
    pub(crate) fn amiss(&self, env: &TestEnv) -> Option<String> {
        let members = self.members();
        let names: Vec<String> = members.iter().map(|number| Validators::name(*number)).collect();
        let voting = env.recorder().history().voting();
        if let Some(name) = names.iter().find(|name| !voting.contains(*name)) {
            return Some(format!("{name} does not vote"));
        }
        let mut addresses: BTreeMap<&str, String> = BTreeMap::new();
        for (number, name) in members.iter().zip(&names) {
            let Spec { port, version, .. } = self.specs[number];
            let Some(ip) = env.pod_ip(name) else {
                return Some(format!("{name} has no address"));
            };
            addresses.insert(name, format!("{ip}:{port}"));
            let pod = env.get(&format!("pod/{name}-0")).unwrap_or_default();
            let image = pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
            if !image.ends_with(&format!(":{version}.0.0")) {
                return Some(format!("{name} runs {image}"));
            }
            for (condition, right) in [("PeersReady", "Loaded"), ("UpdatePending", "UpToDate")] {
                let reason = env.reason(name, condition);
                if reason.as_deref() != Some(right) {
                    return Some(format!("{condition} of {name} is {reason:?}"));
                }
            }
        }
        let list: BTreeSet<String> = addresses.values().cloned().collect();
        if env.peers() != list {
            return Some(format!("the list is {:?}, not {list:?}", env.peers()));
        }
        None
    }

    /// Asserts that the operator took down one validator at a time, and none more often than it had reasons.
    pub(crate) fn judge(&self, env: &TestEnv) {
        let history = env.recorder().history();
        let (downs, at_once) = by_us(history.readiness(), &self.by_hand);
        assert!(
            at_once.len() <= 1,
            "the operator had these down at once: {at_once:?}\n{history}"
        );
        for (name, count) in &downs {
            let just = self.reasons[name] + 1;
            assert!(
                *count <= just,
                "{name} was restarted {count} times for {just} reasons\n{history}"
            );
        }
        let (most, reasons) = (downs.values().sum::<usize>(), self.reasons.values().sum::<usize>());
        println!(
            "  {most} restarts by the operator, {reasons} reasons, {} pods lost by hand: {downs:?}",
            self.by_hand.len()
        );
        // Otherwise the test would not have measured anything.
        assert!(most > 0, "the operator restarted no validator\n{history}");
    }

    /// The content of a damaged ConfigMap.
    pub(crate) fn damage() -> String {
        json!({ "data": { labels::KNOWN_PEERS: "192.0.2.1:11625", labels::PEERS_JSON: "{" } }).to_string()
    }
}

/// How often the operator took each validator down, and the most that it had down at once. `by_hand` has the validators
/// taken down by the test, each with the length of the record at that time.
fn by_us<'a>(
    seen: impl Iterator<Item = (&'a str, bool)>,
    by_hand: &[(usize, String)],
) -> (BTreeMap<String, usize>, BTreeSet<String>) {
    let mut by_hand = by_hand.iter().peekable();
    let mut to_come: BTreeMap<&str, usize> = BTreeMap::new();
    let mut downs = BTreeMap::new();
    let (mut voting, mut down, mut most) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (index, (validator, ready)) in seen.enumerate() {
        while let Some((_, name)) = by_hand.next_if(|(seen, _)| *seen <= index) {
            // From now on the manual change is why it is down.
            down.remove(name);
            *to_come.entry(name).or_default() += 1;
        }
        if ready {
            voting.insert(validator);
            down.remove(validator);
        } else if voting.remove(validator) {
            match to_come.get_mut(validator) {
                Some(count) if *count > 0 => *count -= 1,
                _ => {
                    *downs.entry(validator.to_owned()).or_default() += 1;
                    down.insert(validator.to_owned());
                }
            }
        }
        if down.len() > most.len() {
            most.clone_from(&down);
        }
    }
    (downs, most)
}

#[test]
fn a_validator_taken_down_by_hand_does_not_count() {
    let seen = [
        ("a", true),
        ("b", true),
        ("a", false),
        ("b", false),
        ("b", true),
        ("a", true),
        ("a", false),
    ];
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<String>>()
    };
    let downs = |counts: &[(&str, usize)]| {
        counts
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    };
    assert_eq!(
        by_us(seen.into_iter(), &[]),
        (downs(&[("a", 2), ("b", 1)]), names(&["a", "b"]))
    );
    // The second was lost while the first was down, and the first was lost once more when all voted.
    let by_hand = [(3, "b".to_owned()), (6, "a".to_owned())];
    assert_eq!(by_us(seen.into_iter(), &by_hand), (downs(&[("a", 1)]), names(&["a"])));
}
