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
    let labels = object.metadata().labels.clone().unwrap();
    assert_eq!(labels["kubernetes.io/metadata.name"], "a");
}

#[test]
fn a_service_port_targets_itself_over_tcp() {
    let object = parse(Kind::Service, json!({ "metadata": { "name": "a" }, "spec": { "ports": [{ "port": 80 }] } }));
    let service = object.typed::<Service>().unwrap();
    let port = &service.spec.as_ref().unwrap().ports.as_ref().unwrap()[0];
    assert_eq!(port.protocol.as_deref(), Some("TCP"));
    assert_eq!(serde_json::to_value(&port.target_port).unwrap(), json!(80));
}

#[test]
fn an_endpoint_port_has_a_name_and_a_protocol() {
    let object = parse(
        Kind::EndpointSlice,
        json!({ "metadata": { "name": "a" }, "addressType": "IPv4", "endpoints": [], "ports": [{ "port": 8080 }] }),
    );
    let slice = object.typed::<EndpointSlice>().unwrap();
    let port = &slice.ports.as_ref().unwrap()[0];
    assert_eq!((port.name.as_deref(), port.protocol.as_deref()), (Some(""), Some("TCP")));
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
