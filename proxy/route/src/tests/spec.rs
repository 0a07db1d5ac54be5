//! The specification's own examples, and those of its conformance tests.

use super::{Also, call, exact, found, get, grpc, prefix, regex, route, rpc, table};
use crate::Probe;
use fairlead_ir::{HeaderMatch, Method, MethodMatch, Order, QueryMatch, Route, RouteMatch, StringMatch};

#[test]
fn a_prefix_ends_where_a_segment_ends() {
    let table = table(&[route("abc/0", &[], vec![prefix("/abc")]), route("trailing/0", &[], vec![prefix("/v2/")])]);
    for path in ["/abc", "/abc/", "/abc/def", "/abc//def"] {
        assert_eq!(found(&table, &get(&format!("a{path}"))), Some("abc/0"), "{path}");
    }
    for path in ["/abcd", "/ab", "/", "/ABC", "/v2example", "/x/abc"] {
        assert_eq!(found(&table, &get(&format!("a{path}"))), None, "{path}");
    }
    for path in ["/v2", "/v2/", "/v2/x"] {
        assert_eq!(found(&table, &get(&format!("a{path}"))), Some("trailing/0"), "{path}");
    }
}

#[test]
fn an_exact_path_is_exact() {
    let table = table(&[route("r/0", &[], vec![exact("/abc")])]);
    assert_eq!(found(&table, &get("a/abc")), Some("r/0"));
    for path in ["/abc/", "/Abc", "/abcd", "/"] {
        assert_eq!(found(&table, &get(&format!("a{path}"))), None, "{path}");
    }
}

#[test]
fn prefix_len_is_what_a_rewrite_replaces() {
    let table = table(&[
        route("root/0", &[], vec![prefix("/")]),
        route("foo/0", &[], vec![prefix("/foo/")]),
        route("exact/0", &[], vec![exact("/foo/exact")]),
        route("any/0", &["any.example"], vec![]),
    ]);
    let len = |url| table.find(&get(url)).unwrap().prefix_len;
    assert_eq!(len("a/foo/bar"), Some(4));
    assert_eq!(len("a/foo"), Some(4));
    assert_eq!(len("a/bar"), Some(0));
    assert_eq!(len("a/foo/exact"), None);
    assert_eq!(len("any.example/x"), Some(0));
}

/// conformance: HTTPRoutePathMatchOrder
#[test]
fn exact_then_longest_prefix_whatever_the_order() {
    let mut routes = vec![
        route("r/0", &[], vec![exact("/match")]),
        route("r/1", &[], vec![exact("/match/exact")]),
        route("r/2", &[], vec![exact("/match/exact/one")]),
        route("r/3", &[], vec![prefix("/match/")]),
        route("r/4", &[], vec![prefix("/match/prefix")]),
        route("r/5", &[], vec![prefix("/match/prefix/one")]),
        route("r/6", &[], vec![prefix("/")]),
    ];
    for _ in 0..2 {
        let table = table(&routes);
        for (path, expected) in [
            ("/match", "r/0"),
            ("/match/exact", "r/1"),
            ("/match/exact/one", "r/2"),
            ("/match/any", "r/3"),
            ("/match/", "r/3"),
            ("/match/prefix", "r/4"),
            ("/match/prefix/any", "r/4"),
            ("/match/prefix/one/any", "r/5"),
            ("/other", "r/6"),
        ] {
            assert_eq!(found(&table, &get(&format!("a{path}"))), Some(expected), "{path}");
        }
        routes.reverse();
    }
}

/// conformance: HTTPRouteMethodMatching; "Method match" goes before headers, these before query parameters.
#[test]
fn method_then_headers_then_query() {
    let table = table(&[
        route("a/0", &[], vec![prefix("/").query("q", "1").query("r", "1")]),
        route("a/1", &[], vec![prefix("/").header("x", "1")]),
        route("a/2", &[], vec![prefix("/").header("x", "1").header("y", "1")]),
        route("a/3", &[], vec![prefix("/").method(Method::Get)]),
        route("a/4", &[], vec![prefix("/path")]),
        route("a/5", &[], vec![prefix("/").query("q", "1")]),
    ]);
    let all = get("h/?q=1&r=1").with("x", "1").with("y", "1");
    assert_eq!(found(&table, &all), Some("a/3"));
    assert_eq!(found(&table, &all.clone().by("POST")), Some("a/2"));
    assert_eq!(found(&table, &get("h/?q=1&r=1").with("x", "1").by("POST")), Some("a/1"));
    assert_eq!(found(&table, &get("h/?q=1&r=1").by("POST")), Some("a/0"));
    assert_eq!(found(&table, &get("h/?q=1&r=2").by("POST")), Some("a/5"));
    assert_eq!(found(&table, &get("h/path?q=1").with("x", "1")), Some("a/4"));
    assert_eq!(found(&table, &get("h/").by("POST")), None);
    assert_eq!(found(&table, &get("h/").by("get")), None, "methods are case-sensitive");
}

/// conformance: HTTPRouteRuleOrder; ties go to the older object, then by name, then to the earlier rule.
#[test]
fn ties_go_to_the_older_then_by_name_then_by_rule() {
    let with = |id: &str, created| {
        let route = route(id, &[], vec![prefix("/").header("a", "1").header("b", "2")]);
        Route { order: Order { created, ..route.order.clone() }, ..route }
    };
    let request = get("h/").with("a", "1").with("b", "2");
    let mut routes = vec![with("ns/b/1", 5), with("ns/b/0", 5), with("ns/a/0", 5), with("zz/z/0", 4)];
    for expected in ["zz/z/0", "ns/a/0", "ns/b/0", "ns/b/1"] {
        assert_eq!(found(&table(&routes), &request), Some(expected));
        routes.retain(|r| &*r.id != expected);
    }
}

/// conformance: HTTPRouteMultipleRoutesAttachmentSameHostnameIntersection
#[test]
fn a_request_falls_through_to_the_next_host_name() {
    let young = |r: Route| Route { order: Order { created: 9, ..r.order.clone() }, ..r };
    let table = table(&[
        young(route("exact/0", &["a.b.example.com"], vec![prefix("/one")])),
        route("long/0", &["*.b.example.com"], vec![prefix("/one/two"), exact("/x")]),
        route("short/0", &["*.example.com"], vec![prefix("/one/two/three"), prefix("/only/short")]),
        route("none/0", &[], vec![exact("/one"), prefix("/")]),
    ]);
    for (url, expected) in [
        ("a.b.example.com/one/two/three", "exact/0"),
        ("a.b.example.com/x", "long/0"),
        ("a.b.example.com/only/short", "short/0"),
        ("a.b.example.com/other", "none/0"),
        ("c.b.example.com/one/two/three", "long/0"),
        ("c.b.example.com/one", "none/0"),
        ("b.example.com/one/two/three", "short/0"),
        ("b.example.com/one/two", "none/0"),
        ("example.com/one/two/three", "none/0"),
        ("example.org/one", "none/0"),
    ] {
        assert_eq!(found(&table, &get(url)), Some(expected), "{url}");
    }
}

#[test]
fn a_route_with_several_host_names_is_under_each() {
    let table = table(&[route("r/0", &["a.x", "*.y", "a.x"], vec![]), route("s/0", &["*.x"], vec![])]);
    assert_eq!(found(&table, &get("a.x/")), Some("r/0"));
    assert_eq!(found(&table, &get("b.x/")), Some("s/0"));
    assert_eq!(found(&table, &get("q.r.y/")), Some("r/0"));
    assert_eq!(found(&table, &get("y/")), None);
}

#[test]
fn a_regular_expression_is_between_exact_and_prefix_and_matches_whole() {
    let table = table(&[
        route("exact/0", &[], vec![exact("/v1/users")]),
        route("long/0", &[], vec![regex(r"/v\d+/(users|groups)")]),
        route("short/0", &[], vec![regex(r"/v\d/.*")]),
        route("alternatives/0", &[], vec![regex("/a|/ab")]),
        route("prefix/0", &[], vec![prefix("/v1/users/7/very/long")]),
    ]);
    for (path, expected) in [
        ("/v1/users", Some("exact/0")),
        ("/v2/users", Some("long/0")),
        ("/v22/groups", Some("long/0")),
        ("/v1/users/7/very/long", Some("short/0")),
        ("/v1/", Some("short/0")),
        ("/v11/x", None),
        ("/x/v1/users", None),
        ("/ab", Some("alternatives/0")),
        ("/a", Some("alternatives/0")),
        ("/abc", None),
    ] {
        assert_eq!(found(&table, &get(&format!("h{path}"))), expected, "{path}");
    }
}

#[test]
fn several_fields_of_a_name_are_joined() {
    let table = table(&[
        route("joined/0", &[], vec![RouteMatch::default().header("x", "a,b,c")]),
        route("single/0", &[], vec![RouteMatch::default().header("x", "a")]),
    ]);
    assert_eq!(found(&table, &get("h/").with("x", "a").with("y", "q").with("x", "b").with("x", "c")), Some("joined/0"));
    assert_eq!(found(&table, &get("h/").with("x", "a,b").with("x", "c")), Some("joined/0"));
    assert_eq!(found(&table, &get("h/").with("x", "a")), Some("single/0"));
    assert_eq!(found(&table, &get("h/").with("x", "a").with("x", "b")), None);
}

#[test]
fn header_and_query_regular_expressions_match_whole_values() {
    let text = |pattern: &str| StringMatch::Regex(pattern.into());
    let header = HeaderMatch { name: "x".into(), value: text("v[0-9]") };
    let query = QueryMatch { name: "k".into(), value: text("a b.*") };
    let table = table(&[
        route("header/0", &[], vec![RouteMatch { headers: vec![header], ..RouteMatch::default() }]),
        route("query/0", &[], vec![RouteMatch { query: vec![query], ..RouteMatch::default() }]),
    ]);
    assert_eq!(found(&table, &get("h/").with("x", "v1")), Some("header/0"));
    assert_eq!(found(&table, &get("h/").with("x", "v12")), None);
    assert_eq!(found(&table, &get("h/?k=a+b%20c")), Some("query/0"));
    assert_eq!(found(&table, &get("h/?k=za+b")), None);
    assert_eq!(found(&table, &get("h/?j=1&k=nope&k=a+b")), None, "the first of a name counts");
}

#[test]
fn the_port_is_the_listeners() {
    let table = table(&[route("r/0", &[], vec![RouteMatch { port: Some(8080), ..RouteMatch::default() }])]);
    assert_eq!(found(&table, &get("h/")), None);
    assert_eq!(found(&table, &Probe { port: 8080, ..get("h/") }), Some("r/0"));
}

#[test]
fn everything_takes_paths_that_are_none() {
    let table = table(&[route("r/0", &[], vec![])]);
    assert_eq!(found(&table, &Probe { path: "*".into(), ..get("h/").by("OPTIONS") }), Some("r/0"));
    assert_eq!(found(&table, &Probe { path: String::new(), ..get("h/").by("CONNECT") }), Some("r/0"));
}

/// conformance: GRPCExactMethodMatching, GRPCRouteHeaderMatching
#[test]
fn grpc_service_then_method_then_headers() {
    let method_regex = MethodMatch {
        service: Some(StringMatch::Exact("p.Echo".into())),
        method: Some(StringMatch::Regex("G.*".into())),
    };
    let service_regex = MethodMatch { service: Some(StringMatch::Regex(r"p\..*".into())), method: None };
    let rpc_match = |grpc| RouteMatch { grpc: Some(grpc), ..RouteMatch::default() };
    let table = table(&[
        grpc("any/0", &[], vec![]),
        grpc("method/0", &[], vec![rpc(None, Some("Get"))]),
        grpc("sregex/0", &[], vec![rpc_match(service_regex)]),
        grpc("service/0", &[], vec![rpc(Some("p.Echo"), None)]),
        grpc("header/0", &[], vec![rpc(Some("p.Echo"), None).header("x", "1")]),
        grpc("mregex/0", &[], vec![rpc_match(method_regex)]),
        grpc("exact/0", &[], vec![rpc(Some("p.Echo"), Some("Get"))]),
    ]);
    for (path, expected) in [
        ("/p.Echo/Get", "exact/0"),
        ("/p.Echo/Give", "mregex/0"),
        ("/p.Echo/Put", "service/0"),
        ("/p.Other/Put", "sregex/0"),
        ("/q.Other/Get", "method/0"),
        ("/q.Other/Put", "any/0"),
        ("/p.Echo/Get/More", "any/0"),
        ("/p.Echo/", "any/0"),
        ("/", "any/0"),
    ] {
        assert_eq!(found(&table, &call(&format!("h{path}"))), Some(expected), "{path}");
    }
    assert_eq!(found(&table, &call("h/p.Echo/Put").with("x", "1")), Some("header/0"));
    assert_eq!(found(&table, &get("h/p.Echo/Get")), None, "not a gRPC request");
}

#[test]
fn grpc_and_http_routes_share_a_host_name() {
    let table = table(&[
        route("web/0", &["h"], vec![exact("/p.Echo/Get"), prefix("/")]),
        grpc("rpc/0", &["h"], vec![rpc(Some("p.Echo"), None)]),
        route("other/0", &["*.h"], vec![]),
        grpc("wide/0", &[], vec![]),
    ]);
    assert_eq!(found(&table, &call("h/p.Echo/Get")), Some("rpc/0"));
    assert_eq!(found(&table, &get("h/p.Echo/Get")), Some("web/0"));
    assert_eq!(found(&table, &call("h/q.Echo/Get")), Some("web/0"));
    assert_eq!(found(&table, &call("a.h/q.Echo/Get")), Some("other/0"), "the host name goes before the kind");
    assert_eq!(found(&table, &call("x/q.Echo/Get")), Some("wide/0"));
}

#[test]
fn grpc_is_told_by_its_content_type() {
    let table = table(&[grpc("rpc/0", &[], vec![])]);
    for (content_type, is_grpc) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpc;charset=utf-8", true),
        ("Application/GRPC", true),
        ("application/grpc-web", false),
        ("application/grpc-web+proto", false),
        ("application/grpcx", false),
        ("application/gr", false),
        ("text/plain", false),
    ] {
        let request = get("h/a/b").with("content-type", content_type);
        assert_eq!(found(&table, &request).is_some(), is_grpc, "{content_type}");
    }
}
