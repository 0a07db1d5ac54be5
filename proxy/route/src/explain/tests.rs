//! What people are told.

use super::{Criterion, Predicate};
use crate::tests::{Also, call, exact, get, grpc, prefix, regex, route, rpc, table};
use fairlead_ir::{Method, Order, Route, RouteMatch};

#[test]
fn the_deciding_criterion_is_named() {
    let older = |r: Route| Route { order: Order { created: -1, ..r.order.clone() }, ..r };
    let cases: Vec<(Route, Route, Criterion)> = vec![
        (route("w/0", &["a.x"], vec![]), older(route("l/0", &["*.x"], vec![exact("/p")])), Criterion::HostnameType),
        (route("w/0", &["*.x"], vec![]), route("l/0", &[], vec![]), Criterion::HostnameType),
        (route("w/0", &["*.x"], vec![]), route("l/0", &["*.x", "*.y"], vec![]), Criterion::Name),
        (route("w/0", &[], vec![exact("/p")]), older(route("l/0", &[], vec![prefix("/p")])), Criterion::PathType),
        (route("w/0", &[], vec![regex("/.*")]), older(route("l/0", &[], vec![prefix("/p")])), Criterion::PathType),
        (route("w/0", &[], vec![prefix("/p")]), older(route("l/0", &[], vec![prefix("/")])), Criterion::PathLength),
        (
            route("w/0", &[], vec![prefix("/").method(Method::Get)]),
            older(route("l/0", &[], vec![prefix("/").header("h", "1")])),
            Criterion::Method,
        ),
        (
            route("w/0", &[], vec![prefix("/").header("h", "1")]),
            older(route("l/0", &[], vec![prefix("/").query("q", "1")])),
            Criterion::Headers,
        ),
        (route("w/0", &[], vec![prefix("/").query("q", "1")]), older(route("l/0", &[], vec![])), Criterion::Query),
        (older(route("z/0", &[], vec![])), route("a/0", &[], vec![]), Criterion::Age),
        (route("a/1", &[], vec![]), route("a/2", &[], vec![]), Criterion::Rule),
    ];
    for (winner, mut loser, criterion) in cases {
        if criterion == Criterion::Name {
            loser.order.object = "zz".into();
        }
        let explanation = table(&[loser.clone(), winner.clone()]).explain(&get("a.x/p?q=1").with("h", "1"));
        assert_eq!(explanation.because, Some(criterion), "{winner:?} {loser:?}");
        assert_eq!(explanation.winner.unwrap().route, winner.id);
        assert_eq!(explanation.outranked[0].lost_by, Some(criterion));
        assert!(explanation.outranked[0].text.is_some());
    }
}

#[test]
fn the_longer_host_name_and_the_kind_are_criteria() {
    let explanation =
        table(&[route("s/0", &["*.x"], vec![]), route("l/0", &["*.a.x"], vec![])]).explain(&get("b.a.x/"));
    assert_eq!(explanation.because, Some(Criterion::HostnameLength));
    assert_eq!(
        explanation.outranked[0].text.as_deref(),
        Some("host name *.x is less specific for `b.a.x` than host name *.a.x")
    );
    let explanation = table(&[route("w/0", &[], vec![]), grpc("g/0", &[], vec![])]).explain(&call("h/a/b"));
    assert_eq!(explanation.because, Some(Criterion::Kind));
    let table = table(&[
        grpc("s/0", &[], vec![rpc(Some("p.S"), None)]),
        grpc("m/0", &[], vec![rpc(Some("p.S"), Some("M"))]),
        grpc("n/0", &[], vec![]),
    ]);
    let explanation = table.explain(&call("h/p.S/M"));
    assert_eq!(explanation.winner.unwrap().matched, "gRPC service = p.S, gRPC method = M");
    let lost: Vec<_> = explanation.outranked.iter().map(|t| (&*t.route, t.lost_by)).collect();
    assert_eq!(lost, [("s/0", Some(Criterion::GrpcMethod)), ("n/0", Some(Criterion::Service))]);
}

#[test]
fn each_miss_names_its_first_failed_predicate() {
    let with_port = RouteMatch { port: Some(443), ..prefix("/cart") };
    let table = table(&[
        route("host/0", &["other.example"], vec![]),
        route("path/0", &["shop.example"], vec![prefix("/cars")]),
        route("method/0", &["shop.example"], vec![prefix("/cart").method(Method::Post)]),
        route("header/0", &["shop.example"], vec![prefix("/cart").header("x-env", "canary")]),
        route("absent/0", &["shop.example"], vec![prefix("/").header("x-user", "me")]),
        route("query/0", &["shop.example"], vec![prefix("/cart").query("x", "2")]),
        route("port/0", &["shop.example"], vec![with_port]),
        grpc("grpc/0", &["shop.example"], vec![]),
    ]);
    let explanation = table.explain(&get("shop.example/cart?x=1").with("x-env", "prod"));
    assert_eq!(explanation.winner, None);
    let told: Vec<_> = explanation.missed.iter().map(|m| (&*m.route, m.failed.clone(), m.text.as_str())).collect();
    let expected = [
        ("port/0", Predicate::Port, "port is 80, not 443"),
        ("query/0", Predicate::Query("x".into()), "query parameter x is `1`; wanted = 2"),
        ("header/0", Predicate::Header("x-env".into()), "header x-env is `prod`; wanted = canary"),
        ("absent/0", Predicate::Header("x-user".into()), "there is no header x-user; wanted = me"),
        ("method/0", Predicate::Method, "method is `GET`, not POST"),
        ("path/0", Predicate::Path, "path `/cart` does not match path prefix /cars"),
        ("grpc/0", Predicate::Grpc, "a GRPCRoute takes only requests with content-type application/grpc"),
        ("host/0", Predicate::Host, "host `shop.example` is not among other.example"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn the_match_that_gets_furthest_is_told() {
    let table = table(&[route(
        "r/0",
        &[],
        vec![prefix("/x"), prefix("/cart").header("h", "1"), prefix("/cart").method(Method::Post)],
    )]);
    let miss = &table.explain(&get("a/cart")).missed[0];
    assert_eq!((miss.match_index, &miss.failed), (1, &Predicate::Header("h".into())));
}

#[test]
fn hostile_bytes_are_escaped_and_cut() {
    let table = table(&[route("r/0", &[], vec![exact("/x")])]);
    let text = &table.explain(&get(&format!("a/\x1b[31m{}", "y".repeat(500)))).missed[0].text;
    assert!(text.starts_with(r"path `/\x1b[31myyy") && text.contains('…') && text.len() < 200, "{text}");
}

#[test]
fn it_serialises() {
    let table =
        table(&[route("r/0", &["*.x"], vec![prefix("/p")]), route("s/0", &[], vec![exact("/q").query("k", "v")])]);
    let json = serde_json::to_value(table.explain(&get("a.x/p/1"))).unwrap();
    assert_eq!(json["winner"]["route"], "r/0");
    assert_eq!(json["winner"]["hostname"], "*.x");
    assert_eq!(json["winner"]["matched"], "path prefix /p");
    assert_eq!(json["winner"]["prefixLen"], 2);
    assert_eq!(json["missed"][0]["failed"], "path");
}
