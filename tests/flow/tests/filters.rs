//! Filters: example `filters` and the specification's rules beyond it.

use fairlead_test_flow::{Setup, Stage};
use fairlead_testkit::{Answer, Ask, Shared};
use serde_json::Value;

static EXAMPLE: Shared<Stage> = Shared::new(|| Setup::example("filters").echo(3000, "one").nobody(3001).start());

fn example(host: &str, ask: Ask) -> Answer {
    EXAMPLE.take().ask(8080, &ask.host(host))
}

/// A header of the request as the backend got it.
fn sent<'a>(json: &'a Value, name: &str) -> Vec<&'a str> {
    json["headers"][name].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn headers() {
    let stage = EXAMPLE.take();
    let ask = Ask::get("/")
        .header("x-tenant", "red")
        .header("x-hop", "client")
        .header("x-debug", "1")
        .header("x-debug", "2")
        .header("x-echo-set-header", "cache-control:public,x-powered-by:echo,x-kept:yes");
    let answer = stage.ask(8080, &ask.host("headers.example.com"));
    let json = answer.json();
    assert_eq!(sent(&json, "X-Tenant"), ["blue"]);
    assert_eq!(sent(&json, "X-Hop").join(","), "client,edge");
    assert!(sent(&json, "X-Debug").is_empty());
    assert_eq!(sent(&json, "X-Backend"), ["one"]);
    assert_eq!(answer.headers_named("cache-control"), ["no-store"]);
    assert_eq!((answer.header("x-powered-by"), answer.header("x-kept")), (None, Some("yes")));
}

#[test]
fn redirects() {
    let at = |path: &str| {
        let answer = example("redirect.example.com", Ask::get(path));
        assert!(answer.body.is_empty());
        (answer.status, answer.header("location").unwrap_or_default().to_owned())
    };
    assert_eq!(at("/docs/a/b?q=1"), (308, "https://docs.example.com/v2/a/b?q=1".to_owned()));
    assert_eq!(at("/docs"), (308, "https://docs.example.com/v2".to_owned()));
    assert_eq!(at("/gone/for/good?x"), (301, "http://redirect.example.com:8080/new?x".to_owned()));
    assert_eq!(at("/docsx"), (302, "http://redirect.example.com:8443/docsx".to_owned()));
    // Not to be fooled into another host.
    assert_eq!(at("//evil.example/%2e%2e"), (302, "http://redirect.example.com:8443/".to_owned()));
}

#[test]
fn rewrites() {
    let at = |path: &str| example("rewrite.example.com", Ask::get(path)).json();
    let json = at("/api/v1/users?x=1");
    assert_eq!((json["path"].as_str(), json["host"].as_str()), (Some("/users?x=1"), Some("internal.example.net")));
    assert_eq!(at("/api/v1")["path"], "/");
    assert_eq!(example("rewrite.example.com", Ask::get("/health/deep")).status, 200);
    let stage = EXAMPLE.take();
    stage.get(8080, "rewrite.example.com", "/api/v1/logged");
    let line = stage.proxy.log_of("/api/v1/logged");
    assert_eq!(line[":authority"], "rewrite.example.com", "the log tells what the client asked for: {line}");
}

#[test]
fn cors() {
    let ask = |method: &str, origin: &str| Ask::new(method, "/").header("origin", origin);
    let preflight = |origin: &str| {
        let ask = ask("OPTIONS", origin).header("access-control-request-method", "PUT");
        example("api.example.com", ask.header("access-control-request-headers", "x-token"))
    };
    for origin in ["https://shop.example.com", "https://a.example.org", "https://a.b.example.org"] {
        let answer = preflight(origin);
        assert_eq!(answer.status, 200, "{origin}");
        for (name, value) in [
            ("access-control-allow-origin", origin),
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-methods", "GET, PUT"),
            ("access-control-allow-headers", "content-type, x-token"),
            ("access-control-expose-headers", "x-count"),
            ("access-control-max-age", "600"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{origin}: {name}");
        }
        assert!(answer.body.is_empty(), "the backend was not asked");
    }
    for origin in [
        "https://evil.example",
        "http://shop.example.com",
        "https://example.org",
        "https://shop.example.com:8443",
        "null",
    ] {
        assert_eq!(preflight(origin).header("access-control-allow-origin"), None, "{origin}");
    }
    let answer = example("api.example.com", ask("GET", "https://a.example.org"));
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some("https://a.example.org")));
    assert_eq!(answer.json()["pod"], "one");
    let answer = example("api.example.com", ask("GET", "https://evil.example"));
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None));
    // An OPTIONS that is no preflight is the backend's.
    assert_eq!(example("api.example.com", Ask::new("OPTIONS", "/")).json()["method"], "OPTIONS");
}

#[test]
fn route_filters() {
    let answer = example("extension.example.com", Ask::get("/teapot"));
    assert_eq!(
        (answer.status, answer.header("content-type"), answer.text().as_str()),
        (418, Some("text/plain"), "short and stout\n")
    );
    let json =
        example("extension.example.com", Ask::get("/user/42/profile?x=1").header("x-tenant-host", "blue.internal"))
            .json();
    assert_eq!((json["path"].as_str(), json["host"].as_str()), (Some("/profile/of/42?x=1"), Some("blue.internal")));
    let json = example("extension.example.com", Ask::get("/user/me")).json();
    assert_eq!((json["path"].as_str(), json["host"].as_str()), (Some("/user/me"), Some("extension.example.com")));
}

/// httproute-redirect-*, httproute-rewrite-*, httproute-backend-url-rewrite, httproute-request-header-modifier-*,
/// httproute-cors with wildcards, and filters that are wrong.
static MORE: Shared<Stage> = Shared::new(|| {
    let rule = |path: &str, filters: &str, backend: &str| {
        format!("  - {{matches: [{{path: {{value: {path}}}}}], filters: [{filters}], backendRefs: [{backend}]}}\n")
    };
    let redirect =
        |path: &str, fields: &str| rule(path, &format!("{{type: RequestRedirect, requestRedirect: {{{fields}}}}}"), "");
    let cors = |path: &str, fields: &str| rule(path, &format!("{{type: CORS, cors: {{{fields}}}}}"), ONE);
    const ONE: &str = "{group: fairlead.dev, kind: Backend, name: one}";
    let with = |filters: &str, weight: u32| {
        format!("{{group: fairlead.dev, kind: Backend, name: one, weight: {weight}, filters: [{filters}]}}")
    };
    let rewrite = |fields: &str| format!("{{type: URLRewrite, urlRewrite: {{{fields}}}}}");
    let set = |name: &str, value: &str| {
        format!("{{type: RequestHeaderModifier, requestHeaderModifier: {{set: [{{name: {name}, value: {value}}}]}}}}")
    };
    let rules = [
        redirect("/plain", "hostname: example.org"),
        redirect("/p80", "port: 80"),
        redirect("/https", "scheme: https"),
        redirect("/https8443", "scheme: https, port: 8443"),
        redirect("/s301", "statusCode: 301"),
        redirect("/s303", "statusCode: 303"),
        redirect("/s307", "statusCode: 307"),
        redirect("/prefix", "path: {type: ReplacePrefixMatch, replacePrefixMatch: /}"),
        redirect(
            "/full",
            "hostname: example.org, statusCode: 301, path: {type: ReplaceFullPath, replaceFullPath: /other}",
        ),
        rule("/strip", &rewrite("path: {type: ReplacePrefixMatch, replacePrefixMatch: ''}"), ONE),
        rule("/host", &rewrite("hostname: one.example.org"), ONE),
        rule("/backend/full", "", &with(&rewrite("path: {type: ReplaceFullPath, replaceFullPath: /rewritten}"), 1)),
        rule("/backend/prefix", "", &with(&rewrite("path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}"), 1)),
        rule(
            "/both",
            &set("x-share", "rule"),
            &format!("{}, {}", with(&set("x-share", "one"), 1), with(&set("x-share", "never"), 0)),
        ),
        cors("/any", "allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'], exposeHeaders: ['*']"),
        cors("/default", "allowOrigins: ['https://a.test']"),
        rule("/twice", &format!("{}, {}", set("a", "b"), set("c", "d")), ONE),
        rule(
            "/clash",
            &format!("{}, {{type: RequestRedirect, requestRedirect: {{port: 81}}}}", rewrite("hostname: a.test")),
            "",
        ),
        rule(
            "/nofilter",
            "{type: ExtensionRef, extensionRef: {group: fairlead.dev, kind: RouteFilter, name: nowhere}}",
            ONE,
        ),
        rule("/hopbyhop", &set("transfer-encoding", "chunked"), ONE),
        rule("/good", &set("x-good", "good"), ONE),
    ];
    let manifests = format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw}}
spec: {{gatewayClassName: fairlead, listeners: [{{name: http, protocol: HTTP, port: 80}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: all}}
spec:
  parentRefs: [{{name: gw}}]
  rules:
{}---
apiVersion: fairlead.dev/v1alpha1
kind: Backend
metadata: {{name: one}}
spec: {{endpoints: [{{ip: {{address: 127.0.0.1, port: 3000}}}}]}}
",
        rules.concat()
    );
    Setup::manifests(&manifests).echo(3000, "one").start()
});

#[test]
fn redirects_name_the_port_only_where_it_is_needed() {
    let stage = MORE.take();
    for (path, status, location) in [
        ("/plain/x?y=z", 302, "http://example.org/plain/x?y=z"),
        ("/p80", 302, "http://a.test/p80"),
        ("/https", 302, "https://a.test/https"),
        ("/https8443", 302, "https://a.test:8443/https8443"),
        ("/s301", 301, "http://a.test/s301"),
        ("/s303", 303, "http://a.test/s303"),
        ("/s307", 307, "http://a.test/s307"),
        ("/prefix/a", 302, "http://a.test/a"),
        ("/prefix", 302, "http://a.test/"),
        ("/full/a/b", 301, "http://example.org/other"),
    ] {
        let answer = stage.get(80, "a.test", path);
        assert_eq!((answer.status, answer.header("location")), (status, Some(location)), "{path}");
    }
}

#[test]
fn rewrites_of_rules_and_backends() {
    let stage = MORE.take();
    for (path, new) in [
        ("/strip/three", "/three"),
        ("/strip", "/"),
        ("/backend/full/original", "/rewritten"),
        ("/backend/prefix/original?q", "/new/original?q"),
    ] {
        assert_eq!(stage.get(80, "a.test", path).json()["path"], new, "{path}");
    }
    assert_eq!(stage.get(80, "a.test:80", "/host/x").json()["host"], "one.example.org");
    for _ in 0..5 {
        let json = stage.get(80, "a.test", "/both").json();
        assert_eq!(sent(&json, "X-Share"), ["one"], "a backend's filters run after the rule's");
    }
}

#[test]
fn cors_with_wildcards_and_defaults() {
    let stage = MORE.take();
    let preflight = |path: &str, origin: &str| {
        let ask = Ask::new("OPTIONS", path)
            .host("a.test")
            .header("origin", origin)
            .header("access-control-request-method", "PATCH");
        stage.ask(80, &ask.header("access-control-request-headers", "x-a, x-b"))
    };
    let answer = preflight("/any", "https://foobar.com:12345");
    for (name, value) in [
        ("access-control-allow-origin", Some("https://foobar.com:12345")),
        ("access-control-allow-methods", Some("PATCH")),
        ("access-control-allow-headers", Some("x-a, x-b")),
        ("access-control-allow-credentials", None),
        ("access-control-expose-headers", Some("*")),
        ("access-control-max-age", Some("5")),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    let answer = preflight("/default", "https://a.test");
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.test"));
    assert_eq!(
        (answer.header("access-control-allow-methods"), answer.header("access-control-allow-headers")),
        (None, None)
    );
    let plain = stage.get(80, "a.test", "/any");
    assert!(
        plain.header("access-control-allow-origin").is_none()
            && plain.header("vary").is_some_and(|v| v.contains("origin"))
    );
}

#[test]
fn a_wrong_filter_fails_its_rule_only() {
    let stage = MORE.take();
    for path in ["/twice", "/clash", "/nofilter", "/hopbyhop"] {
        assert_eq!(stage.pod(80, "a.test", path), "500", "{path}: a filter must not be skipped");
    }
    assert_eq!(stage.pod(80, "a.test", "/good"), "one");
    let output = stage.proxy.process.output();
    for part in [
        "IncompatibleFilters",
        "there is no RouteFilter default/nowhere",
        "transfer-encoding can't be changed by a filter",
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }
}
