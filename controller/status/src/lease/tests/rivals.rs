//! Two installations that have the same controllerName.

use super::*;
use crate::Reporter;

/// An installation in a namespace. Its Lease is there before it starts, as the chart makes it.
fn install(server: &Server, namespace: &str, controller: &str) -> Lease {
    let path = PATH.replace("fairlead-system", namespace);
    server.with(|state| {
        if !state.objects.contains_key(&path) {
            state.put(
                &path,
                json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": "fairlead" } }),
            );
        }
    });
    run(server, namespace, controller)
}

fn run(server: &Server, namespace: &str, controller: &str) -> Lease {
    let events =
        Events::start(server.client(), Reporter { controller: controller.to_owned(), instance: "pod".to_owned() });
    let settings = Settings::new(namespace, "fairlead", controller, format!("{namespace}-pod"));
    Lease::start(server.client(), settings, Some(events))
}

/// Waits until one leads; the two never do at the same time.
async fn until(leader: &Lease, other: &Lease, most: u64) {
    for _ in 0..most * 10 {
        sleep(Duration::from_millis(100)).await;
        assert!(!(*leader.leading().borrow() && *other.leading().borrow()), "both lead");
        if *leader.leading().borrow() {
            return;
        }
    }
    panic!("not within {most} s: {:?}", leader.leadership().borrow());
}

fn elsewhere(lease: &Lease) -> (String, String) {
    match lease.leadership().borrow().clone() {
        Leadership::Elsewhere { namespace, message } => (namespace, message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_older_one_leads_and_the_other_says_what_to_do() {
    let server = Server::default();
    let old = install(&server, "one", OURS);
    seconds(3).await;
    let new = install(&server, "two", OURS);
    seconds(60).await;
    assert!(*old.leading().borrow() && !*new.leading().borrow());
    let (namespace, message) = elsewhere(&new);
    assert_eq!(namespace, "one");
    for part in ["namespace one (led by one-pod)", OURS, "stands by", "Uninstall one", "--set controllerName="] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let events: Vec<_> = server.with(|state| {
        let events = state.objects.values().filter(|object| object["kind"] == "Event" && object["type"] == "Warning");
        events.map(|event| (event["regarding"]["namespace"].clone(), event["note"].clone())).collect()
    });
    assert_eq!(events, [(json!("two"), json!(message))], "once, on the Lease of who stands by");
    let lease = server.get(&PATH.replace("fairlead-system", "two"));
    assert!(lease["spec"]["holderIdentity"].as_str().unwrap_or_default().is_empty(), "{lease}");
}

#[tokio::test(start_paused = true)]
async fn the_other_takes_over_when_the_first_is_uninstalled() {
    let server = Server::default();
    let (old, new) = (install(&server, "one", OURS), install(&server, "two", OURS));
    until(&old, &new, 5).await;
    seconds(5).await;
    old.release().await;
    server.with(|state| state.objects.remove(&PATH.replace("fairlead-system", "one")));
    seconds(3).await;
    assert!(*new.leading().borrow(), "{:?}", new.leadership().borrow());
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_the_older_one_is_waited_for() {
    let server = Server::default();
    let (old, new) = (install(&server, "one", OURS), install(&server, "two", OURS));
    until(&old, &new, 5).await;
    old.release().await;
    seconds(30).await;
    assert!(!*new.leading().borrow(), "it may only be starting again");
    let old = run(&server, "one", OURS);
    until(&old, &new, 3).await;
    // It crashes, and does not come back.
    drop(old);
    seconds(50).await;
    assert!(!*new.leading().borrow());
    seconds(20).await;
    assert!(*new.leading().borrow(), "{:?}", new.leadership().borrow());
}

#[tokio::test(start_paused = true)]
async fn the_older_one_gets_it_back_when_the_other_has_stopped() {
    let server = Server::default();
    server.with(|state| {
        state.put(&PATH.replace("fairlead-system", "one"), json!({ "metadata": { "name": "fairlead" } }))
    });
    let new = install(&server, "two", OURS);
    seconds(3).await;
    assert!(*new.leading().borrow(), "nobody has ever held the older Lease");
    let old = install(&server, "one", OURS);
    sleep(Duration::from_millis(100)).await;
    assert_eq!(elsewhere(&old).0, "two");
    until(&old, &new, 6).await;
    assert_eq!(elsewhere(&new).0, "one");
}

#[tokio::test(start_paused = true)]
async fn two_that_start_at_once_never_both_lead() {
    for _ in 0..20 {
        let server = Server::default();
        let (one, two) = (install(&server, "one", OURS), install(&server, "two", OURS));
        for _ in 0..200 {
            sleep(Duration::from_millis(fastrand::u64(1..60))).await;
            assert!(!(*one.leading().borrow() && *two.leading().borrow()), "both lead");
        }
        assert!(*one.leading().borrow());
    }
}

#[tokio::test(start_paused = true)]
async fn another_name_is_no_rival() {
    let server = Server::default();
    let (one, two) = (install(&server, "one", OURS), install(&server, "two", "example.com/other"));
    seconds(3).await;
    assert!(*one.leading().borrow() && *two.leading().borrow());
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_look_it_leads_and_an_api_server_that_is_away_changes_nothing() {
    let server = Server::default();
    server.hook(|_, _, path| path.ends_with("/v1/leases").then(|| failure(403, "Forbidden", "no")));
    let one = install(&server, "one", OURS);
    seconds(3).await;
    assert!(*one.leading().borrow(), "a role of an older chart");
    server.unhook();
    let two = install(&server, "two", OURS);
    seconds(5).await;
    assert!(*one.leading().borrow() && elsewhere(&two).0 == "one");
    server.hook(|_, _, path| path.ends_with("/v1/leases").then(|| failure(503, "Unavailable", "away")));
    seconds(100).await;
    assert!(*one.leading().borrow() && elsewhere(&two).0 == "one");
    // One that has never looked does not begin.
    let three = install(&server, "three", OURS);
    seconds(5).await;
    assert_eq!(*three.leadership().borrow(), Leadership::Unknown);
}
