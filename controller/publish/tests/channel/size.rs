//! A large first push: how long, how large.

use crate::setup::{Controller, GATEWAY};
use fairlead_ir::{
    Address, Backend, BackendTarget, Endpoint, Endpoints, HeaderMods, HeaderValue, Order, PathMatch, Push, Resource,
    Route, RouteKind, RouteMatch, Timeouts,
};
use fairlead_ir::{Cluster, Discovery, Filter, Millis, Protocol};
use fairlead_wire::client::Received;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROUTES: usize = 5_000;

/// One route with its Service.
fn resources(number: usize) -> [Resource; 3] {
    let service = format!("service/team-{}/app-{number}/8080", number % 50);
    let address = |host: usize| Address::Ip(([10, (number >> 8) as u8, number as u8, host as u8], 8080).into());
    let endpoints = (1..4).map(|host| Endpoint { address: address(host), weight: 1, zone: None }).collect();
    let object = format!("team-{}/app-{number}", number % 50);
    let header = HeaderValue { name: "x-team".into(), value: "shop".into() };
    let route = Route {
        id: format!("httproute/{object}/0").into(),
        name: object.as_str().into(),
        rule: None,
        kind: RouteKind::Http,
        listeners: vec![format!("gateway/{GATEWAY}/https").into()],
        hostnames: vec![format!("app-{number}.example.com").into()],
        matches: vec![RouteMatch { path: Some(PathMatch::Prefix("/".into())), ..RouteMatch::default() }],
        order: Order { created: 1_800_000_000, object: object.as_str().into(), rule: 0 },
        filters: vec![Filter::RequestHeaders(HeaderMods { set: vec![header], ..HeaderMods::default() })],
        backends: vec![Backend {
            weight: 1,
            target: BackendTarget::Cluster(service.as_str().into()),
            filters: vec![],
            session: None,
        }],
        broken: None,
        timeouts: Timeouts::default(),
        retry: None,
    };
    let cluster = Cluster {
        id: service.as_str().into(),
        protocol: Protocol::Http1,
        tls: None,
        discovery: Discovery::Endpoints(service.as_str().into()),
        load_balancing: Default::default(),
        connect_timeout: Millis(5_000),
        idle_timeout: Millis(60_000),
        retry_budget: None,
    };
    let endpoints = Endpoints { id: service.as_str().into(), endpoints };
    [Resource::Endpoints(Arc::new(endpoints)), Resource::Cluster(Arc::new(cluster)), Resource::Route(Arc::new(route))]
}

#[tokio::test]
async fn measures_a_first_push() {
    let controller = Controller::start().await;
    let upserts: Vec<Resource> = (0..ROUTES).flat_map(resources).collect();
    let start = Instant::now();
    let sealed: Vec<_> = upserts.iter().map(|resource| fairlead_wire::encode(resource).unwrap()).collect();
    let encoding = start.elapsed();
    let bytes: usize = sealed.iter().map(|sealed| sealed.payload.len()).sum();
    let start = Instant::now();
    assert!(
        sealed.iter().zip(&upserts).all(|(sealed, resource)| fairlead_wire::decode(sealed).as_ref() == Ok(resource))
    );
    let decoding = start.elapsed();
    drop(sealed);

    let start = Instant::now();
    let push = Push { version: 1, upserts, removals: vec![] };
    controller.server.publish(&GATEWAY.into(), &push);
    let publishing = start.elapsed();
    let mut proxy = controller.proxy_with("p", &format!("good {GATEWAY} p"), |settings| {
        settings.cache = Some(controller.cache());
    });
    let start = Instant::now();
    let Received::Push(first) = proxy.next().await else { panic!("from the cache") };
    let whole = start.elapsed();
    assert_eq!(first.upserts.len(), 3 * ROUTES);
    proxy.client.ack(1, vec![], BTreeMap::new());
    controller.served("p", 1).await;

    // One route among them.
    let mut one = Vec::new();
    for version in 2..22 {
        let Resource::Route(route) = &push.upserts[3 * 77 + 2] else { panic!("not a route") };
        let route = Route { hostnames: vec![format!("v{version}.example.com").into()], ..(**route).clone() };
        let start = Instant::now();
        let push = Push { version, upserts: vec![Resource::Route(Arc::new(route))], removals: vec![] };
        controller.server.publish(&GATEWAY.into(), &push);
        let Received::Push(push) = proxy.next().await else { panic!("from the cache") };
        one.push(start.elapsed());
        assert_eq!(push.upserts.len(), 1);
        proxy.client.ack(version, vec![], BTreeMap::new());
        controller.served("p", version).await;
    }
    one.sort();
    println!(
        "{} resources, {bytes} bytes of JSON: encode {encoding:?}, decode {decoding:?}, publish {publishing:?}, \
         enrol and first push {whole:?}; one route {:?} median",
        3 * ROUTES,
        one[one.len() / 2]
    );
    assert!(bytes / (3 * ROUTES) < 400, "{bytes}");
    // Unoptimised, on a busy machine.
    assert!(one[one.len() / 2] < Duration::from_millis(50), "{one:?}");

    let start = Instant::now();
    proxy.client.close().await;
    println!(
        "cache: {} bytes in {:?}",
        std::fs::metadata(controller.cache().join("configuration")).unwrap().len(),
        start.elapsed()
    );
}
