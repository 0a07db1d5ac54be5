//! XBackends with an EndpointSelector in a cluster: the Service that finds their pods, and what comes of its EndpointSlices.

#![allow(clippy::unwrap_used)]

use fairlead_crds::{Kind, Object};
use fairlead_store::{Key, World};
use fairlead_translate::fleet::{self, ObjectKind};
use fairlead_translate::{Planner, Settings, plan};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const UID: &str = "5d2c6f0e-0000-4000-8000-000000000001";
const OTHER_UID: &str = "5d2c6f0e-0000-4000-8000-000000000002";
const SERVICE: &str = "fairlead-xbackend-5d2c6f0e-0000-4000-8000-000000000001";

fn settings() -> Settings {
    let fleet = fleet::Settings {
        image: "fairlead".into(),
        image_pull_policy: None,
        image_pull_secrets: Vec::new(),
        controller: "https://controller".into(),
        ca_bundle: "".into(),
    };
    Settings { fleet: Some(fleet), local_backends: false, shared_addresses: false, ..Settings::default() }
}

fn object(mut value: Value) -> Object {
    value["metadata"]["namespace"] = json!("shop");
    let text = |field: &str| value[field].as_str().unwrap().to_owned();
    let kind = Kind::of(&text("apiVersion"), &text("kind")).unwrap();
    Object::parse(kind, value).unwrap()
}

fn xbackend(uid: &str, app: &str) -> Object {
    object(json!({
        "apiVersion": "gateway.networking.x-k8s.io/v1alpha1",
        "kind": "XBackend",
        "metadata": { "name": "cart", "uid": uid },
        "spec": {
            "type": "EndpointSelector",
            "endpointSelector": { "matchLabels": { "app": app } },
            "port": { "number": 8080 },
        },
    }))
}

fn slice(name: &str, service: &str, address: &str) -> Object {
    object(json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": { "name": name, "labels": { "kubernetes.io/service-name": service, "app": "cart" } },
        "addressType": "IPv4",
        "ports": [{ "name": "backend", "port": 8080 }],
        "endpoints": [{ "addresses": [address] }],
    }))
}

fn route(backend: &str) -> Object {
    object(json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": { "name": "r" },
        "spec": {
            "parentRefs": [{ "name": "web" }],
            "rules": [{
                "backendRefs": [{ "group": "gateway.networking.x-k8s.io", "kind": "XBackend", "name": backend }],
            }],
        },
    }))
}

fn gateway() -> [Object; 2] {
    [
        object(json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": { "name": "web", "uid": "g" },
            "spec": { "gatewayClassName": "fairlead", "listeners": [{ "name": "http", "port": 80, "protocol": "HTTP" }] },
        })),
        Object::parse(
            Kind::GatewayClass,
            json!({
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "GatewayClass",
                "metadata": { "name": "fairlead" },
                "spec": { "controllerName": "fairlead.dev/gateway-controller" },
            }),
        )
        .unwrap(),
    ]
}

/// A planner and its World, changed object by object; each Plan is compared with one that is made from nothing.
struct Cluster {
    planner: Planner,
    objects: BTreeMap<(Kind, Key), Object>,
}

impl Cluster {
    fn of(objects: impl IntoIterator<Item = Object>) -> Cluster {
        let mut cluster = Cluster { planner: Planner::new(settings()), objects: BTreeMap::new() };
        let changed: Vec<_> = objects.into_iter().map(|object| cluster.put_in(object)).collect();
        cluster.plan(&changed);
        cluster
    }

    fn put_in(&mut self, object: Object) -> (Kind, Key) {
        let id = (object.kind(), Key::new(object.namespace().unwrap_or_default(), object.name()));
        self.objects.insert(id.clone(), object);
        id
    }

    fn put(&mut self, object: Object) {
        let id = self.put_in(object);
        self.plan(&[id]);
    }

    fn plan(&mut self, changed: &[(Kind, Key)]) {
        let world = World::of(self.objects.values().cloned());
        let now = self.planner.plan(&world, changed);
        assert_eq!(now, plan(&world, &settings()));
    }

    /// Names and selectors of the Services of XBackends.
    fn services(&self) -> Vec<(String, Value)> {
        let selections = self.planner.fleet().iter().filter(|(key, _)| fleet::is_selection(key));
        let objects = selections.flat_map(|(_, fleet)| fleet.objects.clone());
        objects.map(|object| (object.key.name.to_string(), object.manifest["spec"]["selector"].clone())).collect()
    }

    fn addresses(&self) -> Vec<String> {
        let endpoints = self.planner.config().endpoints.values().flat_map(|endpoints| &endpoints.endpoints);
        endpoints
            .map(|endpoint| serde_json::to_value(&endpoint.address).unwrap()["ip"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[test]
fn pods_are_found_by_a_service_that_nobody_can_name_beforehand() {
    let cluster = Cluster::of(gateway().into_iter().chain([xbackend(UID, "cart"), route("cart")]));
    let (_, fleet) = cluster.planner.fleet().iter().find(|(key, _)| fleet::is_selection(key)).unwrap();
    let [service] = &fleet.objects[..] else { panic!("{fleet:?}") };
    assert_eq!((service.kind, &*service.key.name, &*service.key.namespace), (ObjectKind::Service, SERVICE, "shop"));
    let manifest = &service.manifest;
    assert_eq!(manifest["spec"]["clusterIP"], "None");
    assert_eq!(manifest["spec"]["selector"], json!({ "app": "cart" }));
    assert_eq!(manifest["spec"]["ports"][0]["targetPort"], 8080);
    let owner = &manifest["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["name"], &owner["uid"]), (&json!("XBackend"), &json!("cart"), &json!(UID)));
    let owner = fleet::owner_key(owner["apiVersion"].as_str().unwrap(), "XBackend", "cart").unwrap();
    assert!(cluster.planner.fleet().contains_key(&Key::new("shop", &*owner)), "the applier finds it by its owner");
}

#[test]
fn endpoints_are_those_of_the_service_and_of_nobody_else() {
    let mut cluster = Cluster::of(gateway().into_iter().chain([xbackend(UID, "cart"), route("cart")]));
    assert!(cluster.addresses().is_empty());
    cluster.put(slice("theirs", "cart", "10.0.0.9"));
    assert!(cluster.addresses().is_empty(), "labels of slices are not what selects here");
    cluster.put(slice("ours", SERVICE, "10.0.0.1"));
    assert_eq!(cluster.addresses(), ["10.0.0.1:8080"]);
    cluster.put(slice("ours", SERVICE, "10.0.0.2"));
    assert_eq!(cluster.addresses(), ["10.0.0.2:8080"]);
    // Deleted and made again between two looks.
    cluster.put(slice("next", &SERVICE.replace(UID, OTHER_UID), "10.0.0.3"));
    cluster.put(xbackend(OTHER_UID, "cart"));
    assert_eq!(cluster.addresses(), ["10.0.0.3:8080"]);
}

#[test]
fn the_service_is_there_as_long_as_it_is_needed() {
    let mut cluster = Cluster::of(gateway().into_iter().chain([xbackend(UID, "cart")]));
    assert!(cluster.services().is_empty(), "nobody leads to it: it may be another implementation's");
    cluster.put(route("cart"));
    assert_eq!(cluster.services(), [(SERVICE.to_owned(), json!({ "app": "cart" }))]);
    cluster.put(xbackend(UID, "basket"));
    assert_eq!(cluster.services(), [(SERVICE.to_owned(), json!({ "app": "basket" }))]);
    cluster.put(route("another"));
    assert!(cluster.services().is_empty());
    cluster.put(route("cart"));
    assert_eq!(cluster.services().len(), 1);
    // A change of the frame keeps it.
    cluster.put(gateway()[0].clone());
    assert_eq!(cluster.services().len(), 1);
}
