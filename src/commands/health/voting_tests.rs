//! Verdicts for recorded sequences of answers, and for networks of any pace.

use proptest::prelude::*;
use serde_json::json;

use crate::commands::health::voting::*;

/// `/info` of one of four validators of a private network, as stellar-core 26.1.0 answered: ledger 8, 1 s old, 3 peers.
const RECORDED: &str = include_str!("../../../tests/data/stellar-core-26.1.0/info.json");

/// That answer with another state, ledger, age and number of peers.
pub(crate) fn info(state: &str, num: u64, age: u64, peers: u64) -> String {
    [
        ("\"Synced!\"", json!(state).to_string()),
        ("\"num\" : 8", format!("\"num\" : {num}")),
        ("\"age\" : 1", format!("\"age\" : {age}")),
        (
            "\"authenticated_count\" : 3",
            format!("\"authenticated_count\" : {peers}"),
        ),
    ]
    .iter()
    .fold(RECORDED.to_owned(), |text, (recorded, other)| {
        text.replace(recorded, other)
    })
}

/// The answer at one moment.
#[derive(Clone, Debug)]
enum Heard {
    /// State, ledger, age, peers.
    Info(&'static str, u64, u64, u64),
    /// The same from a process that started later.
    Restarted(&'static str, u64, u64, u64),
    Text(&'static str),
    Blocked,
    Gone,
}

use Heard::{Blocked, Gone, Info as Says, Restarted, Text};

fn hear(judge: &mut VotingJudge, now: Duration, heard: &Heard) -> Result<u64, String> {
    let verdict = match heard {
        Says(state, num, age, peers) => judge.answer(now, &info(state, *num, *age, *peers)),
        Restarted(state, num, age, peers) => {
            let later = info(state, *num, *age, *peers).replace("2026-11-28T", "2026-11-29T");
            judge.answer(now, &later)
        }
        Text(text) => judge.answer(now, text),
        Blocked => judge.silence(now, Silence::Unanswered("did not answer".to_owned())),
        Gone => judge.silence(now, Silence::Gone("not running".to_owned())),
    };
    verdict.at(now)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Second, answer, and expected verdict: `Ok` with the ledger, `Err` with a part of the reason.
type Row = (u64, Heard, Result<u64, &'static str>);

fn follow(name: &str, rows: &[Row]) {
    let mut judge = VotingJudge::new(false);
    for (second, heard, expected) in rows {
        let said = hear(&mut judge, seconds(*second), heard);
        let right = match (&said, expected) {
            (Ok(ledger), Ok(expected)) => ledger == expected,
            (Err(reason), Err(part)) => reason.contains(part),
            _ => false,
        };
        assert!(
            right,
            "{name}, second {second}, {heard:?}: {said:?} and not {expected:?}"
        );
    }
}

#[test]
fn the_recorded_answer_is_read() {
    let mut judge = VotingJudge::new(false);
    assert!(judge.answer(seconds(0), RECORDED).at(seconds(0)).is_err());
    let next = RECORDED.replace("\"num\" : 8", "\"num\" : 9");
    assert_eq!(judge.answer(seconds(5), &next).at(seconds(5)), Ok(9));
}

#[test]
fn a_start() {
    follow(
        "all four start, and reach consensus after 3 s",
        &[
            (0, Gone, Err("not running")),
            (1, Text(r#"{"error":"booting"}"#), Err("booting")),
            (2, Says("Booting", 1, 0, 0), Err("Booting")),
            (3, Says("Joining SCP", 1, 900, 1), Err("Joining SCP")),
            (4, Says("Synced!", 1, 901, 3), Err("too old")),
            (5, Says("Synced!", 2, 0, 3), Ok(2)),
        ],
    );
    follow(
        "the false Synced! after a restart that heard nobody",
        &[
            (0, Says("Synced!", 39, 142, 0), Err("too old")),
            (1, Says("Synced!", 39, 143, 0), Err("too old")),
            (34, Says("Synced!", 39, 176, 0), Err("too old")),
            (35, Says("Joining SCP", 39, 177, 0), Err("Joining SCP")),
        ],
    );
    follow(
        "a quick restart: its last ledger is young still, and its own clock is behind",
        &[
            (0, Says("Synced!", 39, 3, 3), Err("no ledger has closed yet")),
            (1, Says("Synced!", 39, 0, 3), Err("no ledger has closed yet")),
            (8, Says("Synced!", 39, 0, 3), Err("no ledger has closed yet")),
            (9, Says("Synced!", 40, 1, 3), Ok(40)),
        ],
    );
    follow(
        "restarted beside the sidecar: nothing of the process before counts",
        &[
            (0, Says("Synced!", 100, 2, 3), Err("no ledger")),
            (4, Says("Synced!", 101, 1, 3), Ok(101)),
            (5, Restarted("Synced!", 101, 2, 0), Err("no peer")),
            (6, Restarted("Synced!", 101, 3, 3), Err("no ledger has closed yet")),
            (7, Restarted("Synced!", 102, 1, 3), Ok(102)),
        ],
    );
}

#[test]
fn catching_up_is_a_state_of_its_own() {
    follow(
        "away for 140 s, back through the archive",
        &[
            (0, Says("Synced!", 39, 142, 3), Err("too old")),
            (3, Says("Catching up", 39, 145, 3), Err("catching up, ledger 39")),
            (200, Says("Catching up", 63, 260, 3), Err("catching up, ledger 63")),
            // However far it has jumped, and however young that ledger is.
            (209, Says("Catching up", 80, 2, 3), Err("catching up, ledger 80")),
            (210, Says("Synced!", 81, 2, 3), Ok(81)),
            // The validator fell behind.
            (230, Says("Catching up", 83, 9, 3), Err("catching up, ledger 83")),
            (231, Says("Synced!", 83, 10, 3), Err("stopped voting, at ledger 83")),
            (232, Says("Synced!", 85, 1, 3), Ok(85)),
        ],
    );
    let mut waiting: Value = serde_json::from_str(&info("Catching up", 39, 200, 3)).unwrap();
    waiting["info"]["status"] = json!(["Catching up to ledger 65:\nWaiting for trigger ledger: 39/65"]);
    assert_eq!(
        VotingJudge::new(false).answer(seconds(0), &waiting.to_string()),
        Verdict::NotVoting(
            "catching up, ledger 39: Catching up to ledger 65:Waiting for trigger ledger: 39/65".to_owned()
        )
    );
}

#[test]
fn it_stops_and_comes_back_with_a_new_young_ledger() {
    let voting = [
        (0, Says("Synced!", 100, 2, 3), Err("no ledger")),
        (4, Says("Synced!", 101, 1, 3), Ok(101)),
    ];
    let rest: [(&str, Vec<Row>); 7] = [
        (
            "its quorum is gone: 2 of 4",
            vec![
                (13, Says("Synced!", 101, 10, 3), Ok(101)),
                (26, Says("Synced!", 101, 23, 1), Ok(101)),
                (27, Says("Synced!", 101, 24, 1), Err("24 s old")),
                (38, Says("Joining SCP", 101, 35, 1), Err("Joining SCP")),
                (90, Says("Synced!", 101, 87, 3), Err("too old")),
                // A clock that is set back does not make a ledger new.
                (91, Says("Synced!", 101, 0, 3), Err("too old")),
                // A ledger that closed long ago does not prove that the next one will.
                (95, Says("Synced!", 102, 12, 3), Err("12 s is too old")),
                (99, Says("Synced!", 103, 5, 3), Ok(103)),
            ],
        ),
        (
            "its own clock stands still",
            vec![
                (26, Says("Synced!", 101, 1, 3), Ok(101)),
                (27, Says("Synced!", 101, 1, 3), Err("24 s old, 24 s is too old")),
            ],
        ),
        (
            "names do not resolve: three times 6 s",
            vec![
                (6, Blocked, Ok(101)),
                (8, Says("Synced!", 101, 5, 3), Ok(101)),
                (10, Blocked, Ok(101)),
                (15, Blocked, Ok(101)),
                (17, Says("Synced!", 101, 14, 3), Ok(101)),
                (23, Blocked, Ok(101)),
                (24, Says("Synced!", 102, 3, 3), Ok(102)),
            ],
        ),
        (
            "names do not resolve for 40 s",
            vec![
                (6, Blocked, Ok(101)),
                (26, Blocked, Ok(101)),
                (27, Blocked, Err("did not answer")),
                (44, Says("Synced!", 101, 41, 3), Err("too old")),
                (46, Says("Synced!", 104, 13, 3), Err("12 s is too old")),
                (47, Says("Synced!", 109, 2, 3), Ok(109)),
            ],
        ),
        (
            "nobody is connected",
            vec![
                (5, Says("Synced!", 102, 2, 0), Err("no peer")),
                (6, Says("Synced!", 102, 3, 1), Err("no ledger has closed")),
                (9, Says("Synced!", 103, 1, 1), Ok(103)),
            ],
        ),
        (
            "its process has ended",
            vec![(5, Gone, Err("not running")), (6, Blocked, Err("did not answer"))],
        ),
        (
            "what it says is no answer",
            vec![
                (5, Text("<html>"), Err("not JSON")),
                (6, Text("[1]"), Err("booting")),
                (7, Text(r#"{"info":{"state":"Synced!"}}"#), Err("lacks")),
                (
                    8,
                    Text(r#"{"info":{"state":"Synced!","ledger":{"num":-1,"age":1}}}"#),
                    Err("lacks"),
                ),
                (9, Says("Synced!", 101, 6, 3), Err("no ledger has closed")),
            ],
        ),
    ];
    for (name, rows) in rest {
        let all: Vec<Row> = voting.iter().cloned().chain(rows).collect();
        follow(name, &all);
    }
}

#[test]
fn a_verdict_ends_without_a_further_answer() {
    let mut judge = VotingJudge::new(false);
    judge.answer(seconds(0), &info("Synced!", 100, 2, 3));
    let verdict = judge.answer(seconds(10), &info("Synced!", 101, 4, 3));
    assert_eq!(verdict.at(seconds(29)), Ok(101));
    assert!(verdict.at(seconds(30)).unwrap_err().contains("does not answer"));
}

#[test]
fn a_process_without_a_date_is_forgotten_in_silence() {
    let undated = |num| info("Synced!", num, 1, 3).replace("startedOn", "x");
    let mut judge = VotingJudge::new(false);
    judge.answer(seconds(0), &undated(100));
    assert_eq!(judge.answer(seconds(1), &undated(101)).at(seconds(1)), Ok(101));
    assert!(hear(&mut judge, seconds(3), &Blocked).is_err());
    assert!(judge.answer(seconds(4), &undated(102)).at(seconds(4)).is_err());
    assert_eq!(judge.answer(seconds(5), &undated(103)).at(seconds(5)), Ok(103));
}

#[test]
fn who_is_its_own_quorum_needs_no_peer() {
    let mut judge = VotingJudge::new(true);
    assert!(
        judge
            .answer(seconds(0), &info("Synced!", 7, 1, 0))
            .at(seconds(0))
            .is_err()
    );
    assert_eq!(
        judge.answer(seconds(5), &info("Synced!", 8, 1, 0)).at(seconds(5)),
        Ok(8)
    );
}

/// A network: how long each ledger takes, in milliseconds. The next nomination begins 5 s after the last one, or when
/// that ledger has closed if it takes longer. A ledger's age counts from its nomination, in whole seconds of the clock.
struct Network {
    /// Start of nomination and close time of each ledger, from ledger 1 on.
    ledgers: Vec<(u64, u64)>,
}

impl Network {
    fn new(durations: &[u64]) -> Self {
        let mut begin = 0;
        let ledgers = durations.iter().map(|duration| {
            let ledger = (begin, begin + duration);
            begin = ledger.1.max(begin + 5000);
            ledger
        });
        Self {
            ledgers: ledgers.collect(),
        }
    }

    /// The last ledger that has closed, its age, and when it closed.
    fn at(&self, now: u64) -> Option<(u64, u64, u64)> {
        let number = self.ledgers.iter().take_while(|(_, close)| *close <= now).count();
        let (begin, close) = *self.ledgers.get(number.checked_sub(1)?)?;
        Some((number as u64, now / 1000 - begin / 1000, close))
    }

    /// The verdicts of each second, `offset` ms after it, until `end`; stellar-core does not answer in the spans
    /// `silent`.
    fn verdicts(&self, offset: u64, end: u64, silent: &[(u64, u64)]) -> Vec<(u64, bool)> {
        let mut judge = VotingJudge::new(false);
        let moments = (0..end / 1000).map(|second| second * 1000 + offset);
        let said = moments.filter_map(|now| {
            let (number, age, _) = self.at(now)?;
            let blocked = silent.iter().any(|(from, to)| (*from..*to).contains(&now));
            let heard = if blocked {
                Blocked
            } else {
                Says("Synced!", number, age, 2)
            };
            Some((now, hear(&mut judge, Duration::from_millis(now), &heard).is_ok()))
        });
        said.collect()
    }
}

#[test]
fn one_dead_of_four_never_flaps() {
    // As recorded: each ledger takes 5 to 9 s, and ages above 10 s occurred three times in 100 s.
    let network = Network::new(&[
        5000, 9000, 6000, 5100, 9000, 5200, 8000, 7000, 9000, 5000, 6200, 9000, 5500, 5000,
    ]);
    let end = network.ledgers.last().unwrap().1;
    let oldest = (0..end)
        .step_by(100)
        .filter_map(|now| network.at(now))
        .map(|(_, age, _)| age)
        .max();
    assert!(oldest >= Some(14), "{oldest:?}");
    for offset in [0, 250, 500, 999] {
        let said = network.verdicts(offset, end, &[]);
        let voting = said.iter().skip_while(|(_, voting)| !voting);
        assert!(voting.clone().count() > 60, "{said:?}");
        assert!(voting.clone().all(|(_, voting)| *voting), "{said:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Ledgers take up to 10 s, the oldest is 20 s old, and some answers are missing for 3 s.
    #[test]
    fn no_pace_up_to_ten_seconds_flaps(
        durations in proptest::collection::vec(100_u64..10_000, 5..40),
        offset in 0_u64..1000,
        silences in proptest::collection::vec(20_000_u64..300_000, 0..5),
    ) {
        let network = Network::new(&durations);
        let end = network.ledgers.last().unwrap().1;
        let silent: Vec<_> = silences.iter().map(|from| (*from, from + 3000)).collect();
        let said = network.verdicts(offset, end, &silent);
        prop_assert!(said.iter().skip_while(|(_, voting)| !voting).all(|(_, voting)| *voting), "{said:?}");
    }

    /// At a steady pace, the validator either starts to vote and continues, or never votes. (Ages are whole seconds, so
    /// between 10 s and 13 s either may happen.)
    #[test]
    fn no_steady_pace_flaps(duration in prop_oneof![100_u64..10_000, 13_000_u64..60_000], offset in 0_u64..1000) {
        let network = Network::new(&[duration; 20]);
        let end = network.ledgers.last().unwrap().1;
        let said = network.verdicts(offset, end, &[]);
        let mut once_it_votes = said.iter().skip_while(|(_, voting)| !voting).peekable();
        prop_assert_eq!(once_it_votes.peek().is_some(), duration < 10_000);
        prop_assert!(once_it_votes.all(|(_, voting)| *voting), "{said:?}");
    }

    /// For any history and any missing answers, the verdict is not voting 24 s after the last ledger, and before the
    /// first ledger that closes under observation.
    #[test]
    fn nobody_votes_without_ledgers(
        durations in proptest::collection::vec(100_u64..30_000, 1..20),
        offset in 0_u64..1000,
        silences in proptest::collection::vec((0_u64..400_000, 0_u64..60_000), 0..6),
    ) {
        let network = Network::new(&durations);
        let end = network.ledgers.last().unwrap().1 + 60_000;
        let silent: Vec<_> = silences.iter().map(|(from, long)| (*from, from + long)).collect();
        for (now, voting) in network.verdicts(offset, end, &silent) {
            let (number, _, closed) = network.at(now).unwrap();
            prop_assert!(!voting || (number > 1 && now - closed <= 24_000), "{now} {number} {closed}");
        }
    }
}
