use k8s_openapi::Resource;
use serde_json::json;

use super::*;
use crate::Scope;
use crate::gateway::{Gateway, HTTPRoute};

#[test]
fn kinds_are_found_by_every_version_we_accept() {
    for kind in Kind::ALL {
        for version in kind.versions() {
            let api =
                if kind.group().is_empty() { (*version).to_owned() } else { format!("{}/{version}", kind.group()) };
            assert_eq!(Kind::of(&api, kind.as_str()), Some(*kind));
        }
        assert_eq!(Kind::of_group(kind.group(), kind.as_str()), Some(*kind));
    }
    assert_eq!(Kind::of("gateway.networking.k8s.io/v2", "HTTPRoute"), None);
    assert_eq!(Kind::of("example.com/v1", "HTTPRoute"), None);
    assert_eq!(Kind::of("v1", "Pod"), None);
}

#[test]
fn the_table_of_kinds_agrees_with_the_crds() {
    for kind in Kind::ALL {
        let Some(text) = schema::source(*kind) else {
            continue;
        };
        let crd: Value = serde_json::from_str(text).unwrap();
        assert_eq!(crd["names"]["kind"], kind.as_str());
        assert_eq!(crd["group"], kind.group(), "{kind}");
        assert_eq!(crd["names"]["plural"], kind.plural(), "{kind}");
        let scope = if kind.scope() == Scope::Namespaced { "Namespaced" } else { "Cluster" };
        assert_eq!(crd["scope"], scope, "{kind}");
        assert_eq!(crd["experimental"]["kind"] == true, kind.is_experimental(), "{kind}");
        let crd = schema::crd(*kind).unwrap();
        for version in crd.versions.iter().filter(|version| version.served) {
            assert!(kind.versions().contains(&version.name.as_str()), "{kind} {}", version.name);
        }
        assert!(crd.versions.iter().any(|version| version.name == kind.version()), "{kind}");
    }
}

#[test]
fn errors_name_the_field() {
    let value = json!({ "metadata": { "name": "r" }, "spec": { "rules": [{ "backendRefs": [{ "name": "a" }, { "port": "x" }] }] } });
    let error = Object::parse(Kind::HTTPRoute, value).unwrap_err();
    assert_eq!(error.path, "spec.rules[0].backendRefs[1].port");
    assert!(error.message.contains("invalid type"), "{error}");
    let error = Object::parse(Kind::HTTPRoute, json!({ "spec": { "rules": [{ "backendRefs": [{}] }] } })).unwrap_err();
    assert_eq!(error.path, "spec.rules[0].backendRefs[0]");
    assert!(error.message.contains("missing field `name`"), "{error}");
    let error = Object::parse(Kind::Gateway, json!([])).unwrap_err();
    assert_eq!((error.path.as_str(), error.kind), (".", Kind::Gateway));
}

#[test]
fn an_object_knows_what_and_who_it_is() {
    let value = json!({ "metadata": { "name": "r", "namespace": "ns" }, "spec": {} });
    let object = Object::parse(Kind::HTTPRoute, value).unwrap();
    assert_eq!((object.kind(), object.name(), object.namespace()), (Kind::HTTPRoute, "r", Some("ns")));
    assert!(object.typed::<HTTPRoute>().is_some());
    assert!(object.typed::<Gateway>().is_none());
    let again = object.to_value().unwrap();
    assert_eq!(again["apiVersion"], HTTPRoute::API_VERSION);
    assert_eq!(Object::parse(Kind::HTTPRoute, again).unwrap(), object);
}

#[test]
fn a_null_field_is_an_absent_field() {
    let value = json!({ "metadata": { "name": "r", "creationTimestamp": null }, "spec": { "hostnames": null, "rules": [{ "matches": null }] }, "status": null });
    let object = Object::parse(Kind::HTTPRoute, value).unwrap();
    let route = object.typed::<HTTPRoute>().unwrap();
    assert!(route.spec.hostnames.is_empty());
    assert_eq!(route.spec.rules[0].matches.len(), 1, "a null field gets its default");
}
