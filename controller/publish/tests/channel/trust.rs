//! Who believes whom.

use crate::setup::{Controller, GATEWAY, Hands};
use fairlead_publish::ca::{Authority, SPREAD};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

#[tokio::test]
async fn a_controller_of_another_ca_is_not_believed() {
    let controller = Controller::start().await;
    controller.publish(1, "a=1");
    let other = Authority::generate(SystemTime::now()).unwrap();
    let wrong = controller.files.path().join("wrong.crt");
    std::fs::write(&wrong, other.bundle()).unwrap();
    let mut proxy =
        controller.proxy_with("p", &format!("good {GATEWAY} p"), |settings| settings.ca_file = wrong.clone());
    proxy.problem("UnknownIssuer").await;
    // The file is read anew each time.
    std::fs::write(&wrong, "").unwrap();
    proxy.problem("no certificate in it").await;
    std::fs::remove_file(&wrong).unwrap();
    proxy.problem("cannot read").await;
    std::fs::write(&wrong, controller.authority.borrow().bundle()).unwrap();
    assert_eq!(proxy.takes().await, (1, "a=1".into()));
}

#[tokio::test]
async fn a_controller_by_another_name_is_not_believed() {
    let controller = Controller::start().await;
    let port = controller.server.address().port();
    let mut proxy = controller.proxy_with("p", &format!("good {GATEWAY} p"), |settings| {
        settings.controller = format!("https://127.0.0.2:{port}");
    });
    // Nothing listens there; by name it is the one that is asked for, but is called otherwise.
    proxy.problem("cannot connect to 127.0.0.2").await;
    let mut proxy = controller.proxy_with("q", &format!("good {GATEWAY} q"), |settings| {
        settings.controller = format!("https://localhost:{port}");
    });
    controller.publish(1, "a=1");
    assert_eq!(proxy.takes().await, (1, "a=1".into()), "one of its names");
}

#[tokio::test]
async fn a_token_is_judged_and_read_anew() {
    let controller = Controller::start().await;
    controller.publish(1, "a=1");
    let mut proxy = controller.proxy_with("p", "bad", |_| {});
    proxy.problem("does not enrol this proxy: the token is not of a proxy").await;
    let token = controller.files.path().join("token-p");
    std::fs::write(&token, "later\n").unwrap();
    proxy.problem("the API server does not answer").await;
    std::fs::write(&token, "\n").unwrap();
    proxy.problem("is empty").await;
    std::fs::write(&token, "good other/gateway p").unwrap();
    proxy.problem("of pod p of Gateway other/gateway, not of pod p of Gateway shop/edge").await;
    std::fs::write(&token, format!("good {GATEWAY} q")).unwrap();
    proxy.problem("of pod q of Gateway").await;
    controller.progress("nobody", BTreeMap::is_empty).await;
    std::fs::write(&token, format!("good {GATEWAY} p\n")).unwrap();
    assert_eq!(proxy.takes().await, (1, "a=1".into()));
}

#[tokio::test]
async fn a_certificate_that_has_ended_is_replaced() {
    let (controller, mut proxy) = Controller::with_proxy("p").await;
    // The machine slept for a day.
    controller.hands.set(25);
    let controller = controller.restart().await;
    controller.publish(1, "a=2");
    assert_eq!(proxy.takes().await, (1, "a=2".into()));
    assert_eq!(proxy.seen().certificates, 2);
}

#[tokio::test]
async fn who_has_no_valid_certificate_and_gets_none_serves_on_and_says_why() {
    let (controller, mut proxy) = Controller::with_proxy("p").await;
    let token = controller.files.path().join("token-p");
    std::fs::write(&token, "later").unwrap();
    controller.hands.set(25);
    let controller = controller.restart().await;
    controller.publish(1, "-a b=1");
    proxy.problem("does not enrol this proxy: the API server does not answer").await;
    proxy.waits().await;
    controller.progress("nobody", BTreeMap::is_empty).await;
    assert_eq!((proxy.seen().peer, proxy.seen().certificates), (None, 1));
    std::fs::write(&token, format!("good {GATEWAY} p")).unwrap();
    let (version, what) = proxy.takes().await;
    assert_eq!((version, what.as_str()), (1, "b=1 -a"), "what changed meanwhile");
    assert_eq!((proxy.seen().problem, proxy.seen().certificates), (None, 2));
}

#[tokio::test]
async fn a_certificate_is_renewed_at_half_its_life_and_the_stream_stays() {
    let (controller, mut proxy) = Controller::with_proxy("p").await;
    hours_pass(13).await;
    proxy.link(|link| link.certificates == 2).await;
    controller.publish(2, "a=2");
    assert_eq!(proxy.takes().await, (2, "a=2".into()));
    assert_eq!(proxy.seen().streams, 1);
    // A stream does not outlive the certificate that opened it; the next one is there.
    hours_pass(12).await;
    proxy.link(|link| link.streams == 2).await;
    controller.publish(3, "a=3");
    assert_eq!(proxy.takes().await, (3, "a=3".into()), "only what it lacks");
    controller.served("p", 3).await;
}

/// By the monotonic clock; the time of day stays, and with it the certificates' validity.
async fn hours_pass(hours: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(hours * 3600)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_certificate_of_a_ca_that_is_gone_is_replaced() {
    let (controller, mut proxy) = Controller::with_proxy("p").await;
    // Somebody deleted the Secret.
    let (address, files) = (controller.server.address(), controller.files.clone());
    controller.server.stop();
    drop(controller);
    let authority = Arc::new(Authority::generate(SystemTime::now()).unwrap());
    let controller = Controller::of(authority, files, Hands::default(), address).await;
    controller.publish(1, "a=2");
    assert_eq!(proxy.takes().await, (1, "a=2".into()));
    assert_eq!(proxy.seen().certificates, 2);
}

#[tokio::test]
async fn clocks_that_differ_are_said_and_harm_nothing() {
    let controller = Controller::start().await;
    controller.publish(1, "a=1");
    let truth = Hands::default();
    let clock = truth.clock();
    let mut proxy = controller.proxy_with("p", &format!("good {GATEWAY} p"), |settings| settings.clock = clock);
    proxy.takes().await;
    controller.hands.set(25);
    let controller = controller.restart().await;
    controller.publish(1, "a=2");
    proxy.problem("not valid yet").await;
    proxy.waits().await;
    controller.hands.set(0);
    let controller = controller.restart().await;
    controller.publish(1, "a=3");
    assert_eq!(proxy.takes().await, (1, "a=3".into()));
}

#[tokio::test]
async fn a_ca_rotates_under_a_stream() {
    let (controller, mut proxy) = Controller::with_proxy("p").await;
    let bundle = controller.files.path().join("ca.crt");
    let mut authority = controller.authority.borrow().clone();
    let old = bundle.with_extension("old");
    std::fs::copy(&bundle, &old).unwrap();
    let mut version = 1;
    let mut steps = 0;
    let mut now = authority.next_rotation();
    while steps < 3 {
        authority = Arc::new(authority.rotate(now).unwrap().expect("something is to be done"));
        std::fs::write(&bundle, authority.bundle()).unwrap();
        controller.authority.send_replace(authority.clone());
        // The clock goes along, as months do. The CA alone decides what is trusted: the old stream stays.
        controller.hands.set(hours_from_now(now));
        version += 1;
        controller.publish(version, &format!("a={version}"));
        assert_eq!(proxy.takes().await, (version, format!("a={version}")));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut fresh = controller.proxy(&format!("fresh-{steps}"));
        assert_eq!(fresh.takes().await, (version, format!("a={version}")), "step {steps}");
        fresh.client.close().await;
        (steps, now) = (steps + 1, authority.next_rotation().max(now + SPREAD));
    }
    assert_eq!((proxy.seen().streams, proxy.seen().certificates), (1, 1), "never interrupted");
    let mut late = controller.proxy_with("late", &format!("good {GATEWAY} late"), |settings| settings.ca_file = old);
    late.problem("UnknownIssuer").await;
}

fn hours_from_now(at: SystemTime) -> i64 {
    at.duration_since(SystemTime::now()).unwrap().as_secs().div_ceil(3600) as i64
}
