use serde_json::json;

use super::*;
use crate::Object;

fn parse(kind: Kind, value: Value) -> Object {
    Object::parse(kind, value).unwrap()
}

#[test]
fn a_namespace_carries_its_name_as_a_label() {
    let object =
        parse(Kind::Namespace, json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "a" } }));
    assert_eq!(object.metadata().labels.get("kubernetes.io/metadata.name"), Some("a"));
}

#[test]
fn of_a_service_and_a_slice_stays_what_is_read() {
    let given = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "a", "resourceVersion": "7", "labels": { "app": "a" } },
        "spec": {
            "type": "ClusterIP", "selector": { "app": "a" }, "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
            "ports": [{ "port": 80, "targetPort": 8080, "name": "http" }],
        },
    });
    let service = parse(Kind::Service, given);
    let kept = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "a", "labels": { "app": "a" } },
        "spec": {
            "type": "ClusterIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
            "ports": [{ "port": 80, "name": "http" }],
        },
    });
    assert_eq!(service.to_value().unwrap(), kept);
    let given = json!({
        "metadata": { "name": "a" }, "addressType": "IPv4", "ports": [{ "port": 8080 }],
        "endpoints": [{ "addresses": ["10.1.0.1"], "conditions": { "ready": true }, "targetRef": { "name": "p" } }],
    });
    let slice = parse(Kind::EndpointSlice, given);
    let slice = slice.typed::<EndpointSlice>().unwrap();
    assert_eq!(slice.address_type, AddressType::Ipv4);
    assert_eq!((slice.endpoints[0].conditions.ready, slice.ports[0].port), (Some(true), Some(8080)));
}

#[test]
fn a_secret_takes_text_and_broken_base64_lines() {
    let object = parse(
        Kind::Secret,
        json!({ "metadata": { "name": "a" }, "data": { "x": "aGVs\nbG8=\n" }, "stringData": { "y": "world" } }),
    );
    let secret = object.typed::<Secret>().unwrap();
    let data = secret.data.as_ref().unwrap();
    assert_eq!(data["x"].0, b"hello");
    assert_eq!(data["y"].0, b"world");
    assert_eq!(secret.type_.as_deref(), Some("Opaque"));
}
