//! Decides from the answers of `/info` whether a validator votes.
//!
//! `info.state == "Synced!"` alone does not prove it: a starting validator forces SCP and reports this state for up to
//! 35 s without any message from peers (`CONSENSUS_STUCK_TIMEOUT_SECONDS`). So a validator starts to vote when it is
//! synced and connected, a ledger has closed since stellar-core started, and that ledger is younger than [`YOUNG`]. It
//! stops when it reports another state or its last ledger is older than [`OLD`], and needs a new ledger to start again.
//! Between the two ages nothing changes, so a slow network does not flap.
//!
//! A main thread that resolves names answers no request for seconds. So a missing answer alone changes nothing; the
//! last ledger just gets older.
//!
//! Pure: no client and no clock. Times are durations since one fixed moment, the same for all calls.

use std::time::Duration;

use serde_json::Value;

/// Age of the last ledger at which a validator has lost its quorum. With one of four validators dead, a ledger takes up
/// to 10 s, and the age, which counts from the start of nomination, reaches 15 s. The kubelet adds 10 s (two probes)
/// and the next answer 1 s, so the pod is not ready after 35 s, when stellar-core gives up as well.
const OLD: Duration = Duration::from_secs(24);
/// Age below which a ledger shows that its network closes ledgers. At a steady pace, a ledger that closes is half as
/// old as when the next one closes. With half of [`OLD`], a steady pace does not flap.
const YOUNG: Duration = Duration::from_secs(12);
/// Longest quoted part of a text from stellar-core.
const LONGEST_TEXT: usize = 160;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The validator votes; without a further answer, this ends at `until`.
    Voting {
        ledger: u64,
        /// Time at which that ledger is too old.
        until: Duration,
    },
    /// The validator does not vote, for this reason.
    NotVoting(String),
}

impl Verdict {
    /// The ledger with which it votes at this time, or the reason why it does not vote, in words for people.
    pub fn at(&self, now: Duration) -> Result<u64, String> {
        match self {
            Self::Voting { ledger, until } if now < *until => Ok(*ledger),
            Self::Voting { ledger, .. } => Err(format!(
                "stellar-core does not answer, and ledger {ledger} is {} s old by now",
                OLD.as_secs()
            )),
            Self::NotVoting(reason) => Err(reason.clone()),
        }
    }
}

/// `/info` gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Nothing listens on the port, or another program does: stellar-core does not run.
    Gone(String),
    /// No answer in time: the main thread may be busy.
    Unanswered(String),
}

impl Silence {
    #[cfg(test)]
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Gone(reason) | Self::Unanswered(reason) => reason,
        }
    }
}

/// Makes a verdict from each answer of `/info`.
#[derive(Clone, Debug)]
pub struct VotingJudge {
    alone: bool,
    process: Option<Process>,
}

/// State of one process of stellar-core.
#[derive(Clone, Debug)]
struct Process {
    /// Start time that it reports.
    started_on: Option<String>,
    voting: bool,
    /// Voting starts with a ledger after this one: the first one seen, or the last one before voting stopped.
    baseline: u64,
    last: Ledger,
}

#[derive(Clone, Copy, Debug)]
struct Ledger {
    number: u64,
    seen: Duration,
    age: Duration,
}

impl Ledger {
    fn age(self, now: Duration) -> Duration {
        self.age + now.saturating_sub(self.seen)
    }

    /// The last ledger after this answer. A repeated ledger ages at least by our own clock, since stellar-core's clock
    /// may be set back.
    fn next(self, now: Duration, info: &Info<'_>) -> Self {
        let least = if self.number == info.ledger {
            self.age(now)
        } else {
            Duration::ZERO
        };
        Self {
            number: info.ledger,
            seen: now,
            age: info.age.max(least),
        }
    }
}

/// The relevant fields of an answer.
struct Info<'a> {
    state: &'a str,
    started_on: Option<&'a str>,
    /// What stellar-core waits for, if reported.
    status: Option<&'a str>,
    ledger: u64,
    age: Duration,
    peers: u64,
}

impl<'a> Info<'a> {
    fn read(answer: &'a Value) -> Result<Self, &'static str> {
        let info = answer
            .get("info")
            .ok_or("stellar-core is booting: /info holds no info yet")?;
        let text = |path: &str| info.pointer(path).and_then(Value::as_str);
        let number = |path: &str| info.pointer(path).and_then(Value::as_u64);
        let incomplete = "stellar-core's /info lacks state, ledger.num or ledger.age";
        Ok(Self {
            state: text("/state").ok_or(incomplete)?,
            started_on: text("/startedOn"),
            status: text("/status/0"),
            ledger: number("/ledger/num").ok_or(incomplete)?,
            age: number("/ledger/age").map(Duration::from_secs).ok_or(incomplete)?,
            // Older versions have no block `peers`.
            peers: number("/peers/authenticated_count").unwrap_or(0),
        })
    }

    /// The reason why this state does not vote; `None` if synced.
    fn unsynced(&self) -> Option<String> {
        let ledger = self.ledger;
        match (self.state, self.status) {
            ("Synced!", _) => None,
            ("Catching up", None) => Some(format!("catching up, ledger {ledger}")),
            ("Catching up", Some(status)) => Some(format!("catching up, ledger {ledger}: {}", clipped(status))),
            (state, _) => Some(format!(
                "stellar-core's state is \"{}\", ledger {ledger}",
                clipped(state)
            )),
        }
    }
}

/// The start of a text, on one line.
fn clipped(text: &str) -> String {
    let printable = text.chars().filter(|letter| !letter.is_control());
    printable.take(LONGEST_TEXT).collect()
}

impl Process {
    fn new(now: Duration, info: &Info<'_>) -> Self {
        Self {
            started_on: info.started_on.map(str::to_owned),
            voting: false,
            baseline: info.ledger,
            last: Ledger {
                number: info.ledger,
                seen: now,
                age: info.age,
            },
        }
    }

    /// The reason why it does not vote at this time, after this answer.
    fn obstacle(&self, now: Duration, info: &Info<'_>, alone: bool) -> Option<String> {
        let (number, age) = (self.last.number, self.last.age(now));
        let limit = if self.voting || age >= OLD { OLD } else { YOUNG };
        if let Some(reason) = info.unsynced() {
            return Some(reason);
        }
        if age >= limit {
            let (age, limit) = (age.as_secs(), limit.as_secs());
            return Some(format!("ledger {number} is {age} s old, {limit} s is too old"));
        }
        if info.peers == 0 && !alone {
            return Some("no peer is connected".to_owned());
        }
        (!self.voting && number <= self.baseline).then(|| {
            let baseline = self.baseline;
            format!(
                "no ledger has closed yet since stellar-core was first seen or stopped voting, at ledger {baseline}"
            )
        })
    }

    /// Stops voting if the last ledger has become too old.
    fn lapse(&mut self, now: Duration) {
        if self.last.age(now) >= OLD {
            self.stop();
        }
    }

    fn stop(&mut self) {
        if std::mem::take(&mut self.voting) {
            self.baseline = self.last.number;
        }
    }

    fn settle(&mut self, obstacle: Option<String>) -> Verdict {
        if let Some(reason) = obstacle {
            self.stop();
            return Verdict::NotVoting(reason);
        }
        self.voting = true;
        self.verdict()
    }

    fn verdict(&self) -> Verdict {
        Verdict::Voting {
            ledger: self.last.number,
            until: self.last.seen + OLD.saturating_sub(self.last.age),
        }
    }
}

impl VotingJudge {
    /// A judge without any answer yet. `alone`: the validator is its own quorum and needs no peer.
    pub fn new(alone: bool) -> Self {
        Self { alone, process: None }
    }

    pub fn answer(&mut self, now: Duration, json: &str) -> Verdict {
        let Ok(answer) = serde_json::from_str::<Value>(json) else {
            return self.not_an_answer("stellar-core's /info is not JSON");
        };
        let info = match Info::read(&answer) {
            Ok(info) => info,
            Err(reason) => return self.not_an_answer(reason),
        };
        let known = self.process.take();
        let same = known.filter(|known| known.started_on.as_deref() == info.started_on);
        let mut process = same.unwrap_or_else(|| Process::new(now, &info));
        process.lapse(now);
        process.last = process.last.next(now, &info);
        let obstacle = process.obstacle(now, &info, self.alone);
        let verdict = process.settle(obstacle);
        self.process = Some(process);
        verdict
    }

    pub fn silence(&mut self, now: Duration, silence: Silence) -> Verdict {
        let reason = match silence {
            Silence::Gone(reason) => return self.not_an_answer(reason),
            Silence::Unanswered(reason) => reason,
        };
        if let Some(process) = self.dated() {
            process.lapse(now);
            if process.voting {
                return process.verdict();
            }
        }
        Verdict::NotVoting(reason)
    }

    /// The verdict if stellar-core does not run, or gives no usable answer.
    fn not_an_answer(&mut self, reason: impl Into<String>) -> Verdict {
        if let Some(process) = self.dated() {
            process.stop();
        }
        Verdict::NotVoting(reason.into())
    }

    /// The process, if its start time identifies it. Without a start time it is dropped: the next answer may come from
    /// another process.
    fn dated(&mut self) -> Option<&mut Process> {
        self.process.take_if(|process| process.started_on.is_none());
        self.process.as_mut()
    }
}

#[cfg(test)]
#[path = "voting_tests.rs"]
pub(crate) mod tests;
