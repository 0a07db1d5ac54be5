use super::*;
use fairlead_ir::{Backend, HeaderMatch, Method, QueryMatch, Timeouts};
use fairlead_route::{Entry, Probe, Table};
use proptest::prelude::*;
use std::sync::Arc;

fn route(id: &str, hosts: &[&str], m: RouteMatch) -> Route {
    Route {
        id: id.into(),
        name: "shop/cart".into(),
        rule: None,
        kind: if m.grpc.is_some() { RouteKind::Grpc } else { RouteKind::Http },
        listeners: vec!["gateway/shop/edge/http".into()],
        hostnames: hosts.iter().map(|&h| h.into()).collect(),
        matches: vec![m],
        order: Order { created: 0, object: id.into(), rule: 0 },
        filters: Vec::new(),
        backends: vec![Backend {
            weight: 1,
            target: BackendTarget::Cluster("service/shop/cart/80".into()),
            filters: Vec::new(),
            session: None,
        }],
        broken: None,
        timeouts: Timeouts::default(),
        retry: None,
    }
}

fn config(routes: Vec<Route>) -> Config {
    Config { routes: routes.into_iter().map(|r| (r.id.clone(), Arc::new(r))).collect(), ..Config::default() }
}

#[test]
fn rows_say_what_a_match_takes() {
    let full = RouteMatch {
        path: Some(PathMatch::Prefix("/cart".into())),
        method: Some(Method::Post),
        headers: vec![HeaderMatch { name: "x-env".into(), value: StringMatch::Exact("canary".into()) }],
        query: vec![QueryMatch { name: "v".into(), value: StringMatch::Regex("[0-9]+".into()) }],
        port: Some(8443),
        ..RouteMatch::default()
    };
    let grpc = MethodMatch { service: Some(StringMatch::Exact("shop.Cart".into())), method: None };
    let mut broken = route("httproute/shop/z/0", &["b.example"], RouteMatch::default());
    broken.broken = Some("unknown filter".into());
    let rows = rows(
        &config(vec![
            route("httproute/shop/cart/0", &["*.example"], full),
            route("grpcroute/shop/g/0", &[], RouteMatch { grpc: Some(grpc), ..RouteMatch::default() }),
            broken,
        ]),
        "",
        "",
    );
    let short: Vec<_> =
        rows.iter().map(|r| (&*r.host, &*r.path, &*r.method, r.conditions.join(" "), r.backends.join(" "))).collect();
    let cluster = "service/shop/cart/80".to_string();
    assert_eq!(
        short,
        [
            ("b.example", "*", "*", String::new(), "500 (unknown filter)".to_string()),
            ("*.example", "/cart/*", "POST", "x-env:=canary ?v~[0-9]+ port=8443".to_string(), cluster.clone()),
            ("*", "/shop.Cart/*", "*", String::new(), cluster),
        ]
    );
}

#[test]
fn filters_by_listener_and_name() {
    let config = config(vec![
        route("httproute/a/x/0", &[], RouteMatch::default()),
        route("httproute/b/y/0", &[], RouteMatch::default()),
    ]);
    assert_eq!(rows(&config, "", "/b/").len(), 1);
    assert_eq!(rows(&config, "nothing", "").len(), 0);
    assert_eq!(rows(&config, "shop", "").len(), 2);
}

/// Matches that all take `GET http://a.b.example/p/q?v=1` with `x-env: canary`, so that precedence alone decides.
fn any_match() -> impl Strategy<Value = RouteMatch> {
    let path = prop_oneof![
        Just(None),
        prop_oneof![Just("/"), Just("/p"), Just("/p/q")].prop_map(|p| Some(PathMatch::Prefix(p.into()))),
        Just(Some(PathMatch::Exact("/p/q".into()))),
        prop_oneof![Just("/p.*"), Just("/.*")].prop_map(|p| Some(PathMatch::Regex(p.into()))),
    ];
    (path, any::<bool>(), 0usize..3, 0usize..3).prop_map(|(path, method, headers, query)| RouteMatch {
        path,
        method: method.then_some(Method::Get),
        headers: ["x-a", "x-b"][..headers]
            .iter()
            .map(|&n| HeaderMatch { name: n.into(), value: StringMatch::Exact("1".into()) })
            .collect(),
        query: ["v", "w"][..query]
            .iter()
            .map(|&n| QueryMatch { name: n.into(), value: StringMatch::Exact("1".into()) })
            .collect(),
        ..RouteMatch::default()
    })
}

proptest! {
    /// The order of the rows is the order in which the proxy asks.
    #[test]
    fn rows_are_in_the_order_of_the_router(matches in proptest::collection::vec((any_match(), 0usize..4), 1..8)) {
        let hosts: [&[&str]; 4] = [&[], &["*.example"], &["*.b.example"], &["a.b.example"]];
        let routes: Vec<Route> = matches.into_iter().enumerate().map(|(i, (m, host))| route(&format!("httproute/shop/r{i}/0"), hosts[host], m)).collect();
        let table = Table::build(routes.iter().map(|r| Arc::new(Entry::compile(&Arc::new(r.clone()), ()).unwrap())));
        let probe = Probe {
            host: "a.b.example".into(),
            path: "/p/q".into(),
            query: Some("v=1&w=1".into()),
            method: "GET".into(),
            headers: vec![("x-a".into(), "1".into()), ("x-b".into(), "1".into())],
            port: 80,
        };
        let explanation = table.explain(&probe);
        let asked: Vec<String> = explanation.winner.iter().chain(&explanation.outranked).map(|taker| taker.route.to_string()).collect();
        let listed: Vec<String> = rows(&config(routes), "", "").into_iter().map(|row| row.route).collect();
        prop_assert_eq!(asked, listed);
    }
}
