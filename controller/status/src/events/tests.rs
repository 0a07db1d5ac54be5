use super::*;
use crate::testing::{Server, failure};
use http::Method;
use std::time::Duration;

fn event(name: &str, message: &str) -> Event {
    let regarding = ObjectReference {
        kind: Some("Gateway".to_owned()),
        namespace: Some("shop".to_owned()),
        name: Some(name.to_owned()),
        ..ObjectReference::default()
    };
    Event {
        regarding,
        severity: Severity::Warning,
        reason: "Invalid".into(),
        action: "UpdateStatus".into(),
        message: message.into(),
    }
}

fn start(server: &Server) -> Events {
    Events::start(server.client(), Reporter { controller: "fairlead.dev/c".into(), instance: "pod".into() })
}

async fn wait(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn the_same_is_written_once_in_ten_minutes_and_then_counted() {
    let server = Server::default();
    let events = start(&server);
    for _ in 0..5 {
        events.publish(event("edge", "no listener"));
        wait(60).await;
    }
    assert_eq!(server.count(&Method::POST, "/namespaces/shop/events"), 1);
    wait(600).await;
    events.publish(event("edge", "no listener"));
    wait(1).await;
    assert_eq!((server.count(&Method::POST, "events"), server.count(&Method::PATCH, "events")), (1, 1));
    let written = server.with(|state| state.objects.values().next().cloned().unwrap());
    assert_eq!(written["series"]["count"], 6);
    assert_eq!((written["note"].as_str(), written["type"].as_str()), (Some("no listener"), Some("Warning")));
}

#[tokio::test(start_paused = true)]
async fn one_object_does_not_flood_and_others_are_heard() {
    let server = Server::default();
    let events = start(&server);
    for i in 0..100 {
        events.publish(event("edge", &format!("problem {i}")));
    }
    events.publish(event("other", "problem"));
    wait(5).await;
    assert_eq!(server.count(&Method::POST, "events"), BURST + 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_expired_is_written_anew() {
    let server = Server::default();
    let events = start(&server);
    events.publish(event("edge", "x"));
    wait(700).await;
    server.with(|state| state.objects.clear());
    events.publish(event("edge", "x"));
    wait(1).await;
    assert_eq!(server.count(&Method::POST, "events"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_stops_nothing() {
    let server = Server::default();
    server.hook(|_, _, _| Some(failure(403, "Forbidden", "no")));
    let events = start(&server);
    events.publish(event("edge", "x"));
    wait(1).await;
    server.unhook();
    events.publish(event("edge", "y"));
    wait(1).await;
    assert_eq!(server.with(|state| state.objects.len()), 1);
}

#[test]
fn names_and_notes_fit() {
    let reporter = Reporter { controller: "c".into(), instance: "é".repeat(100) };
    let long = written(&event(&"a".repeat(253), &"é".repeat(1000)), &reporter, Timestamp::UNIX_EPOCH);
    assert!(long.metadata.name.unwrap().len() <= 253);
    assert_eq!(long.note.unwrap().len(), 1024);
    assert_eq!(long.reporting_instance.unwrap().len(), 128);
}
