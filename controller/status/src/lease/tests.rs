use super::*;
use crate::testing::{Server, failure};
use http::Method;
use serde_json::json;

mod rivals;

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/fairlead-system/leases/fairlead";

const OURS: &str = "fairlead.dev/gateway-controller";

fn start(server: &Server, identity: &str) -> Lease {
    Lease::start(server.client(), Settings::new("fairlead-system", "fairlead", OURS, identity), None)
}

async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

fn holder(server: &Server) -> String {
    server.get(PATH)["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(start_paused = true)]
async fn one_of_two_leads_and_the_other_knows_it() {
    let server = Server::default();
    let (a, b) = (start(&server, "a_10.0.0.1:18443"), start(&server, "b_10.0.0.2:18443"));
    for _ in 0..60 {
        seconds(1).await;
        assert!(!(*a.leading().borrow() && *b.leading().borrow()));
    }
    let (leader, other) = if *a.leading().borrow() { (a, b) } else { (b, a) };
    assert!(leader.leadership().borrow().is_leader());
    assert_eq!(*other.leadership().borrow(), Leadership::Follower { holder: holder(&server) });
    assert_eq!(server.get(PATH)["spec"]["leaseTransitions"], 0);
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_taken_within_one_look() {
    let server = Server::default();
    let a = start(&server, "a");
    seconds(1).await;
    let b = start(&server, "b");
    seconds(5).await;
    assert!(*a.leading().borrow() && !*b.leading().borrow());
    let leading = a.leading();
    a.release().await;
    assert!(!*leading.borrow());
    assert_eq!(holder(&server), "");
    seconds(3).await;
    assert!(*b.leading().borrow());
    assert_eq!(server.get(PATH)["spec"]["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_a_dead_replica_is_taken_when_it_has_not_changed_for_its_duration() {
    let server = Server::default();
    let a = start(&server, "a");
    seconds(1).await;
    drop(a);
    let b = start(&server, "b");
    seconds(14).await;
    assert_eq!(*b.leadership().borrow(), Leadership::Follower { holder: "a".to_owned() });
    seconds(5).await;
    assert!(*b.leading().borrow());
}

#[tokio::test(start_paused = true)]
async fn the_times_in_the_lease_do_not_matter() {
    for time in ["1970-01-01T00:00:00.000000Z", "2300-01-01T00:00:00.000000Z"] {
        let server = Server::default();
        server.with(|state| {
            let spec = json!({ "holderIdentity": "x", "leaseDurationSeconds": 15, "renewTime": time, "acquireTime": time });
            state.put(PATH, json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": "fairlead" }, "spec": spec }))
        });
        let a = start(&server, "a");
        for _ in 0..20 {
            seconds(1).await;
            // Renewed, by a clock that stands still or goes backwards.
            server.with(|state| state.edit(PATH, |lease| lease["metadata"]["labels"] = json!({ "n": state_label() })));
            assert!(!*a.leading().borrow(), "{time}");
        }
        // Looks are up to 2.4 s apart: one sees the last change, another one that 15 s have passed since.
        seconds(20).await;
        assert!(*a.leading().borrow(), "{time}");
    }
}

fn state_label() -> String {
    fastrand::u64(..).to_string()
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_stops_before_another_may_begin() {
    let server = Server::default();
    let a = start(&server, "a");
    seconds(3).await;
    assert!(*a.leading().borrow());
    server.hook(|_, _, _| Some(failure(503, "ServiceUnavailable", "away")));
    seconds(7).await;
    assert!(*a.leading().borrow(), "one bad moment is no reason");
    seconds(4).await;
    assert!(!*a.leading().borrow());
    assert_eq!(*a.leadership().borrow(), Leadership::Unknown);
    server.unhook();
    seconds(3).await;
    assert!(*a.leading().borrow());
}

#[tokio::test(start_paused = true)]
async fn a_leader_keeps_the_lease_when_somebody_only_labels_it() {
    let server = Server::default();
    let a = start(&server, "a");
    let mut leading = a.leading();
    seconds(3).await;
    leading.mark_unchanged();
    for _ in 0..10 {
        server.with(|state| state.edit(PATH, |lease| lease["metadata"]["labels"] = json!({ "n": state_label() })));
        seconds(2).await;
    }
    assert!(*a.leading().borrow() && !leading.has_changed().unwrap());
    assert!(server.get(PATH)["metadata"]["labels"].is_object(), "and leaves the label there");
}

#[tokio::test(start_paused = true)]
async fn a_stolen_lease_ends_leadership_at_once() {
    let server = Server::default();
    let a = start(&server, "a");
    seconds(3).await;
    server.with(|state| state.edit(PATH, |lease| lease["spec"]["holderIdentity"] = "thief".into()));
    seconds(3).await;
    assert_eq!(*a.leadership().borrow(), Leadership::Follower { holder: "thief".to_owned() });
    assert!(!*a.leading().borrow());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_made_again() {
    let server = Server::default();
    let a = start(&server, "a");
    seconds(3).await;
    server.with(|state| state.objects.clear());
    seconds(3).await;
    assert!(*a.leading().borrow());
    assert_eq!(holder(&server), "a");
    assert_eq!(server.count(&Method::POST, "leases"), 2);
}
