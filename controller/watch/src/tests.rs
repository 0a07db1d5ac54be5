//! A watch of an API server in the same process.

use std::sync::Arc;
use std::time::Duration;

use fairlead_crds::Kind;
use fairlead_crds::core::{Namespace, Service};
use fairlead_crds::gateway::{Gateway, HTTPRoute};
use fairlead_store::{Change, Key};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::testing::{Gone, Request, Server, definition};
use crate::{Cause, Error, Problem, Settings, Watch};

mod discovery;
mod secrets;

async fn watch(server: &Server) -> Watch {
    Watch::start(server.client(), Settings::default()).await.unwrap()
}

async fn next(watch: &mut Watch) -> Change {
    timeout(Duration::from_secs(20), watch.next()).await.expect("a change in time").expect("not stopped")
}

/// Takes changes until something is so.
async fn until(watch: &mut Watch, is: impl Fn(&Change) -> bool) -> Change {
    loop {
        let change = next(watch).await;
        if is(&change) {
            return change;
        }
    }
}

async fn nothing(watch: &mut Watch) {
    let change = timeout(Duration::from_millis(200), watch.next()).await;
    assert!(change.is_err(), "{:?}", change.unwrap().map(|change| (change.changed, change.restated)));
}

async fn health(watch: &Watch, is: impl FnMut(&Arc<Vec<Problem>>) -> bool) -> Arc<Vec<Problem>> {
    let mut health = watch.health();
    timeout(Duration::from_secs(20), health.wait_for(is)).await.expect("health in time").unwrap().clone()
}

/// Waits until all watches run, so that what comes next is told by them.
async fn settled(server: &Server, watches: usize) {
    timeout(Duration::from_secs(20), async {
        while server.watches() != watches {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{} watches", server.watches()));
}

fn route(name: &str, host: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"namespace": "shop", "name": name}, "spec": {"hostnames": [host]},
    })
}

fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": name},
        "spec": {"ports": [{"port": 80}]},
    })
}

fn key(name: &str) -> Key {
    Key::new("shop", name)
}

fn hosts(change: &Change, name: &str) -> Vec<String> {
    let route = change.world.all::<HTTPRoute>().get(&key(name)).cloned();
    route.map(|route| route.spec.hostnames.iter().map(ToString::to_string).collect()).unwrap_or_default()
}

/// Definitions and other Secrets have one, too; kinds that this server does not have, none.
const ALL: usize = Kind::ALL.len() + 2 - 1;

#[tokio::test]
async fn the_first_change_is_everything() {
    let server = Server::with_all_kinds().await;
    server.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"a": "b"}}}));
    server.put(service("web"));
    for index in 0..1200 {
        server.put(route(&format!("r{index}"), "x.example"));
    }
    let secret = |name: &str, sort: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": sort,
            "metadata": {"namespace": "shop", "name": name}, "data": {"tls.crt": "eA=="},
        })
    };
    server.put(secret("cert", "kubernetes.io/tls"));
    server.put(secret("password", "Opaque"));
    let mut watch = watch(&server).await;
    let change = next(&mut watch).await;
    assert_eq!(change.world.len(), 1203);
    assert_eq!(change.changed.len(), 1203);
    assert!(change.changed.is_sorted() && change.restated.is_empty() && change.problems.is_empty());
    let world = &change.world;
    assert!(world.entry(Kind::Secret, "shop", "cert").is_some());
    assert!(world.entry(Kind::Secret, "shop", "password").is_none());
    let labels = world.all::<Namespace>().get(&Key::cluster("shop")).unwrap().metadata.labels.clone();
    assert_eq!(labels.get("a"), Some("b"));
    let web = world.all::<Service>().get(&key("web")).unwrap();
    assert_eq!(web.spec.ports[0].port, 80);
    assert_eq!(watch.bundle().as_deref(), Some("v1.7.0"));
    settled(&server, ALL).await;
    assert!(health(&watch, |_| true).await.is_empty());
    nothing(&mut watch).await;
}

#[tokio::test]
async fn the_first_change_waits_for_what_is_denied() {
    let server = Server::with_all_kinds().await;
    server.put(route("r", "x.example"));
    server.deny("services");
    let mut watch = watch(&server).await;
    let problems = health(&watch, |problems| !problems.is_empty()).await;
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    assert_eq!((problem.kind, problem.cause), (Some(Kind::Service), Cause::Denied));
    assert!(problem.message.contains("RBAC: allow get, list, watch of services"), "{problem}");
    nothing(&mut watch).await;
    server.put(service("web"));
    server.allow("services");
    let change = next(&mut watch).await;
    assert_eq!(change.changed.len(), 2);
    assert!(health(&watch, |problems| problems.is_empty()).await.is_empty());
}

#[tokio::test]
async fn what_is_denied_later_stays() {
    let server = Server::with_all_kinds().await;
    server.put(route("r", "x.example"));
    let mut watch = watch(&server).await;
    next(&mut watch).await;
    settled(&server, ALL).await;
    server.deny("httproutes");
    server.compact(Gone::Status);
    server.disconnect();
    let problems = health(&watch, |problems| !problems.is_empty()).await;
    assert_eq!((problems[0].kind, problems[0].cause), (Some(Kind::HTTPRoute), Cause::Denied));
    server.put(route("r", "y.example"));
    nothing(&mut watch).await;
    server.allow("httproutes");
    let change = next(&mut watch).await;
    assert_eq!(change.changed, [(Kind::HTTPRoute, key("r"))]);
    health(&watch, |problems| problems.is_empty()).await;
}

#[tokio::test]
async fn a_crd_may_come_late_and_go() {
    let server = Server::start().await;
    server.install(&[Kind::GatewayClass, Kind::Gateway]);
    let mut watch = watch(&server).await;
    assert!(next(&mut watch).await.world.is_empty());
    let problems = health(&watch, |_| true).await;
    let missing = problems.iter().find(|problem| problem.kind == Some(Kind::HTTPRoute)).unwrap();
    assert_eq!(missing.cause, Cause::NotInstalled);
    assert!(missing.message.contains("httproutes.gateway.networking.k8s.io"), "{missing}");

    server.install(&[Kind::HTTPRoute]);
    server.put(route("r", "x.example"));
    let change = until(&mut watch, |change| !change.world.is_empty()).await;
    assert_eq!(hosts(&change, "r"), ["x.example"]);
    let is_missing = |problem: &Problem| problem.kind == Some(Kind::HTTPRoute);
    health(&watch, |problems| !problems.iter().any(is_missing)).await;
    server.put(route("r", "y.example"));
    let change = until(&mut watch, |change| !change.changed.is_empty()).await;
    assert_eq!(hosts(&change, "r"), ["y.example"]);

    server.uninstall(Kind::HTTPRoute);
    until(&mut watch, |change| change.world.is_empty()).await;
    health(&watch, |problems| problems.iter().any(is_missing)).await;
}

#[tokio::test]
async fn versions_and_the_bundle_follow_the_crds() {
    let server = Server::start().await;
    server.put(definition(Kind::GRPCRoute, &["v1alpha2"], Some("v1.0.0")));
    server.put(definition(Kind::Gateway, &["v1alpha2"], Some("v1.1.0")));
    let grpc = json!({
        "apiVersion": "gateway.networking.k8s.io/v1alpha2", "kind": "GRPCRoute",
        "metadata": {"namespace": "shop", "name": "r"}, "spec": {},
    });
    server.put(grpc);
    let mut watch = watch(&server).await;
    let first = next(&mut watch).await;
    assert_eq!(watch.bundle().as_deref(), Some("v1.0.0"));
    assert_eq!(first.world.len(), 1);
    let problems = health(&watch, |_| true).await;
    let old = problems.iter().find(|problem| problem.kind == Some(Kind::Gateway)).unwrap();
    assert_eq!(old.cause, Cause::NotServed);

    server.put(definition(Kind::GRPCRoute, &["v1alpha2", "v1"], Some("v1.7.0")));
    server.put(definition(Kind::Gateway, &["v1"], Some("v1.7.0")));
    while watch.bundle().as_deref() != Some("v1.7.0") {
        assert!(next(&mut watch).await.changed.is_empty());
    }
    // Told, if it was not yet.
    let _ = timeout(Duration::from_millis(100), watch.next()).await;
    let is_old = |problem: &Problem| problem.kind == Some(Kind::Gateway);
    health(&watch, |problems| !problems.iter().any(is_old)).await;
    let asked = |path: &str| server.requests().iter().any(|request| request.path == path);
    timeout(Duration::from_secs(10), async {
        while !asked("/apis/gateway.networking.k8s.io/v1/grpcroutes") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    // The same object in another version is no change.
    nothing(&mut watch).await;
}

#[tokio::test]
async fn a_relist_removes_what_is_gone_in_one_change() {
    for gone in [Gone::Event, Gone::Status] {
        let server = Server::with_all_kinds().await;
        for index in 0..600 {
            server.put(route(&format!("r{index:03}"), "x.example"));
        }
        let mut watch = watch(&server).await;
        let first = next(&mut watch).await;
        settled(&server, ALL).await;
        server.down().await;
        for index in 0..300 {
            server.delete("httproutes", "shop", &format!("r{index:03}"));
        }
        server.put(route("r500", "y.example"));
        server.put(route("new", "z.example"));
        server.compact(gone);
        server.up().await;
        let change = next(&mut watch).await;
        assert_eq!(change.changed.len(), 302, "{gone:?}");
        assert_eq!(change.world.all::<HTTPRoute>().len(), 301);
        assert_eq!(hosts(&change, "r500"), ["y.example"]);
        // What did not change is the same.
        let of = |change: &Change| change.world.all::<HTTPRoute>().get(&key("r400")).unwrap().clone();
        assert!(Arc::ptr_eq(&of(&first), &of(&change)));
        health(&watch, |problems| problems.is_empty()).await;
        nothing(&mut watch).await;
    }
}

#[tokio::test]
async fn a_server_that_restarts_is_gone_on_with() {
    let server = Server::with_all_kinds().await;
    server.put(route("a", "x.example"));
    server.put(route("b", "x.example"));
    let mut watch = watch(&server).await;
    next(&mut watch).await;
    settled(&server, ALL).await;
    server.down().await;
    // Nor is it known which kinds there are.
    let problems = health(&watch, |problems| problems.len() == ALL + 1).await;
    assert!(problems.iter().all(|problem| problem.cause == Cause::Unreachable), "{problems:?}");
    server.delete("httproutes", "shop", "a");
    server.put(route("b", "y.example"));
    nothing(&mut watch).await;
    server.clear_requests();
    server.up().await;
    let mut change = next(&mut watch).await;
    if change.changed.len() == 1 {
        change = next(&mut watch).await;
    }
    assert_eq!((change.world.len(), hosts(&change, "b")), (1, vec!["y.example".to_owned()]));
    health(&watch, |problems| problems.is_empty()).await;
    // History was kept, so nothing was listed again.
    let goes_on =
        |request: &Request| request.query.contains("watch=true") || request.path == "/apis/certificates.k8s.io";
    assert!(server.requests().iter().all(goes_on), "{:?}", server.requests());
}

#[tokio::test]
async fn an_object_that_does_not_parse_keeps_its_last_good_version() {
    let server = Server::with_all_kinds().await;
    server.put(route("r", "x.example"));
    let mut watch = watch(&server).await;
    next(&mut watch).await;
    let mut broken = route("r", "x");
    broken["spec"]["hostnames"] = json!("not a list");
    server.put(broken.clone());
    let change = next(&mut watch).await;
    assert!(change.changed.is_empty());
    assert_eq!(hosts(&change, "r"), ["x.example"]);
    let [problem] = change.problems.as_slice() else { panic!("{:?}", change.problems) };
    assert_eq!(problem.object, Some((Kind::HTTPRoute, key("r"))));
    assert!(problem.message.contains("HTTPRoute shop/r: spec.hostnames: "), "{problem}");
    assert_eq!(problem.notes[0].message, "the last good version stays in use");
    // A status can be written meanwhile.
    let entry = change.world.entry(Kind::HTTPRoute, "shop", "r").unwrap();
    let version = server.get("httproutes", "shop", "r").unwrap()["metadata"]["resourceVersion"].clone();
    assert_eq!(json!(&*entry.stored.as_ref().unwrap().resource_version), version);

    broken["metadata"]["name"] = "other".into();
    server.put(broken);
    let change = next(&mut watch).await;
    assert_eq!(change.problems.len(), 2);
    assert!(change.problems.iter().any(|problem| problem.notes.is_empty()));

    server.put(route("r", "y.example"));
    let change = next(&mut watch).await;
    assert_eq!((change.changed.len(), change.problems.len()), (1, 1));
    server.delete("httproutes", "shop", "other");
    let change = next(&mut watch).await;
    assert!(change.changed.is_empty() && change.problems.is_empty());
}

#[tokio::test]
async fn a_status_restates_and_all_else_changes() {
    let server = Server::with_all_kinds().await;
    let gateway = |labels: Value| {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"namespace": "shop", "name": "g", "labels": labels},
            "spec": {"gatewayClassName": "c", "listeners": [{"name": "l", "port": 80, "protocol": "HTTP"}]},
        })
    };
    server.put(gateway(json!({})));
    server.put(service("web"));
    let mut watch = watch(&server).await;
    let first = next(&mut watch).await;
    let mut with_status = gateway(json!({}));
    with_status["status"] = json!({"addresses": [{"value": "192.0.2.1"}]});
    server.put(with_status);
    let second = next(&mut watch).await;
    assert!(second.changed.is_empty());
    assert_eq!(second.restated, [(Kind::Gateway, key("g"))]);
    let of = |change: &Change| change.world.all::<Gateway>().get(&key("g")).unwrap().clone();
    assert!(Arc::ptr_eq(&of(&first), &of(&second)));
    let stored = |change: &Change| change.world.entry(Kind::Gateway, "shop", "g").unwrap().stored.clone().unwrap();
    assert!(stored(&first).status.is_none());
    assert_eq!(stored(&second).status.as_ref().unwrap().get(), r#"{"addresses":[{"value":"192.0.2.1"}]}"#);

    server.put(gateway(json!({"team": "a"})));
    let third = next(&mut watch).await;
    assert_eq!(third.changed, [(Kind::Gateway, key("g"))]);
    assert!(third.restated.is_empty());
    assert_eq!(of(&third).metadata.uid, of(&first).metadata.uid);

    let mut with_address = service("web");
    with_address["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}});
    server.put(with_address);
    let fourth = next(&mut watch).await;
    assert_eq!(fourth.changed, [(Kind::Service, key("web"))]);
    let web = fourth.world.all::<Service>().get(&key("web")).unwrap();
    let ingress = &web.status.as_ref().unwrap().load_balancer.ingress;
    assert_eq!(ingress[0].ip.as_deref(), Some("192.0.2.7"));

    // Another object of the same name, within one change or two.
    server.delete("gateways", "shop", "g");
    server.put(gateway(json!({"team": "a"})));
    let last = until(&mut watch, |change| change.world.all::<Gateway>().len() == 1).await;
    assert_ne!(of(&last).metadata.uid, of(&third).metadata.uid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_few_changes_and_a_single_one_is_told_at_once() {
    let server = Server::with_all_kinds().await;
    let mut watch = watch(&server).await;
    next(&mut watch).await;
    settled(&server, ALL).await;
    for index in 0..1000 {
        server.put(route(&format!("r{index}"), "x.example"));
        if index % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let (mut changes, mut count) = (0, 0);
    while count < 1000 {
        let change = next(&mut watch).await;
        count += change.changed.len();
        changes += 1;
    }
    assert_eq!(count, 1000);
    assert!(changes < 100, "{changes} changes");

    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut waits = Vec::new();
    for index in 0..9 {
        let begin = tokio::time::Instant::now();
        server.put(route("r1", &format!("h{index}.example")));
        next(&mut watch).await;
        waits.push(begin.elapsed());
    }
    // A busy machine makes some of them wait.
    waits.sort();
    assert!(waits[waits.len() / 2] < Duration::from_millis(50), "{waits:?}");
}

#[tokio::test]
async fn namespaces_can_be_restricted() {
    let server = Server::with_all_kinds().await;
    for namespace in ["shop", "other", "certs"] {
        server.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
        let mut route = route("r", "x.example");
        route["metadata"]["namespace"] = namespace.into();
        server.put(route);
        server.put(json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"namespace": namespace, "name": "s"},
        }));
    }
    let settings = Settings { namespaces: vec!["shop".into(), "shop".into()], secret_namespaces: vec!["certs".into()] };
    let mut watch = Watch::start(server.client(), settings).await.unwrap();
    let change = next(&mut watch).await;
    let expected =
        [(Kind::Namespace, Key::cluster("shop")), (Kind::Secret, Key::new("certs", "s")), (Kind::HTTPRoute, key("r"))];
    assert_eq!(change.changed, expected);
    let asked = |request: &crate::testing::Request| {
        request.path.contains("/namespaces/") || !request.path.ends_with("/httproutes")
    };
    assert!(server.requests().iter().all(asked));
    server.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other", "labels": {"a": "b"}}}));
    nothing(&mut watch).await;

    let settings = Settings { namespaces: vec!["Shop_1".into()], ..Settings::default() };
    let error = Watch::start(server.client(), settings).await.unwrap_err();
    assert_eq!(error, Error::Namespace("Shop_1".into()));
}

#[tokio::test]
async fn bookmarks_are_gone_on_from() {
    let server = Server::with_all_kinds().await;
    server.put(route("r", "x.example"));
    let mut watch = watch(&server).await;
    next(&mut watch).await;
    settled(&server, ALL).await;
    server.compact(Gone::Status);
    server.bookmark();
    // Nothing tells that all kinds have theirs.
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.disconnect();
    settled(&server, ALL).await;
    server.clear_requests();
    server.put(route("r", "y.example"));
    assert_eq!(hosts(&next(&mut watch).await, "r"), ["y.example"]);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn it_can_be_stopped() {
    let server = Server::with_all_kinds().await;
    let mut watch = watch(&server).await;
    next(&mut watch).await;
    let stopper = watch.stopper();
    let waiting = tokio::spawn(async move { watch.next().await.is_none() });
    tokio::time::sleep(Duration::from_millis(20)).await;
    stopper.stop();
    assert!(timeout(Duration::from_secs(5), waiting).await.unwrap().unwrap());
    settled(&server, 0).await;
}
