//! Gateways, listeners, and which routes they take: example `gateways-and-listeners` and the specification's rules beyond it.

use fairlead_test_flow::{Setup, Stage};
use fairlead_testkit::{Ask, Client, Version};

#[test]
fn the_example() {
    let stage = Setup::example("gateways-and-listeners").echo(3000, "one").echo(3001, "two").start();
    for (host, path, pod) in [
        ("shop.example.com", "/cart", "one"),
        ("SHOP.example.com:8080", "/cart/1", "one"),
        // The listener of the exact host takes the request, even if only another one has a rule for it.
        ("shop.example.com", "/other", "404"),
        ("a.example.com", "/cart", "two"),
        ("a.b.example.com", "/", "two"),
        ("example.com", "/", "two"),
        ("elsewhere.net", "/", "two"),
        ("127.0.0.1", "/", "two"),
    ] {
        assert_eq!(stage.pod(8080, host, path), pod, "{host}{path}");
    }
    assert_eq!(stage.pod(8081, "blue.example.com", "/"), "one");
    assert_eq!(stage.pod(8081, "green.example.com", "/"), "404");
    assert_eq!(stage.pod(8082, "team.example.com", "/"), "one");
    assert_eq!(stage.pod(8082, "main.example.com", "/"), "404");
    let output = stage.proxy.process.output();
    for row in ["default/web ", "infra/edge ", "ListenerSet default/team "] {
        let line = output.lines().find(|line| line.starts_with(row)).unwrap_or_else(|| panic!("{row} in {output}"));
        assert!(line.ends_with("Accepted Programmed ResolvedRefs"), "{line}");
    }
}

/// httproute-hostname-intersection and httproute-listener-hostname-matching.
#[test]
fn hostnames_of_routes_meet_those_of_listeners() {
    let stage = Setup::manifests(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: fairlead
  listeners:
  - {name: specific, protocol: HTTP, port: 8080, hostname: very.specific.com}
  - {name: wild, protocol: HTTP, port: 8080, hostname: '*.wildcard.io'}
  - {name: another, protocol: HTTP, port: 8080, hostname: '*.anotherwildcard.io'}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: specific-and-wild}
spec:
  parentRefs: [{name: gw, sectionName: specific}]
  hostnames: [non.matching.com, '*.nonmatchingwildcard.io', very.specific.com]
  rules: [{matches: [{path: {value: /s1}}], backendRefs: [{name: one, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: wild-by-specific}
spec:
  parentRefs: [{name: gw}]
  hostnames: ['*.specific.com', foo.bar.wildcard.io, '*.anotherwildcard.io']
  rules: [{matches: [{path: {value: /s2}}], backendRefs: [{name: one, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: none-match}
spec:
  parentRefs: [{name: gw}]
  hostnames: [specific.but.wrong.com, wildcard.io]
  rules: [{matches: [{path: {value: /s3}}], backendRefs: [{name: one, port: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: one}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: one-1, labels: {kubernetes.io/service-name: one}}
addressType: IPv4
ports: [{port: 3000}]
endpoints: [{addresses: [127.0.0.1]}]
",
    )
    .echo(3000, "one")
    .start();
    for (host, path, pod) in [
        ("very.specific.com", "/s1", "one"),
        ("non.matching.com", "/s1", "404"),
        ("foo.nonmatchingwildcard.io", "/s1", "404"),
        ("very.specific.com", "/s2", "one"),
        ("other.specific.com", "/s2", "404"),
        ("foo.bar.wildcard.io", "/s2", "one"),
        ("foo.wildcard.io", "/s2", "404"),
        ("foo.anotherwildcard.io", "/s2", "one"),
        ("foo.bar.anotherwildcard.io", "/s2", "one"),
        ("anotherwildcard.io", "/s2", "404"),
        ("specific.but.wrong.com", "/s3", "404"),
        ("wildcard.io", "/s3", "404"),
    ] {
        assert_eq!(stage.pod(8080, host, path), pod, "{host}{path}");
    }
    let output = stage.proxy.process.output();
    assert!(
        output.contains("HTTPRoute default/none-match") && output.contains("NoMatchingListenerHostname"),
        "{output}"
    );
}

const ONE: &str = "
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
";

/// httproute-listener-port-matching, httproute-invalid-parentref-*: parentRefs with port and sectionName.
#[test]
fn parent_refs_choose_listeners_by_port_and_name() {
    let listeners = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: fairlead
  listeners:
  - {name: a, protocol: HTTP, port: 8080, hostname: foo.com}
  - {name: b, protocol: HTTP, port: 8081, hostname: foo.com}
  - {name: c, protocol: HTTP, port: 8081, hostname: bar.com}
  - {name: d, protocol: HTTP, port: 8082, hostname: foo.com}
  - {name: e, protocol: HTTP, port: 8082, hostname: bar.com}
";
    let route = |name: &str, parent: &str, backend: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  \
             parentRefs: [{{name: gw, {parent}}}]\n  rules: [{{backendRefs: [{{group: fairlead.dev, kind: Backend, name: {backend}}}]}}]\n"
        )
    };
    let routes = [
        route("first", "port: 8080", "one"),
        route("second", "port: 8081", "two"),
        route("third", "port: 8082, sectionName: d", "one"),
        route("no-port", "port: 81", "one"),
        route("no-section", "sectionName: nowhere", "one"),
        route("not-both", "sectionName: a, port: 8081", "one"),
    ];
    let stage =
        Setup::manifests(&format!("{listeners}{}{ONE}", routes.concat())).echo(3000, "one").echo(3001, "two").start();
    for (port, host, pod) in [
        (8080, "foo.com", "one"),
        (8081, "foo.com", "two"),
        (8081, "bar.com", "two"),
        (8082, "foo.com", "one"),
        (8082, "bar.com", "404"),
        (8080, "bar.com", "404"),
    ] {
        assert_eq!(stage.pod(port, host, "/"), pod, "{host}:{port}");
    }
    let output = stage.proxy.process.output();
    for name in ["no-port", "no-section", "not-both"] {
        let row = output.lines().find(|l| l.starts_with(&format!("HTTPRoute default/{name} "))).unwrap_or_default();
        assert!(row.contains("not Accepted (NoMatchingParent)"), "{name}: {row}");
    }
}

/// gateway-http-listener-isolation: by path through the whole chain of listeners on one port.
#[test]
fn a_listener_keeps_its_requests_to_itself() {
    let names = [
        ("empty", None),
        ("wild", Some("*.example.com")),
        ("foo-wild", Some("*.foo.example.com")),
        ("exact", Some("abc.foo.example.com")),
    ];
    let listener = |(name, host): &(&str, Option<&str>)| {
        let host = host.map(|host| format!(", hostname: '{host}'")).unwrap_or_default();
        format!("  - {{name: {name}, protocol: HTTP, port: 8080{host}}}\n")
    };
    let route = |(name, _): &(&str, Option<&str>)| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  \
             parentRefs: [{{name: gw, sectionName: {name}}}]\n  rules: [{{matches: [{{path: {{value: /{name}}}}}], \
             backendRefs: [{{group: fairlead.dev, kind: Backend, name: one}}]}}]\n"
        )
    };
    let gateway = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec:\n  gatewayClassName: fairlead\n  listeners:\n";
    let manifests =
        [gateway, &names.iter().map(listener).collect::<String>(), &names.iter().map(route).collect::<String>(), ONE]
            .concat();
    let stage = Setup::manifests(&manifests).echo(3000, "one").nobody(3001).start();
    for (host, own) in [
        ("bar.com", "empty"),
        ("bar.example.com", "wild"),
        ("bar.foo.example.com", "foo-wild"),
        ("abc.foo.example.com", "exact"),
    ] {
        for (name, _) in names {
            let expected = if name == own { "one" } else { "404" };
            assert_eq!(stage.pod(8080, host, &format!("/{name}")), expected, "{host}/{name}");
        }
    }
}

/// httproute-cross-namespace, httproute-invalid-cross-namespace-parent-ref, httproute-disallowed-kind.
#[test]
fn listeners_take_routes_of_allowed_kinds_and_namespaces() {
    let listener = |name: &str, port: u16, allowed: &str| {
        format!("  - {{name: {name}, protocol: HTTP, port: {port}, allowedRoutes: {allowed}}}\n")
    };
    let listeners = [
        listener("same", 8080, "{namespaces: {from: Same}}"),
        listener("all", 8081, "{namespaces: {from: All}}"),
        listener(
            "selector",
            8082,
            "{namespaces: {from: Selector, selector: {matchExpressions: [{key: team, operator: In, values: [red, blue]}]}}}",
        ),
        listener("grpc", 8083, "{namespaces: {from: All}, kinds: [{kind: GRPCRoute}]}"),
    ];
    let route = |namespace: &str, section: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: to-{section}, namespace: {namespace}}}\nspec:\n  \
             parentRefs: [{{name: gw, namespace: infra, sectionName: {section}}}]\n  hostnames: [{namespace}.test]\n  \
             rules: [{{backendRefs: [{{group: fairlead.dev, kind: Backend, name: one}}]}}]\n"
        )
    };
    let backend = |namespace: &str| {
        ONE.replace("metadata: {name: one}", &format!("metadata: {{name: one, namespace: {namespace}}}"))
    };
    let routes = ["infra", "red", "green"]
        .map(|ns| ["same", "all", "selector", "grpc"].map(|section| route(ns, section)).concat() + &backend(ns));
    let manifests = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: gw, namespace: infra}}\nspec:\n  \
         gatewayClassName: fairlead\n  listeners:\n{}---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: red, labels: {{team: red}}}}\n{}",
        listeners.concat(),
        routes.concat().replace("metadata: {name: two}", "metadata: {name: unused}")
    );
    let stage = Setup::manifests(&manifests).echo(3000, "one").nobody(3001).start();
    for (namespace, served) in [("infra", [8080, 8081].as_slice()), ("red", &[8081, 8082]), ("green", &[8081])] {
        for port in 8080..8084 {
            let expected = if served.contains(&port) { "one" } else { "404" };
            assert_eq!(stage.pod(port, &format!("{namespace}.test"), "/"), expected, "{namespace} on {port}");
        }
    }
    let output = stage.proxy.process.output();
    assert!(output.contains("NotAllowedByListeners"), "{output}");
}

/// listenerset-*: who may add listeners, and that the Gateway's own come first.
#[test]
fn listener_sets_attach_where_they_may() {
    let gateway = |name: &str, port: u16, allowed: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: {name}, namespace: infra}}\nspec:\n  \
             gatewayClassName: fairlead\n{allowed}  listeners: [{{name: own, protocol: HTTP, port: {port}, hostname: own.test, \
             allowedRoutes: {{namespaces: {{from: All}}}}}}]\n"
        )
    };
    let set = |name: &str, namespace: &str, parent: &str, port: u16, host: &str| {
        format!(
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  \
             parentRef: {{name: {parent}, namespace: infra}}\n  listeners: [{{name: extra, protocol: HTTP, port: {port}, hostname: {host}}}]\n\
             ---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  \
             parentRefs: [{{kind: ListenerSet, name: {name}, sectionName: extra}}]\n  \
             rules: [{{backendRefs: [{{group: fairlead.dev, kind: Backend, name: one}}]}}]\n"
        )
    };
    let manifests = [
        gateway("open", 8080, "  allowedListeners: {namespaces: {from: All}}\n"),
        gateway("closed", 8081, ""),
        gateway("same", 8082, "  allowedListeners: {namespaces: {from: Same}}\n"),
        gateway(
            "chosen",
            8083,
            "  allowedListeners: {namespaces: {from: Selector, selector: {matchLabels: {add: 'yes'}}}}\n",
        ),
        "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: teams, labels: {add: 'yes'}}\n".to_owned(),
        set("open", "teams", "open", 8080, "extra.test"),
        set("own-port", "teams", "open", 8084, "extra.test"),
        set("closed", "teams", "closed", 8081, "extra.test"),
        set("same", "teams", "same", 8082, "extra.test"),
        set("same-too", "infra", "same", 8082, "extra.test"),
        set("chosen", "teams", "chosen", 8083, "extra.test"),
        set("conflict", "teams", "open", 8080, "own.test"),
        ONE.replace("{name: one}", "{name: one, namespace: teams}")
            .replace("{name: two}", "{name: one, namespace: infra}"),
    ];
    let stage = Setup::manifests(&manifests.concat()).echo(3000, "teams").echo(3001, "infra").start();
    for (port, pod) in [(8080, "teams"), (8084, "teams"), (8081, "404"), (8082, "infra"), (8083, "teams")] {
        assert_eq!(stage.pod(port, "extra.test", "/"), pod, "{port}");
    }
    assert_eq!(stage.pod(8080, "own.test", "/"), "404");
    let output = stage.proxy.process.output();
    let row = |name: &str| {
        output.lines().find(|l| l.starts_with(&format!("ListenerSet {name} "))).unwrap_or_default().to_owned()
    };
    assert!(row("teams/closed").contains("NotAllowed"), "{output}");
    assert!(row("teams/same").contains("NotAllowed"), "{output}");
    assert!(row("teams/conflict").contains("HostnameConflict"), "{output}");
}

/// httproute-multiple-gateways, gateway-with-attached-routes: one route on two Gateways, counted on both.
#[test]
fn a_route_on_two_gateways() {
    let stage = Setup::manifests(&format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: a}}
spec: {{gatewayClassName: fairlead, listeners: [{{name: http, protocol: HTTP, port: 8080}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: b}}
spec: {{gatewayClassName: fairlead, listeners: [{{name: http, protocol: HTTP, port: 8081}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: both}}
spec:
  parentRefs: [{{name: a}}, {{name: b}}, {{name: another-classes-gateway}}]
  rules: [{{backendRefs: [{{group: fairlead.dev, kind: Backend, name: one}}]}}]
{ONE}"
    ))
    .echo(3000, "one")
    .nobody(3001)
    .start();
    assert_eq!(stage.pod(8080, "x.test", "/"), "one");
    assert_eq!(stage.pod(8081, "x.test", "/"), "one");
    let output = stage.proxy.process.output();
    let rows: Vec<&str> =
        output.lines().filter(|l| l.starts_with("default/a ") || l.starts_with("default/b ")).collect();
    assert_eq!(rows.len(), 2, "{output}");
    for row in rows {
        assert_eq!(row.split_whitespace().nth(6), Some("1"), "{row}");
    }
}

/// `--port-map` moves sockets, not meanings.
#[test]
fn mapped_ports_keep_the_listeners_name() {
    let stage = Setup::manifests(&format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw}}
spec: {{gatewayClassName: fairlead, listeners: [{{name: http, protocol: HTTP, port: 80}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: to}}
spec:
  parentRefs: [{{name: gw, port: 80}}]
  rules:
  - {{matches: [{{path: {{value: /to}}}}], filters: [{{type: RequestRedirect, requestRedirect: {{path: {{type: ReplaceFullPath, replaceFullPath: /there}}}}}}]}}
  - {{backendRefs: [{{group: fairlead.dev, kind: Backend, name: one}}]}}
{ONE}"
    ))
    .echo(3000, "one")
    .nobody(3001)
    .start();
    let port = stage.proxy.address(80).port();
    assert_eq!(stage.pod(80, "example.com", "/"), "one");
    // Somebody in front maps the port: the listener's is the public one. Nobody does: the client's own URL goes on to work.
    assert_eq!(stage.get(80, "example.com", "/to").header("location"), Some("http://example.com/there"));
    let direct = stage.get(80, &format!("localhost:{port}"), "/to");
    assert_eq!(direct.header("location"), Some(format!("http://localhost:{port}/there").as_str()));
}

#[test]
fn http2_without_tls_by_prior_knowledge() {
    let stage: Stage = Setup::example("quickstart").echo(3000, "one").start();
    let answer =
        Client::connect(Version::H2, stage.proxy.address(8080)).ask(&Ask::get("/hello?x=1").host("any.test")).whole();
    assert_eq!((answer.status, answer.header("x-served-by")), (200, Some("fairlead")));
    let json = answer.json();
    assert_eq!(
        (json["path"].as_str(), json["host"].as_str(), json["proto"].as_str()),
        (Some("/hello?x=1"), Some("any.test"), Some("HTTP/1.1"))
    );
    assert_eq!(
        stage.get(8080, "any.test", "/old/a?b").header("location").map(|to| to.ends_with("/new/a?b")),
        Some(true)
    );
}

/// gateway-static-addresses, gateway-invalid-route-kind: one address of the machine only, and kinds that can't be there.
#[test]
fn addresses_and_kinds() {
    let stage = Setup::manifests(&format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gw}}
spec:
  gatewayClassName: fairlead
  addresses: [{{type: IPAddress, value: 127.0.0.1}}]
  listeners:
  - {{name: http, protocol: HTTP, port: 8080}}
  - {{name: odd, protocol: HTTP, port: 8081, allowedRoutes: {{kinds: [{{kind: HTTPRoute}}, {{kind: TCPRoute}}]}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: all}}
spec:
  parentRefs: [{{name: gw}}]
  rules: [{{backendRefs: [{{group: fairlead.dev, kind: Backend, name: one}}]}}]
{ONE}"
    ))
    .echo(3000, "one")
    .nobody(3001)
    .start();
    assert_eq!((stage.pod(8080, "a.test", "/"), stage.pod(8081, "a.test", "/")), ("one".to_owned(), "one".to_owned()));
    let port = stage.proxy.address(8080).port();
    assert!(std::net::TcpStream::connect(("127.0.0.2", port)).is_err(), "it listens on 127.0.0.1 only");
    stage.until_printed(&["InvalidRouteKinds", "TCPRoute"]);
}
