//! Clocks that jump, on the controller's machine, the proxy's, or both.

use crate::setup::{Controller, GATEWAY, Hands};
use fairlead_publish::ca::BACKDATE;
use std::sync::Arc;
use std::time::Duration;

/// The controller looks at its certificates this often.
async fn a_look() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_jump_ahead_is_followed_without_a_restart_and_streams_stay() {
    let (controller, mut old) = Controller::with_proxy("old").await;
    controller.hands.set(25);
    // Everybody's clock says that the controller's certificate has expired.
    let mut new = controller.proxy("new");
    new.problem("the controller's certificate can't be used: it has expired: it was valid until").await;
    controller.publish(2, "a=2");
    assert_eq!(old.takes().await, (2, "a=2".into()), "nobody is cut off");
    a_look().await;
    assert_eq!(new.takes().await, (2, "a=2".into()));
    assert_eq!(old.seen().certificates, 1);
}

#[tokio::test]
async fn a_jump_back_is_followed_without_a_restart_and_streams_stay() {
    let (controller, mut old) = Controller::with_proxy("old").await;
    let hours = -(BACKDATE.as_secs() as i64 / 3600) - 4;
    controller.hands.set(hours);
    let mut new = controller.proxy("new");
    new.problem("it is not valid yet: it is valid from").await;
    // The CA is not valid yet either: who keeps it makes another one, and the bundle gets around.
    let next = controller.authority.borrow().rotate(controller.hands.now()).unwrap().expect("another CA");
    std::fs::write(controller.files.path().join("ca.crt"), next.bundle()).unwrap();
    controller.authority.send_replace(Arc::new(next));
    controller.publish(2, "a=2");
    assert_eq!(new.takes().await, (2, "a=2".into()));
    assert_eq!(old.takes().await, (2, "a=2".into()), "nobody is cut off");
    // One that has to connect again shows a certificate of the future, and gets one of today.
    let controller = controller.restart().await;
    controller.publish(1, "a=3");
    assert_eq!(old.takes().await, (1, "a=3".into()));
    assert_eq!(old.seen().certificates, 2);
}

/// What begins an hour before it is made is good for clocks that are that much behind.
#[tokio::test]
async fn clocks_may_differ_by_most_of_an_hour() {
    for minutes in [-50, 50] {
        let controller = Controller::start().await;
        controller.publish(1, "a=1");
        let theirs = Hands::default();
        theirs.set_minutes(minutes);
        let clock = theirs.clock();
        let mut proxy = controller.proxy_with("p", &format!("good {GATEWAY} p"), |settings| settings.clock = clock);
        assert_eq!(proxy.takes().await, (1, "a=1".into()), "{minutes}");
    }
}

/// Only the proxy's clock is wrong: it says so, serves on, and is back as soon as the clock is right.
#[tokio::test]
async fn a_proxy_whose_clock_is_ahead_serves_on_from_what_it_has() {
    let controller = Controller::start().await;
    controller.publish(1, "a=1");
    let theirs = Hands::default();
    let (clock, cache) = (theirs.clock(), controller.cache());
    let settings = |settings: &mut fairlead_wire::client::Settings| {
        (settings.clock, settings.cache) = (clock.clone(), Some(cache.clone()));
    };
    let token = format!("good {GATEWAY} p");
    let mut proxy = controller.proxy_with("p", &token, settings);
    proxy.takes().await;
    proxy.client.close().await;
    theirs.set(24 * 400);
    // It starts anew, as its container might, and can't trust the controller.
    let mut proxy = controller.proxy_with("p", &token, settings);
    let fairlead_wire::client::Received::Cached(cached) = proxy.next().await else { panic!("{:?}", proxy.seen()) };
    assert_eq!(crate::setup::words(&cached), "a=1");
    proxy.serves(cached.version);
    proxy.problem("and the clock here says").await;
    controller.publish(2, "a=2");
    proxy.waits().await;
    theirs.set(0);
    assert_eq!(proxy.takes().await, (2, "a=2".into()));
    proxy.link(|link| link.problem.is_none()).await;
}
