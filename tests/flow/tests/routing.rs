//! Which rule takes a request: examples `http-routing` and `traffic-splitting`, and the specification's rules beyond them.

use fairlead_test_flow::{Setup, Stage};
use fairlead_testkit::{Ask, Client, Content, Shared, Version, wait_until};
use std::collections::BTreeMap;
use std::time::Duration;

#[test]
fn the_example_of_matches() {
    let stage = Setup::example("http-routing").echo(3000, "one").echo(3001, "two").start();
    let shop = |path: &str| stage.get(8080, "shop.example.com", path);
    let rule = |answer: fairlead_testkit::Answer, path: &str| {
        assert_eq!(answer.status, 200, "{path}");
        stage.proxy.log_of(path)["route_name"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(rule(shop("/items/1?a=1"), "/items/1?a=1"), "httproute/default/shop/0");
    assert_eq!(rule(shop("/v12/items"), "/v12/items"), "httproute/default/shop/0");
    // A regular expression is about the whole path, a prefix about whole segments.
    assert_eq!(rule(shop("/v12/items/1"), "/v12/items/1"), "httproute/default/shop/2");
    assert_eq!(rule(shop("/itemsx"), "/itemsx"), "httproute/default/shop/2");
    let post = Ask::new("POST", "/items/2").host("shop.example.com").content(Content::Sized("x".into()));
    assert_eq!(rule(stage.ask(8080, &post), "/items/2"), "httproute/default/shop/2");
    let beta = |path: &str| stage.pod_of(8080, &Ask::get(path).host("shop.example.com").header("x-env", "beta"));
    assert_eq!(beta("/search?q=a"), "two");
    assert_eq!(beta("/search?q="), "one");
    assert_eq!(beta("/search"), "one");
    assert_eq!(stage.pod(8080, "shop.example.com", "/search?q=a"), "one");
    assert_eq!(stage.pod(8080, "elsewhere.net", "/items"), "404");
    // The example of precedence.
    for (path, pod) in [("/pay", "one"), ("/pay/help", "one"), ("/about", "two"), ("/other", "404")] {
        assert_eq!(stage.pod(8080, "pay.example.com", path), pod, "{path}");
    }
    for (path, pod) in [("/pay", "404"), ("/pay/help", "two"), ("/about", "two")] {
        assert_eq!(stage.pod(8080, "any.example.com", path), pod, "{path}");
    }
}

#[test]
fn the_example_of_splitting() {
    let stage = Setup::example("traffic-splitting").echo(3000, "old").echo(3001, "new").echo(3002, "oldest").start();
    let tester = Ask::get("/").header("x-version", "new");
    assert_eq!(stage.pod_of(8080, &tester), "new");
    let mut counts = BTreeMap::<String, u32>::new();
    let mut client = Client::connect(Version::H1, stage.proxy.address(8080));
    for _ in 0..1000 {
        *counts.entry(fairlead_test_flow::pod(&client.ask(&Ask::get("/")).whole())).or_default() += 1;
    }
    // Binomial with 100 ± 9.5; six standard deviations.
    let new = counts.get("new").copied().unwrap_or_default();
    assert!((43..157).contains(&new), "{counts:?}");
    assert_eq!(counts.get("old").copied().unwrap_or_default() + new, 1000, "{counts:?}");
}

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: fairlead
  listeners: [{name: http, protocol: HTTP, port: 8080}]
---
apiVersion: fairlead.dev/v1alpha1
kind: Backend
metadata: {name: one}
spec: {endpoints: [{ip: {address: 127.0.0.1, port: 3000}}]}
---
apiVersion: fairlead.dev/v1alpha1
kind: Backend
metadata: {name: two}
spec: {endpoints: [{ip: {address: 127.0.0.1, port: 3001}}]}
---
apiVersion: fairlead.dev/v1alpha1
kind: Backend
metadata: {name: three}
spec: {endpoints: [{ip: {address: 127.0.0.1, port: 3002}}]}
";

/// A route for a host of its own; `{one}` stands for a reference to that backend.
fn route(name: &str, host: &str, rules: &str) -> String {
    let mut rules = rules.to_owned();
    for backend in ["one", "two", "three"] {
        rules = rules.replace(
            &format!("{{{backend}}}"),
            &format!("backendRefs: [{{group: fairlead.dev, kind: Backend, name: {backend}}}]"),
        );
    }
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\n\
         spec:\n  parentRefs: [{{name: gw}}]\n  hostnames: [\"{host}\"]\n  rules:\n{rules}\n"
    )
}

fn all() -> Stage {
    let routes = [
        // httproute-path-match-order, httproute-exact-path-matching
        route("paths", "paths.test", "
  - {matches: [{path: {type: PathPrefix, value: /}}], {three}}
  - {matches: [{path: {type: PathPrefix, value: /match/}}], {two}}
  - {matches: [{path: {type: PathPrefix, value: /match/exact}}], {one}}
  - {matches: [{path: {type: Exact, value: /match/exact/one}}], {three}}
  - {matches: [{path: {type: Exact, value: /match}}], {one}}"),
        // httproute-header-matching
        route("headers", "headers.test", "
  - {matches: [{headers: [{name: version, value: one}]}], {one}}
  - {matches: [{headers: [{name: Version, value: two}]}], {two}}
  - {matches: [{headers: [{name: version, value: two}, {name: color, value: orange}]}], {one}}
  - {matches: [{headers: [{name: color, value: blue}]}, {headers: [{name: color, value: green}]}], {one}}
  - {matches: [{headers: [{name: color, type: RegularExpression, value: 're[da]'}]}], {three}}"),
        // httproute-query-param-matching
        route("query", "query.test", "
  - {matches: [{queryParams: [{name: animal, value: whale}]}], {one}}
  - {matches: [{queryParams: [{name: animal, value: dolphin}]}], {two}}
  - {matches: [{queryParams: [{name: animal, value: dolphin}, {name: color, value: blue}]}], {three}}
  - {matches: [{path: {value: /path5}, queryParams: [{name: animal, value: hydra}]}], {one}}
  - {matches: [{queryParams: [{name: a b, value: 'c+d/e'}]}], {two}}
  - {matches: [{queryParams: [{name: count, type: RegularExpression, value: '[0-9]+'}]}], {three}}"),
        // httproute-method-matching
        route("methods", "methods.test", "
  - {matches: [{method: POST}], {one}}
  - {matches: [{method: GET}], {two}}
  - {matches: [{path: {value: /path1}, method: GET}], {one}}
  - {matches: [{headers: [{name: version, value: one}], method: PUT}], {two}}
  - {matches: [{path: {value: /path2}, method: POST}, {path: {value: /path2}, method: PATCH, headers: [{name: version, value: four}]}], {three}}
  - {matches: [{path: {value: /any}}], {three}}"),
        // httproute-rule-order: of equal matches the first rule.
        route("order", "order.test", "
  - {matches: [{path: {value: /same}}], {two}}
  - {matches: [{path: {value: /same}}], {one}}"),
        // httproute-matching-across-routes: the same host in two routes; more specific wins, then the name.
        route("across-b", "across.test", "
  - {matches: [{path: {value: /v2}}, {path: {value: /tie}}], {two}}"),
        route("across-a", "across.test", "
  - {matches: [{path: {value: /}}, {headers: [{name: version, value: one}]}, {path: {value: /tie}}], {one}}"),
        // After exact paths, the longest pattern first.
        route("regex", "regex.test", "
  - {matches: [{path: {type: RegularExpression, value: '/r/[a-z]+'}}], {one}}
  - {matches: [{path: {type: Exact, value: /r/abc}}], {two}}
  - {matches: [{path: {type: RegularExpression, value: '/r/.*[0-9]'}}], {three}}"),
        // httproute-omitted-backendrefs, httproute-invalid-backendref-unknown-kind, httproute-invalid-nonexistent-backendref
        route("empty", "empty.test", "
  - {matches: [{path: {value: /omitted}}]}
  - {matches: [{path: {value: /empty}}], backendRefs: []}
  - {matches: [{path: {value: /unknown-kind}}], backendRefs: [{group: example.com, kind: Thing, name: x}]}
  - {matches: [{path: {value: /missing}}], backendRefs: [{name: nobody, port: 80}]}
  - {matches: [{path: {value: /zero}}], backendRefs: [{group: fairlead.dev, kind: Backend, name: one, weight: 0}]}
  - {matches: [{path: {value: /fine}}], {one}}"),
        // httproute-named-rule
        route("named", "named.test", "
  - {name: first, matches: [{path: {value: /named}}], {one}}
  - {matches: [{path: {value: /unnamed}}], {two}}"),
        // Half of the requests have a backend that does not exist.
        route("half", "half.test", "
  - backendRefs: [{group: fairlead.dev, kind: Backend, name: one}, {group: fairlead.dev, kind: Backend, name: missing}]"),
    ];
    Setup::manifests(&format!("{GATEWAY}{}", routes.concat()))
        .echo(3000, "one")
        .echo(3001, "two")
        .echo(3002, "three")
        .start()
}

static STAGE: Shared<Stage> = Shared::new(all);

/// Method, path, headers, and who answers.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);

fn check(host: &str, cases: &[Case<'_>]) {
    let stage = STAGE.take();
    for (method, path, headers, pod) in cases {
        let ask = headers.iter().fold(Ask::new(method, path).host(host), |ask, (name, value)| ask.header(name, value));
        assert_eq!(stage.pod_of(8080, &ask), *pod, "{method} {path} {headers:?}");
    }
}

#[test]
fn paths_by_whole_segments_and_longest_first() {
    check(
        "paths.test",
        &[
            ("GET", "/match/exact/one", &[], "three"),
            ("GET", "/match/exact", &[], "one"),
            ("GET", "/match", &[], "one"),
            ("GET", "/match/", &[], "two"),
            ("GET", "/match/exactly", &[], "two"),
            ("GET", "/match/exact/one/", &[], "one"),
            ("GET", "/matching", &[], "three"),
            ("GET", "/", &[], "three"),
            ("GET", "/MATCH", &[], "three"),
            // Normalised before it is matched.
            ("GET", "/x/../match/./exact/%6fne", &[], "three"),
            ("GET", "//match//exact", &[], "one"),
        ],
    );
}

#[test]
fn headers_by_name_in_any_case() {
    check(
        "headers.test",
        &[
            ("GET", "/", &[("version", "one")], "one"),
            ("GET", "/", &[("VERSION", "two")], "two"),
            ("GET", "/", &[("version", "two"), ("color", "orange")], "one"),
            // One header each: the first rule.
            ("GET", "/", &[("version", "two"), ("color", "blue")], "two"),
            ("GET", "/", &[("color", "blue")], "one"),
            ("GET", "/", &[("color", "green")], "one"),
            ("GET", "/", &[("color", "red")], "three"),
            ("GET", "/", &[("color", "reds")], "404"),
            ("GET", "/", &[("color", "orange")], "404"),
            ("GET", "/", &[("some-other-header", "one")], "404"),
            ("GET", "/", &[], "404"),
        ],
    );
}

#[test]
fn query_parameters_decoded_and_the_first_of_a_name() {
    check(
        "query.test",
        &[
            ("GET", "/?animal=whale", &[], "one"),
            ("GET", "/?animal=dolphin", &[], "two"),
            ("GET", "/?animal=dolphin&color=blue", &[], "three"),
            ("GET", "/?color=blue&animal=dolphin", &[], "three"),
            ("GET", "/?animal=whale&animal=dolphin", &[], "one"),
            ("GET", "/path5?animal=hydra", &[], "one"),
            ("GET", "/?animal=hydra", &[], "404"),
            ("GET", "/?Animal=whale", &[], "404"),
            ("GET", "/?a%20b=c%2Bd%2Fe", &[], "two"),
            ("GET", "/?a+b=c%2Bd/e", &[], "two"),
            ("GET", "/?count=42", &[], "three"),
            ("GET", "/?count=42x", &[], "404"),
            ("GET", "/?count", &[], "404"),
            ("GET", "/", &[], "404"),
        ],
    );
}

#[test]
fn methods_come_after_paths_and_before_headers() {
    check(
        "methods.test",
        &[
            ("POST", "/", &[], "one"),
            ("GET", "/", &[], "two"),
            ("HEAD", "/", &[], "404"),
            ("GET", "/path1", &[], "one"),
            ("PUT", "/", &[("version", "one")], "two"),
            ("PUT", "/", &[], "404"),
            ("POST", "/path2", &[], "three"),
            ("PATCH", "/path2", &[("version", "four")], "three"),
            ("PATCH", "/path2", &[], "404"),
            ("DELETE", "/any/thing", &[], "three"),
            ("get", "/", &[], "404"),
        ],
    );
}

#[test]
fn ties_go_to_the_first_rule_and_the_first_name() {
    check("order.test", &[("GET", "/same", &[], "two")]);
    check(
        "across.test",
        &[
            ("GET", "/", &[], "one"),
            ("GET", "/example", &[], "one"),
            ("GET", "/", &[("version", "one")], "one"),
            ("GET", "/v2", &[], "two"),
            ("GET", "/v2example", &[], "one"),
            ("GET", "/foo/v2/example", &[], "one"),
            ("GET", "/tie", &[], "one"),
        ],
    );
}

#[test]
fn regular_expressions_take_whole_paths() {
    check(
        "regex.test",
        &[
            ("GET", "/r/abc", &[], "two"),
            ("GET", "/r/abd", &[], "one"),
            ("GET", "/r/abd/x", &[], "404"),
            ("GET", "/r/a7", &[], "three"),
            ("GET", "/x/r/abd", &[], "404"),
        ],
    );
}

#[test]
fn rules_without_a_backend_answer_500() {
    let stage = STAGE.take();
    check(
        "empty.test",
        &[
            ("GET", "/omitted", &[], "500"),
            ("GET", "/empty", &[], "500"),
            ("GET", "/unknown-kind", &[], "500"),
            ("GET", "/missing", &[], "500"),
            ("GET", "/zero", &[], "500"),
            ("GET", "/fine", &[], "one"),
        ],
    );
    let line = stage.proxy.log_of("/missing");
    assert_eq!((line["response_flags"].as_str(), line["response_code"].as_u64()), (Some("NC"), Some(500)), "{line}");
    let output = stage.proxy.process.output();
    assert!(output.contains("there is no Service default/nobody [not ResolvedRefs: "), "{output}");
}

#[test]
fn a_missing_backend_fails_its_share_only() {
    let stage = STAGE.take();
    let mut counts = BTreeMap::<String, u32>::new();
    for _ in 0..60 {
        *counts.entry(stage.pod(8080, "half.test", "/")).or_default() += 1;
    }
    assert!(counts.get("one").is_some_and(|n| *n > 5) && counts.get("500").is_some_and(|n| *n > 5), "{counts:?}");
    assert_eq!(counts.len(), 2, "{counts:?}");
}

#[test]
fn names_of_rules_are_seen_in_metrics() {
    let stage = STAGE.take();
    assert_eq!(stage.pod(8080, "named.test", "/named"), "one");
    assert_eq!(stage.pod(8080, "named.test", "/unnamed"), "two");
    let series = "fairlead_route_requests_total{route=\"named\",namespace=\"default\",kind=\"HTTPRoute\",rule=\"first\",class=\"2xx\"}";
    // It is counted once its answer is on the way.
    wait_until(Duration::from_secs(5), series, || (stage.metric(series) != 0.0).then_some(()));
    assert_eq!(stage.metric(series), 1.0, "{}", stage.proxy.admin_get("/metrics"));
}
