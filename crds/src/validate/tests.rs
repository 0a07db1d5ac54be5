use serde_json::json;

use super::*;

fn object(kind: Kind, spec: Value) -> Value {
    json!({
        "apiVersion": kind.api_version(),
        "kind": kind.as_str(),
        "metadata": { "name": "example" },
        "spec": spec,
    })
}

fn rule(rule: Value) -> Value {
    object(Kind::HTTPRoute, json!({ "rules": [rule] }))
}

fn path(type_: &str, value: &str) -> Value {
    rule(json!({ "matches": [{ "path": { "type": type_, "value": value } }] }))
}

fn filters(filters: Value) -> Value {
    rule(json!({ "filters": filters }))
}

fn gateway(listeners: Value) -> Value {
    object(Kind::Gateway, json!({ "gatewayClassName": "c", "listeners": listeners }))
}

/// Asserts that the object has this error, perhaps among others.
#[track_caller]
fn refused(value: &Value, path: &str, message: &str) {
    let kind = Kind::of(value["apiVersion"].as_str().unwrap(), value["kind"].as_str().unwrap()).unwrap();
    let errors: Vec<Violation> =
        validate(kind, value).into_iter().filter(|found| found.severity == Severity::Error).collect();
    let expected = errors.iter().any(|error| error.path == path && error.message.contains(message));
    assert!(expected, "{path}: {message}\nfound: {errors:#?}");
}

#[track_caller]
fn accepted(value: &Value) {
    let kind = Kind::of(value["apiVersion"].as_str().unwrap(), value["kind"].as_str().unwrap()).unwrap();
    assert_eq!(validate(kind, value), vec![], "{value}");
}

#[test]
fn valid_objects_have_no_violations() {
    accepted(&object(
        Kind::HTTPRoute,
        json!({
            "parentRefs": [{ "name": "gw", "sectionName": "a" }, { "name": "gw", "sectionName": "b" }],
            "hostnames": ["example.com", "*.example.com"],
            "rules": [{
                "name": "one",
                "matches": [
                    { "path": { "type": "Exact", "value": "/a" }, "method": "GET" },
                    { "path": { "type": "RegularExpression", "value": "/a/.*" }, "headers": [{ "name": "x-a", "value": "b" }] },
                ],
                "filters": [
                    { "type": "RequestHeaderModifier", "requestHeaderModifier": { "set": [{ "name": "a", "value": "b" }] } },
                    { "type": "RequestMirror", "requestMirror": { "backendRef": { "name": "m", "port": 80 }, "percent": 50 } },
                ],
                "backendRefs": [{ "name": "svc", "port": 80, "weight": 0 }],
                "timeouts": { "request": "10s", "backendRequest": "2s" },
                "retry": { "codes": [503], "attempts": 3, "backoff": "100ms" },
            }],
        }),
    ));
    accepted(&gateway(json!([
        { "name": "http", "port": 80, "protocol": "HTTP", "hostname": "*.example.com" },
        { "name": "https", "port": 443, "protocol": "HTTPS", "tls": { "certificateRefs": [{ "name": "c" }] } },
    ])));
    accepted(&object(Kind::Backend, json!({ "endpoints": [{ "ip": { "address": "::1", "port": 80 } }] })));
    accepted(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "a" },
        "spec": { "ports": [{ "port": 80 }] },
    }));
}

#[test]
fn the_schema_is_checked() {
    let at = "spec.rules[0].matches[0].path.type";
    refused(&path("Prefix", "/"), at, r#""Prefix" is not one of "Exact", "PathPrefix", "RegularExpression""#);
    refused(&object(Kind::HTTPRoute, json!([])), "spec", "must be an object, not a list");
    refused(&rule(json!({ "backendRefs": [{ "port": 80 }] })), "spec.rules[0].backendRefs[0].name", "is required");
    refused(
        &rule(json!({ "backendRefs": [{ "name": "a", "port": "80" }] })),
        "spec.rules[0].backendRefs[0].port",
        "must be an integer",
    );
    refused(
        &rule(json!({ "backendRefs": [{ "name": "a", "port": 70000 }] })),
        "spec.rules[0].backendRefs[0].port",
        "at most 65535",
    );
    refused(
        &object(Kind::HTTPRoute, json!({ "hostnames": ["Example.com"] })),
        "spec.hostnames[0]",
        "must match the pattern",
    );
    refused(
        &object(Kind::HTTPRoute, json!({ "rules": vec![json!({}); 17] })),
        "spec.rules",
        "has 17 items, must have at most 16",
    );
    refused(&object(Kind::Gateway, json!({ "listeners": [] })), "spec.gatewayClassName", "is required");
    refused(
        &path("Exact", &format!("/{}", "a".repeat(1024))),
        "spec.rules[0].matches[0].path.value",
        "has 1025 characters",
    );
    let headers = json!([{ "name": "a", "value": "1" }, { "name": "a", "value": "2" }]);
    refused(
        &rule(json!({ "matches": [{ "headers": headers }] })),
        "spec.rules[0].matches[0].headers[1]",
        r#"duplicate of an earlier item (name: "a")"#,
    );
    refused(&object(Kind::GatewayClass, json!({ "controllerName": "nodomain" })), "spec.controllerName", "pattern");
    let grant = json!({ "from": [], "to": [{ "group": "", "kind": "Service" }] });
    refused(&object(Kind::ReferenceGrant, grant), "spec.from", "has 0 items");
    let address = json!({ "gatewayClassName": "c", "listeners": [{ "name": "a", "port": 80, "protocol": "HTTP" }], "addresses": [{ "type": "IPAddress", "value": "1.2.3" }] });
    refused(&object(Kind::Gateway, address), "spec.addresses[0]", "none of the allowed forms");
}

#[test]
fn path_rules_hold() {
    let at = "spec.rules[0].matches[0].path";
    refused(&path("PathPrefix", "a"), at, "absolute path");
    refused(&path("PathPrefix", "/a//b"), at, "must not contain '//'");
    refused(&path("Exact", "/a/../b"), at, "must not contain '/../'");
    refused(&path("Exact", "/a%2Fb"), at, "must not contain '%2F'");
    refused(&path("Exact", "/a b"), at, "must only contain valid characters");
    accepted(&path("RegularExpression", "a b"));
}

#[test]
fn filter_rules_hold() {
    let at = "spec.rules[0].filters[0]";
    let rewrite = json!({ "hostname": "a" });
    refused(&filters(json!([{ "type": "RequestRedirect" }])), at, "must be specified");
    refused(
        &filters(
            json!([{ "type": "RequestMirror", "urlRewrite": rewrite, "requestMirror": { "backendRef": { "name": "a", "port": 1 } } }]),
        ),
        at,
        "urlRewrite must be nil",
    );
    let both = json!([
        { "type": "URLRewrite", "urlRewrite": rewrite },
        { "type": "RequestRedirect", "requestRedirect": { "hostname": "a" } },
    ]);
    refused(&filters(both), "spec.rules[0].filters", "May specify either");
    let twice = json!([
        { "type": "URLRewrite", "urlRewrite": rewrite },
        { "type": "URLRewrite", "urlRewrite": rewrite },
    ]);
    refused(&filters(twice), "spec.rules[0].filters", "cannot be repeated");
    let path = json!({ "type": "ReplacePrefixMatch", "replaceFullPath": "/a" });
    refused(
        &filters(json!([{ "type": "URLRewrite", "urlRewrite": { "path": path } }])),
        "spec.rules[0].filters[0].urlRewrite.path",
        "replacePrefixMatch must be specified",
    );
    let redirect = json!({ "filters": [{ "type": "RequestRedirect", "requestRedirect": {} }], "backendRefs": [{ "name": "a", "port": 1 }] });
    refused(&rule(redirect), "spec.rules[0]", "RequestRedirect filter must not be used together with backendRefs");
    let prefix = json!({ "type": "ReplacePrefixMatch", "replacePrefixMatch": "/b" });
    let exact = json!({
        "matches": [{ "path": { "type": "Exact", "value": "/a" } }],
        "filters": [{ "type": "URLRewrite", "urlRewrite": { "path": prefix } }],
    });
    refused(&rule(exact), "spec.rules[0]", "exactly one PathPrefix match must be specified");
    let mirror = json!({ "backendRef": { "name": "a", "port": 1 }, "percent": 1, "fraction": { "numerator": 1 } });
    refused(
        &filters(json!([{ "type": "RequestMirror", "requestMirror": mirror }])),
        "spec.rules[0].filters[0].requestMirror",
        "Only one of percent or fraction",
    );
}

#[test]
fn backend_and_timeout_rules_hold() {
    refused(&rule(json!({ "backendRefs": [{ "name": "a" }] })), "spec.rules[0].backendRefs[0]", "port for Service");
    let timeouts = json!({ "timeouts": { "request": "1s", "backendRequest": "2s" } });
    refused(&rule(timeouts), "spec.rules[0].timeouts", "backendRequest timeout cannot be longer");
    refused(&rule(json!({ "timeouts": { "request": "1d" } })), "spec.rules[0].timeouts.request", "pattern");
    let parents = json!({ "parentRefs": [{ "name": "a" }, { "name": "a" }] });
    refused(&object(Kind::HTTPRoute, parents), "spec.parentRefs", "sectionName or port must be unique");
}

#[test]
fn listener_rules_hold() {
    let at = "spec.listeners";
    refused(
        &gateway(json!([{ "name": "a", "port": 80, "protocol": "TCP", "hostname": "a.b" }])),
        at,
        "hostname must not be specified",
    );
    refused(
        &gateway(
            json!([{ "name": "a", "port": 80, "protocol": "HTTP", "tls": { "certificateRefs": [{ "name": "c" }] } }]),
        ),
        at,
        "tls must not be specified",
    );
    refused(
        &gateway(json!([{ "name": "a", "port": 443, "protocol": "HTTPS", "tls": { "mode": "Passthrough" } }])),
        at,
        "tls mode must be Terminate",
    );
    refused(
        &gateway(json!([{ "name": "a", "port": 443, "protocol": "HTTPS", "tls": {} }])),
        "spec.listeners[0].tls",
        "certificateRefs or options must be specified",
    );
    let same =
        json!([{ "name": "a", "port": 80, "protocol": "HTTP" }, { "name": "b", "port": 80, "protocol": "HTTP" }]);
    refused(&gateway(same), at, "must be unique");
    refused(&gateway(json!([{ "name": "a", "port": 0, "protocol": "HTTP" }])), "spec.listeners[0].port", "at least 1");
}

#[test]
fn other_kinds_have_their_rules() {
    refused(
        &object(Kind::GRPCRoute, json!({ "rules": [{ "matches": [{ "method": { "type": "Exact" } }] }] })),
        "spec.rules[0].matches[0].method",
        "One or both of 'service' or 'method'",
    );
    refused(
        &object(
            Kind::TLSRoute,
            json!({ "hostnames": ["10.0.0.1"], "rules": [{ "backendRefs": [{ "name": "a", "port": 1 }] }] }),
        ),
        "spec.hostnames",
        "IP",
    );
    let policy = json!({
        "targetRefs": [{ "group": "", "kind": "Service", "name": "a" }],
        "validation": { "hostname": "a.b" },
    });
    refused(&object(Kind::BackendTLSPolicy, policy), "spec.validation", "exactly one of the fields");
    refused(&object(Kind::Backend, json!({ "endpoints": [{ "zone": "a" }] })), "spec.endpoints[0]", "exactly one of");
    refused(
        &object(Kind::Backend, json!({ "endpoints": [{ "ip": { "address": "a", "port": 1 } }] })),
        "spec.endpoints[0].ip.address",
        "must be an IPv4 or IPv6 address",
    );
    refused(&object(Kind::RouteFilter, json!({})), "spec", "one of urlRewrite and directResponse");
    let host = json!({ "urlRewrite": { "hostname": { "type": "Header" } } });
    refused(&object(Kind::RouteFilter, host), "spec.urlRewrite.hostname", "header must be set");
    refused(
        &json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "a" }, "spec": { "ports": [{ "port": "x" }] } }),
        "spec.ports[0].port",
        "invalid type",
    );
}

#[test]
fn metadata_is_checked() {
    let with = |metadata: Value| json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata, "spec": {} });
    refused(&with(json!({})), "metadata.name", "is required");
    refused(&with(json!({ "name": "A_b" })), "metadata.name", "lower-case");
    refused(&with(json!({ "name": "a", "namespace": "a.b" })), "metadata.namespace", "lower-case");
    refused(&with(json!({ "name": "a", "labels": { "a b": "x" } })), "metadata.labels[\"a b\"]", "key");
    refused(&with(json!({ "name": "a", "annotations": { "a": 1 } })), "metadata.annotations.a", "must be a string");
    let mut wrong = with(json!({ "name": "a" }));
    wrong["apiVersion"] = json!("gateway.networking.k8s.io/v7");
    let found = validate(Kind::HTTPRoute, &wrong);
    assert_eq!(found[0].path, "apiVersion", "{found:?}");
}

#[test]
fn unknown_fields_are_warnings_and_do_not_hide_errors() {
    let value = rule(json!({ "backendRef": [], "backendRefs": [{ "name": "a", "port": 0 }] }));
    let found = validate(Kind::HTTPRoute, &value);
    let warning = Violation {
        path: "spec.rules[0].backendRef".to_owned(),
        message: "unknown field".to_owned(),
        severity: Severity::Warning,
    };
    assert!(found.contains(&warning), "{found:?}");
    assert!(found.iter().any(|found| found.path == "spec.rules[0].backendRefs[0].port"), "{found:?}");
    let mut value = rule(json!({}));
    value["sepc"] = json!({});
    assert_eq!(validate(Kind::HTTPRoute, &value)[0].to_string(), "sepc: unknown field");
}

#[test]
fn versions_have_their_own_schema() {
    let spec = json!({ "rules": [{ "backendRefs": [{ "name": "a", "port": 1 }] }] });
    refused(&object(Kind::TLSRoute, spec.clone()), "spec.hostnames", "is required");
    let mut old = object(Kind::TLSRoute, spec);
    old["apiVersion"] = json!("gateway.networking.k8s.io/v1alpha2");
    let found = validate(Kind::TLSRoute, &old);
    assert_eq!((found.len(), found[0].severity), (1, Severity::Warning), "{found:?}");
    assert!(found[0].message.contains("is deprecated: use \"gateway.networking.k8s.io/v1\""), "{found:?}");
    let mut gone = object(Kind::GRPCRoute, json!({}));
    gone["apiVersion"] = json!("gateway.networking.k8s.io/v1alpha2");
    let found = validate(Kind::GRPCRoute, &gone);
    assert!(found[0].message.contains("is no longer served"), "{found:?}");
}

#[test]
fn unknown_enum_values_are_listed() {
    let value = object(
        Kind::HTTPRoute,
        json!({ "rules": [{
        "matches": [{ "path": { "type": "Glob", "value": "/" }, "method": "GET" }],
        "filters": [{ "type": "Levitate" }],
    }] }),
    );
    assert_eq!(
        unknown_enum_values(Kind::HTTPRoute, &value),
        vec![
            ("spec.rules[0].filters[0].type".to_owned(), "Levitate".to_owned()),
            ("spec.rules[0].matches[0].path.type".to_owned(), "Glob".to_owned()),
        ]
    );
}
