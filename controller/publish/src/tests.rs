use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use fairlead_ir::{
    Bind, Cluster, Config, Discovery, Endpoint, Endpoints, HttpSettings, Id, Listener, ListenerProtocol, Millis, Order,
    Protocol, Push, Resource, ResourceId, Route, RouteKind, Secret, Timeouts,
};
use proptest::collection::btree_map;
use proptest::prelude::*;

use crate::{Publisher, apply, delta, delta_of};

fn id(kind: &str, number: u8) -> Id {
    format!("{kind}/{number}").into()
}

fn secret(number: u8, value: u8) -> Arc<Secret> {
    Arc::new(Secret { id: id("secret", number), certificates: format!("{value}").into(), key: None })
}

fn endpoints(number: u8, value: u8) -> Arc<Endpoints> {
    let address = fairlead_ir::Address::Ip(([10, 0, 0, value], 80).into());
    Arc::new(Endpoints { id: id("service", number), endpoints: vec![Endpoint { address, weight: 1, zone: None }] })
}

fn cluster(number: u8, value: u8) -> Arc<Cluster> {
    Arc::new(Cluster {
        id: id("service", number),
        protocol: Protocol::Http1,
        tls: None,
        discovery: Discovery::Endpoints(id("service", number)),
        load_balancing: Default::default(),
        connect_timeout: Millis(u64::from(value)),
        idle_timeout: Millis(60_000),
        retry_budget: None,
    })
}

fn route(number: u16, value: u8) -> Arc<Route> {
    let id: Id = format!("httproute/{number}").into();
    Arc::new(Route {
        name: id.clone(),
        id: id.clone(),
        rule: None,
        kind: RouteKind::Http,
        listeners: vec![],
        hostnames: vec![],
        matches: vec![],
        order: Order { created: i64::from(value), object: id, rule: 0 },
        filters: vec![],
        backends: vec![],
        broken: None,
        timeouts: Timeouts::default(),
        retry: None,
    })
}

fn listener(number: u8, value: u8) -> Arc<Listener> {
    Arc::new(Listener {
        id: id("gateway", number),
        gateway: "a/b".into(),
        bind: Bind::tcp(None, u16::from(value)),
        protocol: ListenerProtocol::Http,
        hostname: None,
        tls: None,
        http: HttpSettings::default(),
        filters: None,
    })
}

fn config() -> impl Strategy<Value = Config> {
    let of = || btree_map(0..12u8, 0..3u8, 0..10);
    (of(), of(), of(), of(), of()).prop_map(|(secrets, ends, clusters, routes, listeners)| Config {
        secrets: secrets.into_iter().map(|(n, v)| (id("secret", n), secret(n, v))).collect(),
        endpoints: ends.into_iter().map(|(n, v)| (id("service", n), endpoints(n, v))).collect(),
        clusters: clusters.into_iter().map(|(n, v)| (id("service", n), cluster(n, v))).collect(),
        routes: routes.into_iter().map(|(n, v)| (id("httproute", n), route(n.into(), v))).collect(),
        listeners: listeners.into_iter().map(|(n, v)| (id("gateway", n), listener(n, v))).collect(),
    })
}

fn rank(id: &ResourceId) -> u8 {
    match id {
        ResourceId::Secret(_) => 0,
        ResourceId::Endpoints(_) => 1,
        ResourceId::Cluster(_) => 2,
        ResourceId::Route(_) => 3,
        ResourceId::Listener(_) => 4,
    }
}

/// Resources of two configurations that differ, counted one by one.
fn differences(a: &Config, b: &Config) -> usize {
    fn count<T: PartialEq>(
        a: &std::collections::BTreeMap<Id, Arc<T>>,
        b: &std::collections::BTreeMap<Id, Arc<T>>,
    ) -> usize {
        let gone = a.keys().filter(|id| !b.contains_key(*id)).count();
        gone + b.iter().filter(|(id, resource)| a.get(*id) != Some(*resource)).count()
    }
    count(&a.secrets, &b.secrets)
        + count(&a.endpoints, &b.endpoints)
        + count(&a.clusters, &b.clusters)
        + count(&a.routes, &b.routes)
        + count(&a.listeners, &b.listeners)
}

fn push(publisher: &mut Publisher, config: &Config) -> Push {
    let touched = ids(publisher.config(), config);
    publisher.update(config, &touched)
}

/// All ids of two configurations.
fn ids(a: &Config, b: &Config) -> BTreeSet<ResourceId> {
    let everything = |config| delta(&Config::default(), config).upserts;
    everything(a).iter().chain(&everything(b)).map(Resource::id).collect()
}

proptest! {
    #[test]
    fn applying_a_delta_gives_the_new_configuration(a in config(), b in config()) {
        let push = delta(&a, &b);
        prop_assert_eq!(push.upserts.len() + push.removals.len(), differences(&a, &b), "no more than what differs");
        let ranks: Vec<u8> = push.upserts.iter().map(|resource| rank(&resource.id())).collect();
        prop_assert!(ranks.is_sorted(), "dependencies first: {:?}", ranks);
        let ranks: Vec<u8> = push.removals.iter().rev().map(rank).collect();
        prop_assert!(ranks.is_sorted(), "dependents first: {:?}", ranks);
        let mut applied = a.clone();
        apply(&mut applied, push);
        prop_assert_eq!(&applied, &b);
        prop_assert!(delta(&b, &b).is_empty());
        prop_assert_eq!(delta_of(&a, &b, &ids(&a, &b)), delta(&a, &b));
    }

    #[test]
    fn a_proxy_that_follows_every_push_has_the_last_configuration(configs in proptest::collection::vec(config(), 1..5)) {
        let (mut publisher, mut proxy, mut version) = (Publisher::new(), Config::default(), 0);
        for config in configs {
            let push = push(&mut publisher, &config);
            version += u64::from(!push.is_empty());
            prop_assert_eq!((push.version, publisher.version()), (version, version));
            apply(&mut proxy, push);
            prop_assert_eq!(&proxy, &config);
            let mut fresh = Config::default();
            apply(&mut fresh, publisher.everything());
            prop_assert_eq!(&fresh, publisher.config());
        }
    }
}

#[test]
fn equal_resources_are_not_pushed_even_if_they_were_made_anew() {
    let of = |value| Config { routes: [("httproute/1".into(), route(1, value))].into(), ..Config::default() };
    let mut publisher = Publisher::new();
    assert_eq!(push(&mut publisher, &of(1)).version, 1);
    assert_eq!(push(&mut publisher, &of(1)), Push { version: 1, ..Push::default() });
    let push = push(&mut publisher, &of(2));
    assert_eq!((push.version, push.upserts.len()), (2, 1));
    assert!(matches!(&push.upserts[0], Resource::Route(route) if route.order.created == 2));
}

#[test]
fn one_change_among_many_is_found_quickly() {
    let mut config = Config::default();
    for number in 0..10_000 {
        let route = route(number, 0);
        config.routes.insert(route.id.clone(), route);
    }
    let mut publisher = Publisher::new();
    push(&mut publisher, &config);
    let each = (1..=5).map(|change| {
        let changed = route(5_000, change);
        config.routes.insert(changed.id.clone(), changed);
        let start = Instant::now();
        let push = push(&mut publisher, &config);
        assert_eq!(push.upserts.len(), 1);
        start.elapsed()
    });
    // Well below 1 ms when optimised; this is an unoptimised build on a busy machine, where one of them may have to wait for its turn.
    let took = each.min().unwrap_or_default();
    assert!(took.as_millis() < 200, "{took:?}");
}
