//! Tests: when a replica may acquire the Lease, and when history went back.

use futures::FutureExt as _;

use super::*;

#[tokio::test]
async fn an_older_lease_shows_that_history_went_back() {
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
fn a_lease_without_a_holder_or_our_own_is_acquired_at_once() {
    let now = Instant::now();
    for holder in [None, Some(""), Some("me")] {
        assert!(
            Seen::default().may_acquire(&lease(holder, 0, Some(15)), "me", MINE, now),
            "{holder:?}"
        );
    }
    assert!(Seen::default().may_acquire(&LeaseSpec::default(), "me", MINE, now));
}

#[test]
fn a_holder_is_deposed_only_after_its_own_lease_duration_without_a_renewal() {
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    let mut seen = Seen::default();
    // Its renew time does not count: clocks differ.
    assert!(!seen.may_acquire(&lease(Some("other"), 0, Some(10)), "me", MINE, start));
    assert!(!seen.may_acquire(&lease(Some("other"), 0, Some(10)), "me", MINE, after(9)));
    // A renewal, although its time goes backwards.
    assert!(!seen.may_acquire(&lease(Some("other"), -5, Some(10)), "me", MINE, after(11)));
    assert!(!seen.may_acquire(&lease(Some("other"), -5, Some(10)), "me", MINE, after(20)));
    assert!(seen.may_acquire(&lease(Some("other"), -5, Some(10)), "me", MINE, after(21)));
    // Another holder restarts the wait.
    assert!(!seen.may_acquire(&lease(Some("third"), -5, Some(10)), "me", MINE, after(22)));
}

#[test]
fn a_holder_without_a_valid_duration_gets_our_own() {
    let start = Instant::now();
    for seconds in [None, Some(-1)] {
        let mut seen = Seen::default();
        let spec = lease(Some("other"), 0, seconds);
        assert!(!seen.may_acquire(&spec, "me", MINE, start));
        assert!(!seen.may_acquire(&spec, "me", MINE, start + Duration::from_secs(14)));
        assert!(seen.may_acquire(&spec, "me", MINE, start + MINE), "{seconds:?}");
    }
}

#[test]
fn another_leader_is_logged_once() {
    let mut seen = Seen::default();
    assert_eq!(
        seen.new_holder(&lease(Some("other"), 0, None)).as_deref(),
        Some("other")
    );
    assert_eq!(seen.new_holder(&lease(Some("other"), 1, None)), None);
    assert_eq!(seen.new_holder(&lease(None, 1, None)), None);
    assert_eq!(
        seen.new_holder(&lease(Some("other"), 2, None)).as_deref(),
        Some("other")
    );
}

#[test]
fn a_holder_stops_before_it_can_be_deposed() {
    for seconds in [1, 15, 3600] {
        let duration = Duration::from_secs(seconds);
        // Three renewals may fail, and the others look no later than a pause after the holder stopped.
        assert!(pause(duration) * 3 < patience(duration));
        assert!(patience(duration) + pause(duration) < duration);
    }
}

/// An API server with one Lease, ours, that never answers the renewals with these numbers.
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
async fn one_hanging_renewal_keeps_the_lead_and_many_lose_it() {
    let hour = Duration::from_secs(3600);
    let held = async |silent| {
        let start = Instant::now();
        let election = silent_at(silent);
        let _ = tokio::time::timeout(hour, election.keep_renewing(start)).await;
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
