//! What proxies are told, and what they say.

use crate::setup::{Controller, GATEWAY, words};
use fairlead_ir::ResourceId;
use fairlead_publish::Role;
use fairlead_wire::client::Received;
use std::collections::BTreeMap;
use std::time::Duration;

#[tokio::test]
async fn a_proxy_enrols_and_follows() {
    let controller = Controller::start().await;
    controller.publish(5, "a=1 b=1");
    let mut proxy = controller.proxy("p");
    assert_eq!(proxy.pushed().await, (5, "a=1 b=1".into()));
    let known =
        |acked| move |proxy: &fairlead_publish::ProxyProgress| (proxy.acked, &*proxy.program) == (acked, "1.2.3");
    controller.progress("connected", |proxies| proxies.get("p").is_some_and(known(0))).await;
    proxy.serves(5);
    controller.progress("served", |proxies| proxies.get("p").is_some_and(known(5))).await;

    controller.publish(6, "b=2 c=1 -a");
    assert_eq!(proxy.pushed().await, (6, "b=2 c=1 -a".into()));
    let unbound = BTreeMap::from([("80".to_string(), "in use".to_string())]);
    proxy.client.ack(6, vec![(ResourceId::Secret("c".into()), "no good".into())], unbound.clone());
    let says = |reasons: &'static [&'static str], unbound: BTreeMap<String, String>| {
        move |proxy: &fairlead_publish::ProxyProgress| {
            let given: Vec<&str> = proxy.rejected.iter().map(|(_, reason)| reason.as_str()).collect();
            given == reasons && proxy.unbound == unbound
        }
    };
    controller.progress("rejected", |proxies| proxies.get("p").is_some_and(says(&["no good"], unbound.clone()))).await;
    proxy.client.answers().unbound(BTreeMap::new());
    controller.progress("bound", |proxies| proxies.get("p").is_some_and(says(&["no good"], BTreeMap::new()))).await;
    controller.publish(7, "c=2");
    assert_eq!(proxy.takes().await, (7, "c=2".into()));
    controller.progress("accepted", |proxies| proxies.get("p").is_some_and(says(&[], BTreeMap::new()))).await;

    assert_eq!(proxy.seen().certificates, 1);
    proxy.client.close().await;
    controller.progress("gone", BTreeMap::is_empty).await;
}

#[tokio::test]
async fn nothing_is_told_before_everything_is_known() {
    let controller = Controller::start().await;
    let (mut early, mut other) = (controller.proxy("early"), controller.proxy("other"));
    early.link(|link| link.peer.is_some()).await;
    early.waits().await;
    other.waits().await;
    controller.server.complete();
    assert_eq!(early.takes().await, (0, String::new()), "a Gateway that has nothing");
    assert_eq!(other.takes().await, (0, String::new()));
    controller.publish(3, "a=1");
    assert_eq!(early.takes().await, (3, "a=1".into()));
    controller.served("early", 3).await;
    // The Gateway is deleted, and made again.
    controller.server.remove(GATEWAY);
    assert_eq!(early.takes().await, (0, "-a".into()));
    controller.publish(9, "b=1");
    assert_eq!(early.takes().await, (9, "b=1".into()));
    controller.served("early", 9).await;
}

#[tokio::test]
async fn a_slow_proxy_skips_to_the_latest() {
    let controller = Controller::start().await;
    controller.publish(1, "a=1 b=1");
    let (mut slow, mut quick) = (controller.proxy("slow"), controller.proxy("quick"));
    slow.pushed().await;
    quick.takes().await;
    for version in 2..100 {
        controller.publish(version, &format!("a={version} x{version}=1"));
        controller.publish(version + 100, &format!("-x{version}"));
    }
    controller.publish(300, "c=1 -b");
    let mut last = (0, String::new());
    while last.0 < 300 {
        last = quick.takes().await;
    }
    controller.served("quick", 300).await;
    slow.serves(1);
    let (version, what) = slow.takes().await;
    assert_eq!(version, 300);
    let changed: Vec<&str> = what.split(' ').filter(|word| !word.starts_with("-x")).collect();
    assert_eq!(changed, ["a=99", "c=1", "-b"]);
    controller.served("slow", 300).await;
}

#[tokio::test]
async fn a_controller_that_restarts_changes_only_what_differs() {
    let controller = Controller::start().await;
    controller.publish(50, "a=1 b=1 c=1");
    let mut proxy = controller.proxy("p");
    proxy.takes().await;
    controller.served("p", 50).await;

    let controller = controller.restart().await;
    controller.progress("nobody yet served", |proxies| proxies.get("p").is_some_and(|proxy| proxy.acked == 0)).await;
    proxy.waits().await;
    controller.publish(7, "b=2 c=1 d=1");
    assert_eq!(proxy.takes().await, (7, "b=2 d=1 -a".into()));
    controller.served("p", 7).await;
    assert_eq!(proxy.seen().certificates, 1, "the certificate is good still");

    // Nothing has changed: an empty push, so that the version is acknowledged.
    let controller = controller.restart().await;
    controller.publish(2, "b=2 c=1 d=1");
    assert_eq!(proxy.takes().await, (2, String::new()));
    controller.served("p", 2).await;
}

#[tokio::test]
async fn a_proxy_that_comes_back_gets_what_it_lacks() {
    let controller = Controller::start().await;
    let other = controller.replica().await;
    controller.publish(1, "a=1 b=1");
    let mut proxy = controller.proxy("p");
    proxy.takes().await;
    controller.served("p", 1).await;
    // Away for a while: to a controller that has nothing to say yet.
    controller.role.send_replace(Role::Redirect(other.server.address()));
    controller.progress("away", BTreeMap::is_empty).await;
    other.progress("there", |proxies| proxies.contains_key("p")).await;
    controller.publish(2, "a=2");
    controller.publish(3, "c=1 -b");
    controller.role.send_replace(Role::Serve);
    other.role.send_replace(Role::Redirect(controller.server.address()));
    assert_eq!(proxy.takes().await, (3, "a=2 c=1 -b".into()));
    controller.served("p", 3).await;
    assert_eq!(proxy.seen().streams, 3);
}

#[tokio::test]
async fn a_follower_sends_proxies_to_the_leader() {
    let follower = Controller::start().await;
    let leader = follower.replica().await;
    follower.publish(1, "a=follower");
    leader.publish(2, "a=leader");
    follower.role.send_replace(Role::Redirect(leader.server.address()));
    let mut proxy = follower.proxy("p");
    assert_eq!(proxy.takes().await, (2, "a=leader".into()));
    leader.served("p", 2).await;
    assert_eq!(proxy.seen().peer, Some(leader.server.address()));
    // The leader is gone: back to the address that is known.
    leader.server.stop();
    follower.role.send_replace(Role::Serve);
    assert_eq!(proxy.takes().await, (1, "a=follower".into()));

    // Two controllers that both think that the other one leads.
    let lost = follower.replica().await;
    lost.role.send_replace(Role::Redirect(follower.server.address()));
    follower.role.send_replace(Role::Redirect(lost.server.address()));
    proxy.problem("from one to the other").await;
    let before = proxy.seen().streams;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(proxy.seen().streams - before < 40, "it does not storm them");
    follower.role.send_replace(Role::Serve);
    follower.progress("settled", |proxies| proxies.contains_key("p")).await;
}

#[tokio::test]
async fn a_pod_has_one_stream() {
    let (controller, mut old) = Controller::with_proxy("p").await;
    let mut new = controller.proxy("p");
    new.takes().await;
    old.problem("another stream of this pod").await;
    old.client.close().await;
    controller.served("p", 1).await;
    new.client.close().await;
    controller.progress("gone", BTreeMap::is_empty).await;
}

#[tokio::test]
async fn the_last_configuration_is_there_when_no_controller_is() {
    let controller = Controller::start().await;
    controller.publish(4, "a=1 b=1");
    let cache = controller.cache();
    let with_cache = |settings: &mut fairlead_wire::client::Settings| settings.cache = Some(cache.clone());
    let token = format!("good {GATEWAY} p");
    let mut proxy = controller.proxy_with("p", &token, with_cache);
    proxy.takes().await;
    controller.publish(5, "b=2");
    proxy.takes().await;
    controller.served("p", 5).await;
    proxy.client.close().await;

    // No controller at all.
    controller.server.stop();
    let mut proxy = controller.proxy_with("p", &token, with_cache);
    let Received::Cached(push) = proxy.next().await else { panic!("from the cache") };
    assert_eq!((push.version, words(&push)), (5, "a=1 b=2".into()));
    proxy.serves(5);
    proxy.problem("cannot connect").await;
    let controller = controller.restart().await;
    proxy.waits().await;
    controller.publish(1, "a=1 c=1");
    assert_eq!(proxy.takes().await, (1, "c=1 -b".into()));
    controller.served("p", 1).await;
    proxy.client.close().await;

    // A controller that is slow to know everything is as good as none.
    let controller = controller.restart().await;
    let mut proxy = controller.proxy_with("p", &token, with_cache);
    assert!(matches!(proxy.next().await, Received::Cached(push) if words(&push) == "a=1 c=1"));
    proxy.serves(1);
    proxy.client.close().await;

    // One that is damaged is left alone.
    let file = cache.join("configuration");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let mut proxy = controller.proxy_with("p", &token, with_cache);
    proxy.waits().await;
    controller.publish(8, "z=1");
    assert_eq!(proxy.takes().await, (8, "z=1".into()));
    proxy.client.close().await;
    let mut proxy = controller.proxy_with("p", &token, with_cache);
    assert_eq!(proxy.takes().await, (8, "z=1".into()), "a controller that answers comes first");
}
