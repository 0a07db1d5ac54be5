//! [`crate::Table`] against the oracle, on small alphabets so that routes collide.

use super::{entry, grpc, route, table};
use crate::{Probe, oracle};
use fairlead_ir::{HeaderMatch, Id, Method, MethodMatch, Order, PathMatch, QueryMatch, Route, RouteMatch, StringMatch};
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::select;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn finds_what_the_specification_says(routes in routes(), requests in vec(request(), 1..20)) {
        let table = table(&routes);
        for request in &requests {
            let expected = oracle::route(&routes, request);
            let hit = table.find(request);
            prop_assert_eq!(hit.as_ref().map(|h| (&**h.id, h.match_index)), expected, "{:?}", request);
            let explanation = table.explain(request);
            let winner = explanation.winner.as_ref().map(|w| (&*w.route, w.match_index));
            prop_assert_eq!(winner, expected);
            prop_assert_eq!(explanation.winner.as_ref().and_then(|w| w.prefix_len), hit.and_then(|h| h.prefix_len));
            let told = usize::from(winner.is_some()) + explanation.outranked.len() + explanation.missed.len();
            prop_assert_eq!(told, routes.len(), "every route is told of once");
            prop_assert_eq!(explanation.because.is_some(), !explanation.outranked.is_empty());
        }
    }

    #[test]
    fn updates_end_where_a_build_does(
        start in routes(),
        changes in vec((vec(select((0..24).collect::<Vec<usize>>()), 0..3), routes()), 1..4),
        requests in vec(request(), 1..10),
    ) {
        let mut routes = start;
        let mut updated = table(&routes);
        for (removed, upserted) in changes {
            let removed: Vec<Id> = removed.into_iter().map(id).collect();
            updated = updated.update(&removed, upserted.iter().map(entry));
            routes.retain(|r| !removed.contains(&r.id) && !upserted.iter().any(|u| u.id == r.id));
            routes.extend(upserted);
            prop_assert_eq!(updated.len(), routes.len());
            for request in &requests {
                let hit = updated.find(request).map(|h| (&**h.id, h.match_index));
                prop_assert_eq!(hit, oracle::route(&routes, request), "{:?}", request);
            }
        }
    }
}

/// The best of those that lost, with the winner gone, is the winner.
#[test]
fn the_runner_up_takes_over() {
    proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) }, |(routes in routes(), request in request())| {
        let before = table(&routes);
        let explanation = before.explain(&request);
        if let Some(winner) = &explanation.winner {
            let after = before.update(std::slice::from_ref(&winner.route), []);
            let next = explanation.outranked.first().map(|t| (&*t.route, t.match_index));
            prop_assert_eq!(after.find(&request).map(|h| (&**h.id, h.match_index)), next);
        }
    });
}

fn id(index: usize) -> Id {
    format!("ns/r{}/{}", index / 3, index % 3).into()
}

/// Routes with ids of their own.
fn routes() -> impl Strategy<Value = Vec<Route>> {
    let one =
        (0..24_usize, any::<bool>(), vec(hostname(), 0..3), 0..2_i64, vec(http_match(), 0..4), vec(grpc_match(), 0..3));
    let one = one.prop_map(|(index, is_grpc, hostnames, created, http, rpcs)| {
        let id = id(index);
        // One route in four is a GRPCRoute.
        let base = if is_grpc && index % 2 == 0 { grpc(&id, &hostnames, rpcs) } else { route(&id, &hostnames, http) };
        Route { order: Order { created, ..base.order.clone() }, ..base }
    });
    vec(one, 0..16).prop_map(|mut routes| {
        let mut seen = std::collections::HashSet::new();
        routes.retain(|r| seen.insert(r.id.clone()));
        routes
    })
}

fn hostname() -> impl Strategy<Value = &'static str> {
    select(vec!["a.x", "b.x", "c.a.x", "x", "*.x", "*.a.x", "*.c.a.x", "*.y"])
}

fn http_match() -> impl Strategy<Value = RouteMatch> {
    let path = of(prop_oneof![
        path().prop_map(|p| PathMatch::Exact(p.into())),
        path().prop_map(|p| PathMatch::Prefix(p.into())),
        path().prop_map(|p| PathMatch::Prefix(p.into())),
        select(vec!["/a.*", "/[ab]/b?", "/a|/a/b", ".*", "/.", r"/\w(/b)*/?"]).prop_map(|p| PathMatch::Regex(p.into())),
    ]);
    let method = weighted(0.2, select(vec![Method::Get, Method::Post]));
    let port = weighted(0.1, select(vec![80, 8080]));
    (path, method, fields(), fields(), port).prop_map(|(path, method, headers, query, port)| RouteMatch {
        path,
        method,
        grpc: None,
        headers: headers.into_iter().map(|(name, value)| HeaderMatch { name, value }).collect(),
        query: query.into_iter().map(|(name, value)| QueryMatch { name, value }).collect(),
        port,
    })
}

fn grpc_match() -> impl Strategy<Value = RouteMatch> {
    let text = || of(prop_oneof![exact("a"), exact("b"), exact("ab"), pattern("a.*"), pattern("[ab]")]);
    let method = of((text(), text()).prop_filter("one of them", |(s, m)| s.is_some() || m.is_some()));
    let method = method.prop_map(|m| m.map(|(service, method)| MethodMatch { service, method }));
    (method, fields()).prop_map(|(grpc, headers)| RouteMatch {
        grpc,
        headers: headers.into_iter().map(|(name, value)| HeaderMatch { name, value }).collect(),
        ..RouteMatch::default()
    })
}

/// Predicates on headers or query parameters, with unique names.
fn fields() -> impl Strategy<Value = Vec<(Box<str>, StringMatch)>> {
    let value = || weighted(0.3, prop_oneof![exact("1"), exact("1,1"), exact("a b"), pattern("[12]"), pattern("1.*")]);
    (value(), value()).prop_map(|(k, l)| {
        let named = [("k", k), ("l", l)].into_iter();
        named.filter_map(|(name, value)| value.map(|v| (name.into(), v))).collect()
    })
}

fn exact(text: &'static str) -> BoxedStrategy<StringMatch> {
    Just(StringMatch::Exact(text.into())).boxed()
}

fn pattern(text: &'static str) -> BoxedStrategy<StringMatch> {
    Just(StringMatch::Regex(text.into())).boxed()
}

fn path() -> impl Strategy<Value = String> {
    vec(select(vec!["a", "b", "ab", "a", ""]), 0..4).prop_map(|segments| format!("/{}", segments.join("/")))
}

fn request() -> impl Strategy<Value = Probe> {
    let host = select(vec!["a.x", "b.x", "c.a.x", "d.c.a.x", "x", "z.y", "y", "", ".x"]);
    let headers = vec((select(vec!["k", "l", "m"]), select(vec!["1", "2", "1,1", "12", "a b", ""])), 0..4);
    let content_type =
        weighted(0.4, select(vec!["application/grpc", "application/grpc+proto", "application/grpc-web"]));
    let pair = (select(vec!["k", "l", "%6b", "m"]), select(vec!["1", "2", "1%2C1", "a+b", "a%20b", "3"]))
        .prop_map(|(k, v)| format!("{k}={v}"));
    let query = of(vec(pair, 0..4).prop_map(|pairs| pairs.join("&")));
    let method = select(vec!["GET", "POST", "BREW"]);
    (host, path(), query, method, headers, content_type, select(vec![80, 8080])).prop_map(
        |(host, path, query, method, headers, content_type, port)| {
            let headers = headers.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned()));
            let content_type = content_type.map(|t| ("content-type".to_owned(), t.to_owned()));
            Probe {
                host: host.into(),
                path,
                query,
                method: method.into(),
                headers: headers.chain(content_type).collect(),
                port,
            }
        },
    )
}
