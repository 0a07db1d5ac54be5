//! A push compiles what it changes and nothing else; what can't be compiled is rejected alone.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use fairlead_ir as ir;
use fairlead_ir::{Push, Resource, ResourceId};
use fairlead_net::tls::Tickets;
use fairlead_route::Probe;
use fairlead_snapshot::{Compiler, Listener, Route, Snapshot};
use fairlead_telemetry::Registry;
use std::sync::Arc;

const BIND: ir::Bind = ir::Bind::tcp(None, 80);

fn compiler() -> Compiler {
    Compiler::new(Registry::new(2), Tickets::new().unwrap())
}

fn listener(id: &str, hostname: Option<&str>) -> Resource {
    Resource::Listener(Arc::new(ir::Listener {
        id: id.into(),
        gateway: "default/gw".into(),
        bind: BIND,
        protocol: ir::ListenerProtocol::Http,
        hostname: hostname.map(Into::into),
        tls: None,
        http: ir::HttpSettings::default(),
        filters: None,
    }))
}

fn route(id: &str, listener: &str, path: ir::PathMatch, cluster: &str) -> Resource {
    Resource::Route(Arc::new(ir::Route {
        id: id.into(),
        name: "default/r".into(),
        rule: None,
        kind: ir::RouteKind::Http,
        listeners: vec![listener.into()],
        hostnames: vec![],
        matches: vec![ir::RouteMatch { path: Some(path), ..ir::RouteMatch::default() }],
        order: ir::Order::default(),
        filters: vec![],
        backends: vec![ir::Backend {
            weight: 1,
            target: ir::BackendTarget::Cluster(cluster.into()),
            filters: vec![],
            session: None,
        }],
        broken: None,
        timeouts: ir::Timeouts::default(),
        retry: None,
    }))
}

fn prefix(path: &str) -> ir::PathMatch {
    ir::PathMatch::Prefix(path.into())
}

fn cluster(id: &str, discovery: ir::Discovery) -> Resource {
    Resource::Cluster(Arc::new(ir::Cluster {
        id: id.into(),
        protocol: ir::Protocol::Http1,
        tls: None,
        discovery,
        load_balancing: ir::LoadBalancing::RoundRobin,
        connect_timeout: ir::Millis(1000),
        idle_timeout: ir::Millis(1000),
        retry_budget: None,
    }))
}

fn endpoints(id: &str, ports: &[u16]) -> Resource {
    let endpoints = ports
        .iter()
        .map(|p| ir::Endpoint { address: ir::Address::Ip(([127, 0, 0, 1], *p).into()), weight: 1, zone: None })
        .collect();
    Resource::Endpoints(Arc::new(ir::Endpoints { id: id.into(), endpoints }))
}

fn upserts(upserts: Vec<Resource>) -> Push {
    Push { version: 1, upserts, removals: vec![] }
}

fn listener_of(snapshot: &Snapshot, host: &str) -> Arc<Listener> {
    snapshot.port(BIND).unwrap().listeners.find(host.as_bytes()).unwrap().clone()
}

fn taker(snapshot: &Snapshot, host: &str, path: &str) -> Option<Arc<Route>> {
    let probe = Probe { host: host.into(), path: path.into(), method: "GET".into(), port: 80, ..Probe::default() };
    listener_of(snapshot, host).table.find(&probe).map(|hit| hit.route.clone())
}

#[test]
fn a_change_of_one_route_leaves_the_others_compiled() {
    let mut compiler = compiler();
    let applied = compiler.apply(&upserts(vec![
        listener("a", Some("a.example")),
        listener("b", Some("b.example")),
        route("r1", "a", prefix("/1"), "c"),
        route("r2", "a", prefix("/2"), "c"),
        route("r3", "b", prefix("/"), "c"),
    ]));
    assert!(applied.rejected.is_empty());
    let before = compiler.snapshot();
    compiler.apply(&upserts(vec![route("r1", "a", prefix("/new"), "c")]));
    let after = compiler.snapshot();
    assert!(taker(&after, "a.example", "/1").is_none());
    assert_eq!(&*taker(&after, "a.example", "/new").unwrap().config.id, "r1");
    assert!(Arc::ptr_eq(&taker(&before, "a.example", "/2").unwrap(), &taker(&after, "a.example", "/2").unwrap()));
    assert!(
        Arc::ptr_eq(&listener_of(&before, "b.example"), &listener_of(&after, "b.example")),
        "the other listener is the same"
    );
    assert_eq!(&*taker(&before, "a.example", "/1").unwrap().config.id, "r1", "the old snapshot is as it was");
}

#[test]
fn endpoints_touch_their_cluster_only() {
    let mut compiler = compiler();
    compiler.apply(&upserts(vec![
        endpoints("e1", &[1]),
        endpoints("e2", &[2]),
        cluster("c1", ir::Discovery::Endpoints("e1".into())),
        cluster("c2", ir::Discovery::Endpoints("e2".into())),
        listener("l", None),
        route("r", "l", prefix("/"), "c1"),
    ]));
    let before = compiler.snapshot();
    compiler.apply(&upserts(vec![endpoints("e1", &[1, 3])]));
    let after = compiler.snapshot();
    let entries = |snapshot: &Snapshot| snapshot.clusters.iter().flatten().cloned().collect::<Vec<_>>();
    let (old, new) = (entries(&before), entries(&after));
    assert_eq!((old[0].endpoints.targets.len(), new[0].endpoints.targets.len()), (1, 2));
    assert!(Arc::ptr_eq(&old[0].config, &new[0].config), "the cluster is not compiled again");
    assert!(Arc::ptr_eq(&old[1], &new[1]), "the other cluster is the same");
    assert!(Arc::ptr_eq(&listener_of(&before, ""), &listener_of(&after, "")), "no route is compiled");
}

#[test]
fn clusters_keep_their_slot_whether_they_exist_or_not() {
    let mut compiler = compiler();
    compiler.apply(&upserts(vec![listener("l", None), route("r", "l", prefix("/"), "late")]));
    assert!(compiler.snapshot().clusters.iter().all(Option::is_none));
    compiler.apply(&upserts(vec![cluster("late", ir::Discovery::Endpoints("e".into()))]));
    let snapshot = compiler.snapshot();
    let fairlead_snapshot::Target::Cluster(slot) = taker(&snapshot, "", "/").unwrap().backends[0].target else {
        panic!()
    };
    assert_eq!(&*snapshot.clusters[slot as usize].as_ref().unwrap().config.id, "late");
    compiler.apply(&Push { version: 2, upserts: vec![], removals: vec![ResourceId::Cluster("late".into())] });
    assert!(compiler.snapshot().clusters[slot as usize].is_none());
}

#[test]
fn what_does_not_compile_is_rejected_alone_and_its_last_good_version_serves() {
    let mut compiler = compiler();
    compiler.apply(&upserts(vec![listener("l", None), route("r", "l", prefix("/good"), "c")]));
    let applied = compiler.apply(&upserts(vec![
        route("r", "l", ir::PathMatch::Regex("(".into()), "c"),
        route("other", "l", prefix("/other"), "c"),
    ]));
    assert_eq!(applied.rejected.len(), 1);
    assert_eq!(applied.rejected[0].0, ResourceId::Route("r".into()));
    let snapshot = compiler.snapshot();
    assert!(taker(&snapshot, "", "/good").is_some());
    assert!(taker(&snapshot, "", "/other").is_some());
}

#[test]
fn a_new_certificate_reaches_the_listeners_that_name_it() {
    let pem = |name: &str| {
        let key = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        Resource::Secret(Arc::new(ir::Secret {
            id: "s".into(),
            certificates: key.cert.pem().into(),
            key: Some(key.signing_key.serialize_pem().into()),
        }))
    };
    let https = Resource::Listener(Arc::new(ir::Listener {
        id: "l".into(),
        gateway: "default/gw".into(),
        bind: BIND,
        protocol: ir::ListenerProtocol::Https,
        hostname: None,
        tls: Some(ir::ListenerTls { certificates: vec!["s".into()], ..ir::ListenerTls::default() }),
        http: ir::HttpSettings::default(),
        filters: None,
    }));
    let mut compiler = compiler();
    let applied = compiler.apply(&upserts(vec![https]));
    assert_eq!(applied.rejected.len(), 1, "no certificate yet");
    assert!(compiler.snapshot().port(BIND).unwrap().tls.as_ref().unwrap().is_empty());
    let applied = compiler.apply(&upserts(vec![pem("a.example")]));
    assert!(applied.rejected.is_empty(), "{applied:?}");
    assert_eq!(compiler.snapshot().port(BIND).unwrap().tls.as_ref().unwrap().len(), 1);
    let bad = Resource::Secret(Arc::new(ir::Secret {
        id: "s".into(),
        certificates: "nonsense".into(),
        key: Some("nonsense".into()),
    }));
    let applied = compiler.apply(&upserts(vec![bad]));
    assert_eq!(applied.rejected[0].0, ResourceId::Secret("s".into()));
    assert_eq!(
        compiler.snapshot().port(BIND).unwrap().tls.as_ref().unwrap().len(),
        1,
        "the last good certificate serves on"
    );
}

#[test]
fn names_become_endpoints_when_they_resolve() {
    let mut compiler = compiler();
    compiler.apply(&upserts(vec![cluster("c", ir::Discovery::Dns { host: "db.example".into(), port: 80 })]));
    assert_eq!(compiler.hosts().collect::<Vec<_>>(), ["db.example"]);
    assert!(compiler.snapshot().clusters[0].as_ref().unwrap().endpoints.targets.is_empty());
    compiler.resolve("db.example", &["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()]);
    assert_eq!(compiler.snapshot().clusters[0].as_ref().unwrap().endpoints.targets.len(), 2);
    compiler.apply(&Push { version: 2, upserts: vec![], removals: vec![ResourceId::Cluster("c".into())] });
    assert_eq!(compiler.hosts().count(), 0);
}

#[test]
fn ports_come_and_go_with_their_listeners() {
    let mut compiler = compiler();
    compiler.apply(&upserts(vec![listener("l", None), route("r", "l", prefix("/"), "c")]));
    assert_eq!(compiler.snapshot().binds().count(), 1);
    compiler.apply(&Push { version: 2, upserts: vec![], removals: vec![ResourceId::Listener("l".into())] });
    assert_eq!(compiler.snapshot().binds().count(), 0);
    compiler.apply(&upserts(vec![listener("l", None)]));
    assert!(taker(&compiler.snapshot(), "", "/").is_some(), "its routes are still attached");
}
