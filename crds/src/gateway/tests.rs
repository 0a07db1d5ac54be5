use k8s_openapi::Resource as _;
use serde_json::json;

use super::*;
use crate::{Kind, Object};

fn route(spec: serde_json::Value) -> HTTPRoute {
    let value = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": { "name": "r", "namespace": "ns" },
        "spec": spec,
    });
    let object = Object::parse(Kind::HTTPRoute, value).unwrap();
    HTTPRoute::clone(object.typed::<HTTPRoute>().unwrap())
}

#[test]
fn a_route_looks_as_if_read_from_an_api_server() {
    let route = route(json!({
        "parentRefs": [{ "name": "gw" }],
        "rules": [{
            "matches": [{ "headers": [{ "name": "a", "value": "b" }] }],
            "filters": [{ "type": "RequestRedirect", "requestRedirect": {} }],
            "backendRefs": [{ "name": "svc", "port": 80 }],
        }, {}],
    }));
    let parent = &route.spec.parent_refs[0];
    assert_eq!(parent.group.as_deref(), Some(GROUP));
    assert_eq!(parent.kind.as_deref(), Some("Gateway"));
    let rule = &route.spec.rules[0];
    assert_eq!(rule.matches[0].headers[0].type_, Some(HeaderMatchType::Exact));
    let path = rule.matches[0].path.as_ref().unwrap();
    assert_eq!((path.type_.clone(), path.value.as_deref()), (Some(PathMatchType::PathPrefix), Some("/")));
    assert_eq!(rule.filters[0].request_redirect.as_ref().unwrap().status_code, Some(302));
    let backend = &rule.backend_refs[0];
    assert_eq!((backend.group.as_deref(), backend.kind.as_deref()), (Some(""), Some("Service")));
    assert_eq!(backend.weight, Some(1));
    let empty = &route.spec.rules[1];
    assert_eq!(empty.matches.len(), 1, "a rule without matches matches everything");
    assert_eq!(empty.matches[0].path.as_ref().unwrap().value.as_deref(), Some("/"));
}

#[test]
fn a_gateway_gets_its_listener_defaults() {
    let value = json!({
        "apiVersion": "gateway.networking.k8s.io/v1beta1",
        "kind": "Gateway",
        "metadata": { "name": "gw" },
        "spec": {
            "gatewayClassName": "c",
            "addresses": [{ "value": "10.0.0.1" }],
            "listeners": [{
                "name": "l", "port": 443, "protocol": "HTTPS",
                "tls": { "certificateRefs": [{ "name": "cert" }] },
            }],
        },
    });
    let object = Object::parse(Kind::Gateway, value).unwrap();
    let gateway = object.typed::<Gateway>().unwrap();
    let listener = &gateway.spec.listeners[0];
    assert_eq!(listener.protocol, ProtocolType::Https);
    let namespaces = listener.allowed_routes.as_ref().unwrap().namespaces.as_ref().unwrap();
    assert_eq!(namespaces.from, Some(FromNamespaces::Same));
    let tls = listener.tls.as_ref().unwrap();
    assert_eq!(tls.mode, Some(TLSModeType::Terminate));
    assert_eq!(tls.certificate_refs[0].kind.as_deref(), Some("Secret"));
    assert_eq!(gateway.spec.addresses[0].type_, Some(AddressType::IpAddress));
}

#[test]
fn unknown_values_and_fields_do_not_fail_the_parse() {
    let route = route(json!({
        "surprise": { "deep": [1] },
        "rules": [{
            "matches": [{ "path": { "type": "Telepathy", "value": "/" }, "method": "BREW" }],
            "filters": [{ "type": "Levitate", "levitate": {} }],
        }],
    }));
    let rule = &route.spec.rules[0];
    let type_ = rule.matches[0].path.as_ref().unwrap().type_.clone().unwrap();
    assert_eq!(type_.as_str(), "Telepathy");
    assert!(!type_.is_known());
    assert_eq!(rule.matches[0].method, Some(HTTPMethod::Other("BREW".into())));
    assert_eq!(rule.filters[0].type_.as_str(), "Levitate");
}

#[test]
fn an_object_round_trips_through_json() {
    let route = route(json!({
        "parentRefs": [{ "name": "gw", "sectionName": "l" }],
        "rules": [{ "backendRefs": [{ "name": "svc", "port": 80, "weight": 3 }] }],
    }));
    let value = serde_json::to_value(&route).unwrap();
    assert_eq!(value["apiVersion"], "gateway.networking.k8s.io/v1");
    assert_eq!(value["kind"], "HTTPRoute");
    assert_eq!(value["spec"]["parentRefs"][0]["sectionName"], "l");
    assert!(value.get("status").is_none(), "an absent status is not written");
    assert_eq!(serde_json::from_value::<HTTPRoute>(value).unwrap(), route);
}

#[test]
fn kinds_are_kubernetes_resources() {
    assert_eq!(HTTPRoute::API_VERSION, "gateway.networking.k8s.io/v1");
    assert_eq!(HTTPRoute::URL_PATH_SEGMENT, "httproutes");
    assert_eq!(XMesh::GROUP, X_GROUP);
}
