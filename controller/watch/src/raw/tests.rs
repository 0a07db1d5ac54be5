use fairlead_crds::Kind;
use serde_json::json;

use super::Raw;

fn raw(value: &serde_json::Value) -> Raw {
    serde_json::from_str(&value.to_string()).unwrap()
}

#[test]
fn keeps_what_planning_reads() {
    let raw = raw(&json!({
        "apiVersion": "gateway.networking.k8s.io/v1beta1",
        "kind": "Gateway",
        "metadata": {
            "name": "g", "namespace": "a", "uid": "u1", "resourceVersion": "7", "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-02T00:00:00Z",
            "labels": {"a": "b"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "x": "y"},
            "managedFields": [{"manager": "kubectl"}], "finalizers": ["f"], "ownerReferences": [{"uid": "o"}],
        },
        "spec": {"gatewayClassName": "c"},
        "status": {"conditions": []},
    }));
    assert_eq!((raw.namespace(), raw.name()), ("a", "g"));
    let slim = raw.slim(Kind::Gateway, "gateway.networking.k8s.io/v1");
    let expected = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "metadata": {
            "name": "g", "namespace": "a", "uid": "u1", "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-02T00:00:00Z",
            "labels": {"a": "b"}, "annotations": {"x": "y"},
        },
        "spec": {"gatewayClassName": "c"},
    });
    assert_eq!(slim.value, expected);
    let stored = slim.stored.unwrap();
    assert_eq!((&*stored.uid, &*stored.resource_version), ("u1", "7"));
    assert_eq!(stored.status.as_ref().unwrap().get(), r#"{"conditions":[]}"#);
}

#[test]
fn of_a_service_the_addresses_of_its_load_balancer_count() {
    let service = |status: serde_json::Value| {
        let metadata = json!({"name": "s", "namespace": "a", "resourceVersion": "1", "uid": "u"});
        raw(&json!({"metadata": metadata, "spec": {}, "status": status})).slim(Kind::Service, "v1")
    };
    let status = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}, "conditions": []});
    assert_eq!(service(status).value["status"], json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}));
    let none = service(json!({"loadBalancer": {}}));
    assert!(none.value.get("status").is_none() && none.stored.is_none());
    assert_eq!(none.value["metadata"], json!({"name": "s", "namespace": "a"}));
}

#[test]
fn of_an_endpoint_slice_little_is_kept() {
    let slim = raw(&json!({
        "metadata": {
            "name": "s", "namespace": "a", "generation": 4,
            "labels": {"kubernetes.io/service-name": "s", "endpointslice.kubernetes.io/managed-by": "x"},
            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod"}, "zone": "z"}],
    }))
    .slim(Kind::EndpointSlice, "discovery.k8s.io/v1");
    let expected = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {"name": "s", "namespace": "a", "labels": {"kubernetes.io/service-name": "s"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "zone": "z"}],
    });
    assert_eq!(slim.value, expected);
}
