use super::*;
use fairlead_ir::{
    AuthProtocol, Backend, ClusterTls, Endpoints, ExternalAuth, ListenerProtocol, ListenerTls, Millis, Order, Protocol,
    RouteKind, Secret,
};
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::Arc;

fn id(kind: &str, number: u8) -> Id {
    format!("{kind}/{number}").into()
}

/// A world of few things: indices of what each names.
#[derive(Clone, Debug, Default)]
struct Sketch {
    /// Gateway and secret.
    listeners: BTreeMap<u8, (u8, u8)>,
    /// Listeners, clusters.
    routes: BTreeMap<u8, (Vec<u8>, Vec<u8>)>,
    /// Endpoints, client certificate.
    clusters: BTreeMap<u8, (u8, Option<u8>)>,
    /// Value.
    endpoints: BTreeMap<u8, u8>,
    secrets: BTreeMap<u8, u8>,
}

fn listener(number: u8, gateway: u8, secret: u8) -> Arc<Listener> {
    let tls = ListenerTls { certificates: vec![id("secret", secret)], ..ListenerTls::default() };
    Arc::new(Listener {
        id: id("listener", number),
        gateway: id("gateway", gateway),
        bind: fairlead_ir::Bind::tcp(None, 443),
        protocol: ListenerProtocol::Https,
        hostname: None,
        tls: Some(tls),
        http: Default::default(),
        filters: None,
    })
}

fn route(number: u8, listeners: &[u8], clusters: &[u8]) -> Arc<Route> {
    let backend = |cluster: &u8| Backend {
        weight: 1,
        target: BackendTarget::Cluster(id("cluster", *cluster)),
        filters: vec![],
        session: None,
    };
    Arc::new(Route {
        id: id("route", number),
        name: id("route", number),
        rule: None,
        kind: RouteKind::Http,
        listeners: listeners.iter().map(|number| id("listener", *number)).collect(),
        hostnames: vec![],
        matches: vec![],
        order: Order::default(),
        filters: vec![],
        backends: clusters.iter().map(backend).collect(),
        broken: None,
        timeouts: Default::default(),
        retry: None,
    })
}

fn cluster(number: u8, endpoints: u8, certificate: Option<u8>) -> Arc<Cluster> {
    let tls = certificate.map(|secret| ClusterTls {
        hostname: "x".into(),
        ca: CaSource::System,
        sans: vec![],
        client_certificate: Some(id("secret", secret)),
    });
    Arc::new(Cluster {
        id: id("cluster", number),
        protocol: Protocol::Http1,
        tls,
        discovery: Discovery::Endpoints(id("endpoints", endpoints)),
        load_balancing: Default::default(),
        connect_timeout: Millis(1),
        idle_timeout: Millis(1),
        retry_budget: None,
    })
}

fn endpoints(number: u8, value: u8) -> Arc<Endpoints> {
    let address = fairlead_ir::Address::Ip(([10, 0, 0, value], 80).into());
    let endpoint = fairlead_ir::Endpoint { address, weight: 1, zone: None };
    Arc::new(Endpoints { id: id("endpoints", number), endpoints: vec![endpoint] })
}

fn secret(number: u8, value: u8) -> Arc<Secret> {
    Arc::new(Secret { id: id("secret", number), certificates: format!("{value}").into(), key: None })
}

impl Sketch {
    fn config(&self) -> Config {
        let mut config = Config::default();
        config.listeners.extend(self.listeners.iter().map(|(n, (g, s))| (id("listener", *n), listener(*n, *g, *s))));
        config.routes.extend(self.routes.iter().map(|(n, (l, c))| (id("route", *n), route(*n, l, c))));
        config.clusters.extend(self.clusters.iter().map(|(n, (e, s))| (id("cluster", *n), cluster(*n, *e, *s))));
        config.endpoints.extend(self.endpoints.iter().map(|(n, v)| (id("endpoints", *n), endpoints(*n, *v))));
        config.secrets.extend(self.secrets.iter().map(|(n, v)| (id("secret", *n), secret(*n, *v))));
        config
    }
}

fn sketch() -> impl Strategy<Value = Sketch> {
    let few = |n: u8| vec(0..n, 0..3);
    (
        proptest::collection::btree_map(0..4u8, (0..2u8, 0..3u8), 0..4),
        proptest::collection::btree_map(0..5u8, (few(4), few(4)), 0..5),
        proptest::collection::btree_map(0..4u8, (0..3u8, proptest::option::of(0..3u8)), 0..4),
        proptest::collection::btree_map(0..3u8, 0..2u8, 0..3),
        proptest::collection::btree_map(0..3u8, 0..2u8, 0..3),
    )
        .prop_map(|(listeners, routes, clusters, endpoints, secrets)| Sketch {
            listeners,
            routes,
            clusters,
            endpoints,
            secrets,
        })
}

/// What a Gateway needs, found from the front each time.
fn naive(config: &Config, gateway: &Id) -> Config {
    let mut part = Config::default();
    let mut wanted: Vec<ResourceId> = Vec::new();
    for (id, listener) in config.listeners.iter().filter(|(_, listener)| listener.gateway == *gateway) {
        part.listeners.insert(id.clone(), listener.clone());
        wanted.extend(named(&Resource::Listener(listener.clone())));
    }
    for (id, route) in &config.routes {
        if route.listeners.iter().any(|listener| part.listeners.contains_key(listener)) {
            part.routes.insert(id.clone(), route.clone());
            wanted.extend(named(&Resource::Route(route.clone())));
        }
    }
    while let Some(id) = wanted.pop() {
        if let Some(resource) = delta::find(config, &id) {
            wanted.extend(named(&resource));
            delta::apply(&mut part, Push { upserts: vec![resource], ..Push::default() });
        }
    }
    part
}

fn ids(config: &Config) -> BTreeSet<ResourceId> {
    let push = delta::delta(&Config::default(), config);
    push.upserts.iter().map(Resource::id).collect()
}

fn touched(old: &Config, new: &Config) -> BTreeSet<ResourceId> {
    let push = delta::delta(old, new);
    push.upserts.iter().map(Resource::id).chain(push.removals).collect()
}

proptest! {
    #[test]
    fn each_gateway_has_just_what_it_needs_and_in_order(sketches in vec(sketch(), 1..6)) {
        let mut fanout = Fanout::new();
        let mut before = Config::default();
        let mut proxies: BTreeMap<Id, Config> = BTreeMap::new();
        let mut version = 0;
        for sketch in sketches {
            let config = sketch.config();
            let pushes = fanout.update(&config, &touched(&before, &config));
            for (gateway, push) in pushes {
                prop_assert!(push.version > version, "versions increase");
                prop_assert!(!push.is_empty());
                let has = proxies.entry(gateway).or_default();
                // In the order of the push, nothing is told of before what it names, as far as that exists.
                for resource in &push.upserts {
                    for id in named(resource) {
                        prop_assert!(delta::find(&config, &id).is_none() || delta::find(has, &id).is_some(), "{id:?}");
                    }
                    delta::apply(has, Push { upserts: vec![resource.clone()], ..Push::default() });
                }
                for id in &push.removals {
                    prop_assert!(ids(has).contains(id));
                    delta::apply(has, Push { removals: vec![id.clone()], ..Push::default() });
                }
            }
            for gateway in (0..2).map(|number| id("gateway", number)) {
                let want = naive(&config, &gateway);
                prop_assert_eq!(proxies.get(&gateway).cloned().unwrap_or_default(), want.clone());
                prop_assert_eq!(fanout.config(&gateway).cloned().unwrap_or_default(), want);
            }
            version = fanout.version;
            before = config;
        }
    }
}

#[test]
fn a_change_of_one_gateway_is_not_told_to_another() {
    let sketch = |value| Sketch {
        listeners: [(0, (0, 0)), (1, (1, 0))].into(),
        routes: [(0, (vec![0], vec![0])), (1, (vec![1], vec![1]))].into(),
        clusters: [(0, (0, None)), (1, (1, None))].into(),
        endpoints: [(0, value), (1, 0)].into(),
        secrets: [(0, 0)].into(),
    };
    let (old, new) = (sketch(0).config(), sketch(1).config());
    let mut fanout = Fanout::new();
    assert_eq!(fanout.update(&old, &ids(&old)).len(), 2);
    let pushes = fanout.update(&new, &touched(&old, &new));
    assert_eq!(pushes.keys().map(|gateway| &**gateway).collect::<Vec<_>>(), ["gateway/0"]);
    assert_eq!(pushes["gateway/0"].upserts, [Resource::Endpoints(endpoints(0, 1))]);
    assert_eq!(fanout.versions()["gateway/0"], 2);
    assert_eq!(fanout.versions()["gateway/1"], 1);
    assert!(fanout.update(&new, &ids(&new)).is_empty(), "nothing differs");
}

/// Nothing but the listener names the cluster.
#[test]
fn what_filters_of_listeners_ask_comes_and_goes_with_them() {
    let sketch = Sketch {
        listeners: [(0, (0, 0)), (1, (1, 0))].into(),
        clusters: [(0, (0, None)), (1, (1, None))].into(),
        endpoints: [(0, 0), (1, 0)].into(),
        secrets: [(0, 0)].into(),
        ..Sketch::default()
    };
    let old = sketch.config();
    let mut new = old.clone();
    let auth = ExternalAuth {
        cluster: id("cluster", 1),
        authority: "auth".into(),
        protocol: AuthProtocol::Grpc { request_headers: vec![] },
        max_body: 0,
        timeout: Millis(1),
    };
    let filters = Some(ListenerFilters::Run(vec![Filter::ExternalAuth(auth)]));
    let filtered = Listener { filters, ..(*listener(0, 0, 0)).clone() };
    new.listeners.insert(id("listener", 0), Arc::new(filtered));
    let mut fanout = Fanout::new();
    fanout.update(&old, &ids(&old));
    assert!(fanout.config("gateway/0").is_some_and(|config| config.clusters.is_empty()));
    let pushes = fanout.update(&new, &touched(&old, &new));
    assert_eq!(pushes.keys().map(|gateway| &**gateway).collect::<Vec<_>>(), ["gateway/0"]);
    let held = fanout.config("gateway/0").expect("told");
    assert_eq!(held.clusters.keys().collect::<Vec<_>>(), [&id("cluster", 1)]);
    assert_eq!(held.endpoints.keys().collect::<Vec<_>>(), [&id("endpoints", 1)]);
    fanout.update(&old, &touched(&new, &old));
    assert!(fanout.config("gateway/0").is_some_and(|config| config.clusters.is_empty() && config.endpoints.is_empty()));
}
