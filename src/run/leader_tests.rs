//! Tests: when a Lease stands, and when history went back.

use futures::FutureExt as _;

use super::*;

#[tokio::test]
async fn a_lease_that_is_older_than_before_says_that_history_went_back() {
    let noted = |versions: &[&str]| {
        let history = History::default();
        for version in versions {
            let mut lease = Lease::default();
            lease.metadata.resource_version = Some((*version).to_owned());
            history.note(&lease);
        }
        history.went_back.notified().now_or_never().is_some()
    };
    assert!(!noted(&["7", "7", "9", "10"]));
    assert!(noted(&["7", "10", "9"]));
    assert!(!noted(&["7", "of another form"]));
}

const MINE: Duration = Duration::from_secs(15);

fn lease(holder: Option<&str>, renewed: i64, seconds: Option<i32>) -> LeaseSpec {
    LeaseSpec {
        holder_identity: holder.map(str::to_owned),
        renew_time: Some(MicroTime(Timestamp::from_second(renewed).unwrap())),
        lease_duration_seconds: seconds,
        ..LeaseSpec::default()
    }
}

#[test]
fn a_lease_that_nobody_holds_or_that_is_ours_is_taken_at_once() {
    let now = Instant::now();
    for holder in [None, Some(""), Some("me")] {
        assert!(
            Seen::default().stands(&lease(holder, 0, Some(15)), "me", MINE, now),
            "{holder:?}"
        );
    }
    assert!(Seen::default().stands(&LeaseSpec::default(), "me", MINE, now));
}

#[test]
fn a_holder_is_deposed_only_after_we_saw_nothing_of_it_for_as_long_as_it_asked_for() {
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let mut seen = Seen::default();
    // However old its time is by our clock: clocks differ.
    assert!(!seen.stands(&lease(Some("other"), 0, Some(10)), "me", MINE, start));
    assert!(!seen.stands(&lease(Some("other"), 0, Some(10)), "me", MINE, after(9)));
    // A renewal, though its time goes backwards.
    assert!(!seen.stands(&lease(Some("other"), -5, Some(10)), "me", MINE, after(11)));
    assert!(!seen.stands(&lease(Some("other"), -5, Some(10)), "me", MINE, after(20)));
    assert!(seen.stands(&lease(Some("other"), -5, Some(10)), "me", MINE, after(21)));
    // Another holder is another wait.
    assert!(!seen.stands(&lease(Some("third"), -5, Some(10)), "me", MINE, after(22)));
}

#[test]
fn a_holder_that_asked_for_nothing_sensible_is_given_our_own_duration() {
    let start = Instant::now();
    for seconds in [None, Some(-1)] {
        let mut seen = Seen::default();
        let spec = lease(Some("other"), 0, seconds);
        assert!(!seen.stands(&spec, "me", MINE, start));
        assert!(!seen.stands(&spec, "me", MINE, start + Duration::from_secs(14)));
        assert!(seen.stands(&spec, "me", MINE, start + MINE), "{seconds:?}");
    }
}

#[test]
fn another_leader_is_spoken_of_once() {
    let mut seen = Seen::default();
    assert_eq!(seen.news(&lease(Some("other"), 0, None)).as_deref(), Some("other"));
    assert_eq!(seen.news(&lease(Some("other"), 1, None)), None);
    assert_eq!(seen.news(&lease(None, 1, None)), None);
    assert_eq!(seen.news(&lease(Some("other"), 2, None)).as_deref(), Some("other"));
}

#[test]
fn a_holder_stops_before_it_can_be_deposed() {
    for seconds in [1, 15, 3600] {
        let duration = Duration::from_secs(seconds);
        // It may fail three times to renew, and others look no later than a pause after it stopped.
        assert!(pause(duration) * 3 < patience(duration));
        assert!(patience(duration) + pause(duration) < duration);
    }
}

/// An API server that knows one Lease, ours, and never answers the renewals of these numbers.
fn silent_at(silent: &'static [usize]) -> Election {
    let mut renewals = 0;
    let service = tower::service_fn(move |request: axum::http::Request<kube::client::Body>| {
        let is_renewal = request.method() == axum::http::Method::PATCH;
        renewals += usize::from(is_renewal);
        let answers = !(is_renewal && silent.contains(&renewals));
        async move {
            if !answers {
                std::future::pending::<()>().await;
            }
            let lease = json!({ "metadata": { "resourceVersion": "1" }, "spec": { "holderIdentity": "me" } });
            let body = kube::client::Body::from(lease.to_string().into_bytes());
            Ok::<_, tower::BoxError>(axum::http::Response::new(body))
        }
    });
    let config = LeaderConfig {
        lease_duration: MINE,
        pod_name: Some("me".to_owned()),
    };
    Election::new(Client::new(service, "stellar"), "stellar", config, Arc::default())
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_hangs_costs_no_lead_and_silence_does() {
    let hour = Duration::from_secs(3600);
    let held = async |silent| {
        let start = Instant::now();
        let election = silent_at(silent);
        let _ = tokio::time::timeout(hour, election.hold(start)).await;
        start.elapsed()
    };
    assert!(held(&[3, 7]).await >= hour);
    let longest = Duration::from_secs(6) + patience(MINE);
    let until_lost = held(&[3, 4, 5, 6, 7, 8, 9]).await;
    assert!(
        until_lost > Duration::from_secs(6) && until_lost <= longest,
        "{until_lost:?}"
    );
}
