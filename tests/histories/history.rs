//! One history: random steps on the validators of a group and the operator, and the check of the end.

use std::fmt;
use std::time::Duration;

use test_kit::{Operator, Options, TestEnv, Validators, wait_for};

use crate::random::Random;
use crate::world::{Spec, World};

/// The number of steps of a history.
const STEPS: usize = 12;
/// The longest pause between two steps, in milliseconds. Some steps meet a group at rest, most a group that is
/// changing.
const PAUSE: usize = 8_000;
/// The fewest members of a group.
const FEWEST: usize = 3;
/// Time limit until the group is at rest.
const PATIENCE: Duration = Duration::from_secs(300);
/// Longer than every wait of the operator in these tests, the fuse included.
const CALM: Duration = Duration::from_secs(14);

/// A step of a history.
#[derive(Clone, Copy, Debug)]
enum Step {
    Join,
    Resume,
    Suspend,
    Delete,
    ChangePort,
    NewVersion,
    LosePod,
    PowerCut,
    DeleteList,
    DamageList,
    KillOperator,
    KillOperatorWhilePodIsLost,
}

const STEPS_OF_ALL_SORTS: [Step; 12] = [
    Step::Join,
    Step::Resume,
    Step::Suspend,
    Step::Delete,
    Step::ChangePort,
    Step::NewVersion,
    Step::LosePod,
    Step::PowerCut,
    Step::DeleteList,
    Step::DamageList,
    Step::KillOperator,
    Step::KillOperatorWhilePodIsLost,
];

/// A group, its operator and the random numbers.
struct Play<'a> {
    env: TestEnv,
    options: Options,
    operator: Operator,
    world: World,
    random: &'a mut Random,
}

/// Plays one history.
pub(crate) async fn run(random: &mut Random) {
    let env = TestEnv::installed("history").await;
    let options = Options::default()
        .with("--restart-fuse", "10s")
        // A restarted operator keeps its name and so stays the leader.
        .with("--pod-name", "operator-1");
    let operator = env.ready_replica(&options).await;
    let mut play = Play {
        env,
        options,
        operator,
        world: World::new(),
        random,
    };
    let four = [1, 2, 3, 4];
    for number in four {
        play.joins(number);
    }
    play.world.apply(&play.env, &four);
    for _ in 0..STEPS {
        let pause = u64::try_from(play.random.within(0..=PAUSE)).expect("milliseconds");
        // The time of the next step is part of the history, so there is no condition to wait for.
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let step = play.random.one_of(&STEPS_OF_ALL_SORTS).expect("some");
        if let Some(done) = play.take(step).await {
            println!("  after {pause} ms: {done}");
        }
    }
    play.end().await;
}

impl Play<'_> {
    fn joins(&mut self, number: usize) {
        let spec = Spec {
            port: 11625,
            version: 26,
            suspended: false,
        };
        self.world.specs.insert(number, spec);
        self.world.all_have_a_reason();
    }

    /// Takes a step if it is possible; returns its description.
    async fn take(&mut self, step: Step) -> Option<String> {
        let members = self.world.members();
        let may_leave = || members.len() > FEWEST;
        let done = |what: &dyn fmt::Debug| Some(format!("{step:?} {what:?}"));
        match step {
            Step::Join => {
                let number = self.random.one_of(&self.world.absent())?;
                self.joins(number);
                self.world.apply(&self.env, &[number]);
                done(&number)
            }
            Step::Resume => {
                let number = self.random.one_of(&self.world.suspended())?;
                self.change(number, |spec| spec.suspended = false);
                done(&number)
            }
            Step::Suspend if may_leave() => {
                let number = self.random.one_of(&members)?;
                self.world.goes_down_by_hand(&self.env, number);
                self.change(number, |spec| spec.suspended = true);
                done(&number)
            }
            Step::Delete if may_leave() => {
                let number = self.random.one_of(&members)?;
                self.world.goes_down_by_hand(&self.env, number);
                self.world.all_have_a_reason();
                self.world.specs.remove(&number);
                let node = format!("stellarnode/{}", Validators::name(number));
                self.env.kubectl(&["delete", &node]).ok("delete");
                done(&number)
            }
            Step::ChangePort => {
                let number = self.random.one_of(&members)?;
                self.change(number, |spec| {
                    spec.port = if spec.port == 11625 { 11700 } else { 11625 }
                });
                done(&number)
            }
            Step::NewVersion => {
                let count = self.random.within(1..=members.len());
                let changed: Vec<usize> = members.iter().copied().take(count).collect();
                for number in &changed {
                    self.world.has_a_reason(*number);
                    self.world.specs.get_mut(number)?.version += 1;
                }
                self.world.apply(&self.env, &changed);
                done(&changed)
            }
            Step::LosePod => {
                let number = self.random.one_of(&members)?;
                self.lose(&[number]);
                done(&number)
            }
            Step::PowerCut => {
                self.lose(&members);
                done(&members)
            }
            Step::DeleteList => {
                let delete = ["delete", "configmap/stellar-peers", "--ignore-not-found"];
                self.env.kubectl(&delete).ok("delete");
                done(&"")
            }
            Step::DamageList => {
                let damage = World::damage();
                let patch = ["patch", "configmap/stellar-peers", "--type=merge", "-p", &damage];
                // The list may not exist at this time.
                let damaged = self.env.kubectl(&patch).success;
                done(&damaged)
            }
            Step::KillOperator => {
                self.restart_operator(&[]).await;
                done(&"")
            }
            Step::KillOperatorWhilePodIsLost => {
                let number = self.random.one_of(&members)?;
                self.restart_operator(&[number]).await;
                done(&number)
            }
            Step::Suspend | Step::Delete => None,
        }
    }

    /// Changes a spec whose address all others load.
    fn change(&mut self, number: usize, change: impl FnOnce(&mut Spec)) {
        self.world.all_have_a_reason();
        if let Some(spec) = self.world.specs.get_mut(&number) {
            change(spec);
        }
        self.world.apply(&self.env, &[number]);
    }

    fn lose(&mut self, numbers: &[usize]) {
        self.world.all_have_a_reason();
        for number in numbers {
            self.world.goes_down_by_hand(&self.env, *number);
        }
        let pods: Vec<String> = numbers
            .iter()
            .map(|number| format!("pod/{}-0", Validators::name(*number)))
            .collect();
        let mut delete = vec!["delete", "--wait=false", "--ignore-not-found"];
        delete.extend(pods.iter().map(String::as_str));
        self.env.kubectl(&delete).ok("delete");
    }

    async fn restart_operator(&mut self, lost_meanwhile: &[usize]) {
        self.operator.kill_now();
        if !lost_meanwhile.is_empty() {
            self.lose(lost_meanwhile);
        }
        self.operator = self.env.ready_replica(&self.options).await;
    }

    /// Waits until the group is at rest and checks the result.
    async fn end(self) {
        let Self { env, world, .. } = &self;
        let begin = std::time::Instant::now();
        let mut amiss = None;
        wait_for("the cluster to converge", PATIENCE, async || {
            let now = world.amiss(env);
            if now != amiss {
                println!("  {:?}: {}", begin.elapsed(), now.as_deref().unwrap_or("converged"));
                amiss.clone_from(&now);
            }
            now.is_none().then_some(())
        })
        .await;
        env.all_slots_free_within(PATIENCE).await;
        let lives = env.recorder().history().lives();
        // Nothing more may happen.
        tokio::time::sleep(CALM).await;
        let history = env.recorder().history();
        assert_eq!(history.lives(), lives, "there was no restart at rest:\n{history}");
        assert_eq!(world.amiss(env), None, "the cluster stays converged");
        world.judge(env);
    }
}
