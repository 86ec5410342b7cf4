//! Is a validator voting, from what its stellar-core says of itself?
//!
//! `info.state == "Synced!"` alone is not health: stellar-core forces SCP when it starts as a validator and says so for up
//! to 35 s having heard nobody (`CONSENSUS_STUCK_TIMEOUT_SECONDS`). So a ledger must also be young, somebody must be
//! connected, and the ledger number must have grown since stellar-core started. While it boots, `/info` answers 200 with
//! an `error`. Pure: it asks nobody and reads no clock.

use serde_json::Value;

/// A ledger older than this, in seconds, is not that of a node in consensus: one closes every 5 s or so.
const OLDEST_LEDGER: u64 = 10;

/// When stellar-core started, as it says, and the ledger that it had when it was first seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Start {
    started_on: Option<String>,
    ledger: u64,
}

/// Voting with this ledger, or why not.
pub type Verdict = Result<u64, String>;

/// Decides from one answer of `/info` after the other.
#[derive(Clone, Debug)]
pub struct VotingJudge {
    alone: bool,
    start: Option<Start>,
}

impl VotingJudge {
    /// Nothing seen yet. `alone`: the validator's quorum is itself, it needs no peer.
    pub fn new(alone: bool) -> Self {
        Self { alone, start: None }
    }

    /// What to say after this answer.
    pub fn answer(&mut self, json: &str) -> Verdict {
        let answer: Value = serde_json::from_str(json).map_err(|_| self.silence("stellar-core's /info is not JSON"))?;
        let Some(info) = answer.get("info") else {
            return Err(self.silence("stellar-core is booting: /info holds no info yet"));
        };
        let number = |path: &str| info.pointer(path).and_then(Value::as_u64);
        let (Some(state), Some(ledger), Some(age)) = (
            info.get("state").and_then(Value::as_str),
            number("/ledger/num"),
            number("/ledger/age"),
        ) else {
            return Err(self.silence("stellar-core's /info lacks state, ledger.num or ledger.age"));
        };
        let started_on = info.get("startedOn").and_then(Value::as_str).map(str::to_owned);
        let first = match &self.start {
            Some(start) if start.started_on == started_on => start.ledger,
            _ => {
                self.start = Some(Start { started_on, ledger });
                ledger
            }
        };
        // Older versions have no block `peers`.
        let peers = number("/peers/authenticated_count").unwrap_or(0);
        if state != "Synced!" {
            return Err(format!(
                "stellar-core's state is {:?}",
                state.chars().take(80).collect::<String>()
            ));
        }
        if age >= OLDEST_LEDGER {
            return Err(format!("ledger {ledger} is {age} s old, {OLDEST_LEDGER} s is too old"));
        }
        if peers == 0 && !self.alone {
            return Err("no peer is connected".to_owned());
        }
        if ledger <= first {
            return Err(format!(
                "no ledger has closed yet since stellar-core was first seen, at ledger {first}"
            ));
        }
        Ok(ledger)
    }

    /// What to say when there was no answer that counts. Only a start that stellar-core itself dates is remembered: it may
    /// have been restarted meanwhile.
    pub(super) fn silence(&mut self, reason: &str) -> String {
        if self.start.as_ref().is_some_and(|start| start.started_on.is_none()) {
            self.start = None;
        }
        reason.to_owned()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    /// An answer of `/info`.
    pub(crate) fn info(state: &str, num: u64, age: u64, peers: u64) -> String {
        json!({"info": {
            "state": state, "startedOn": "2026-01-01T00:00:00Z",
            "ledger": {"num": num, "age": age}, "peers": {"authenticated_count": peers},
        }})
        .to_string()
    }

    /// What is said after the last of these answers.
    fn after(answers: &[&str]) -> Verdict {
        let mut judge = VotingJudge::new(false);
        answers.iter().map(|json| judge.answer(json)).last().unwrap()
    }

    #[test]
    fn only_a_node_in_consensus_is_voting() {
        let first = info("Synced!", 100, 2, 3);
        assert_eq!(after(&[&first, &info("Synced!", 101, 2, 3)]), Ok(101));
        assert_eq!(
            after(&[&info("Catching up", 100, 900, 3), &info("Synced!", 101, 9, 1)]),
            Ok(101)
        );
        for (name, answers, reason) in [
            ("booting", vec![r#"{"error":"booting"}"#.to_owned()], "booting"),
            (
                "catching up",
                vec![first.clone(), info("Catching up", 105, 2, 3)],
                "Catching up",
            ),
            (
                "false Synced! after a start",
                vec![first.clone(), first.clone()],
                "no ledger has closed yet",
            ),
            (
                "nobody heard",
                vec![first.clone(), info("Synced!", 101, 2, 0)],
                "no peer",
            ),
            ("stuck", vec![first.clone(), info("Synced!", 101, 10, 3)], "too old"),
            ("garbage", vec![first.clone(), "<html>".to_owned()], "not JSON"),
            ("other JSON", vec![first.clone(), "[1]".to_owned()], "booting"),
            (
                "incomplete",
                vec![first.clone(), r#"{"info":{"state":"Synced!"}}"#.to_owned()],
                "lacks",
            ),
            ("negative", vec![first.clone(), first.replace("100", "-1")], "lacks"),
        ] {
            let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
            let verdict = after(&answers);
            assert!(
                verdict.as_ref().is_err_and(|found| found.contains(reason)),
                "{name}: {verdict:?}"
            );
        }
    }

    #[test]
    fn a_restarted_stellar_core_starts_anew() {
        let later = |json: String| json.replace("2026-01-01", "2026-01-02");
        let (first, second) = (info("Synced!", 100, 2, 3), info("Synced!", 101, 2, 3));
        let again = later(info("Synced!", 102, 2, 3));
        assert!(after(&[&first, &second, &again]).is_err());
        assert_eq!(
            after(&[&first, &second, &again, &later(info("Synced!", 103, 2, 3))]),
            Ok(103)
        );
        // A moment of silence forgets only a start that has no date.
        assert_eq!(after(&[&first, "?", &second]), Ok(101));
        let undated = |json: &str| json.replace("startedOn", "x");
        assert!(after(&[&undated(&first), "?", &undated(&second)]).is_err());
    }

    #[test]
    fn who_is_its_own_quorum_needs_no_peer() {
        let mut judge = VotingJudge::new(true);
        assert!(judge.answer(&info("Synced!", 7, 1, 0)).is_err());
        assert_eq!(judge.answer(&info("Synced!", 8, 1, 0)), Ok(8));
    }
}
