//! Filters of listeners (GEP-5224).

use crate::house::{answer, house, http, route};
use fairlead_ir as ir;
use fairlead_testkit::Backend;

fn run(filters: Vec<ir::Filter>) -> Option<ir::ListenerFilters> {
    Some(ir::ListenerFilters::Run(filters))
}

fn for_tenant(name: &str) -> ir::Route {
    let header = ir::HeaderMatch { name: "x-tenant".into(), value: ir::StringMatch::Exact(name.into()) };
    let matches = vec![ir::RouteMatch { headers: vec![header], ..ir::RouteMatch::default() }];
    let set = vec![ir::HeaderValue { name: "x-route".into(), value: name.into() }];
    let filters = vec![ir::Filter::ResponseHeaders(ir::HeaderMods { set, ..ir::HeaderMods::default() })];
    ir::Route { matches, filters, ..route(name) }
}

#[test]
fn routes_are_found_by_what_the_service_says() {
    let service = Backend::start(|request| match request.headers("authorization")[..] {
        [tenant] => answer(200, &format!("x-tenant: {tenant}\nhost: evil.example"), ""),
        _ => answer(401, "", "who?"),
    });
    let house = house(&[service.address], |routes, listener| {
        *routes = vec![for_tenant("red"), for_tenant("blue")];
        listener.filters = run(vec![ir::Filter::ExternalAuth(http("", &[], &["x-tenant"]))]);
    });
    let mut wire = house.wire();
    for tenant in ["red", "blue"] {
        wire.send(format!(
            "GET /a HTTP/1.1\r\nHost: shop.example.com\r\nAuthorization: {tenant}\r\nX-Tenant: red\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n"
        ));
        let answer = wire.response(false).unwrap();
        assert_eq!((answer.status, answer.header("x-route")), (200, Some(tenant)));
        let text = answer.text();
        assert!(text.contains("host: shop.example.com\r\n"), "{text}");
        // What is said of the client is said once.
        assert_eq!(text.matches("127.0.0.1").count(), 1, "{text}");
        assert_eq!(text.matches("x-request-id").count(), 1, "{text}");
    }
    wire.send("GET /a HTTP/1.1\r\nHost: a\r\nAuthorization: green\r\n\r\n");
    assert_eq!(wire.response(false).unwrap().status, 404);
    // Refused: no route is looked for.
    wire.send("GET /a HTTP/1.1\r\nHost: a\r\nX-Tenant: red\r\n\r\n");
    let refused = wire.response(false).unwrap();
    assert_eq!((refused.status, refused.text().as_str(), refused.header("x-route")), (401, "who?", None));
    assert_eq!(house.through(), 2);
}

#[test]
fn filters_run_in_order_before_those_of_the_rule() {
    let service = Backend::start(|request| {
        let step = request.headers("x-step").first().map_or(0, |step| step.parse::<u32>().unwrap());
        answer(200, &format!("x-step: {}", step + 1), "")
    });
    let ask = || ir::Filter::ExternalAuth(http("", &["x-step"], &["x-step"]));
    let rewrite = ir::PathRewrite::Regex { pattern: "^/v1/(.*)$".into(), substitution: r"/v2/\1".into() };
    let house = house(&[service.address], |routes, listener| {
        listener.filters =
            run(vec![ask(), ir::Filter::Rewrite(ir::Rewrite { hostname: None, path: Some(rewrite) }), ask()]);
        routes[0].filters = vec![ask()];
        routes[0].matches =
            vec![ir::RouteMatch { path: Some(ir::PathMatch::Prefix("/v2".into())), ..ir::RouteMatch::default() }];
    });
    let text = house.wire().get("a", "/v1/x").text();
    assert!(text.starts_with("GET /v2/x HTTP/1.1\r\n") && text.contains("x-step: 3\r\n"), "{text}");
    let paths: Vec<_> = service.seen().requests.iter().map(|request| request.path().to_owned()).collect();
    assert_eq!(paths, ["/v1/x", "/v2/x", "/v2/x"]);
}

#[test]
fn a_rewritten_path_is_normal_again() {
    let rewrite = ir::PathRewrite::Regex { pattern: "^/files".into(), substitution: "/public/x/..".into() };
    let house = house(&[], |routes, listener| {
        listener.filters = run(vec![ir::Filter::Rewrite(ir::Rewrite { hostname: None, path: Some(rewrite) })]);
        routes[0].matches =
            vec![ir::RouteMatch { path: Some(ir::PathMatch::Prefix("/public".into())), ..ir::RouteMatch::default() }];
    });
    let answer = house.wire().get("a", "/files/a");
    assert!(answer.text().starts_with("GET /public/a HTTP/1.1\r\n"), "{}", answer.text());
}

#[test]
fn an_answer_of_a_filter_is_the_end() {
    let service = Backend::answering();
    let house = house(&[service.address], |_, listener| {
        let direct = ir::DirectResponse { status: 418, content_type: None, body: Some("short".into()) };
        listener.filters = run(vec![ir::Filter::DirectResponse(direct), ir::Filter::ExternalAuth(http("", &[], &[]))]);
    });
    let answer = house.wire().get("a", "/");
    assert_eq!((answer.status, answer.text().as_str()), (418, "short"));
    assert_eq!((service.seen().requests.len(), house.through()), (0, 0));
}

#[test]
fn what_does_not_resolve_lets_nothing_past() {
    let house = house(&[], |_, listener| {
        listener.filters = Some(ir::ListenerFilters::Broken("there is no Service".into()));
    });
    assert_eq!(house.wire().get("a", "/").status, 500);
    assert_eq!(house.through(), 0);
}
