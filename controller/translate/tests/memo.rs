//! The memo gives what a planner without memory gives, with work in proportion to the change.

#![allow(clippy::unwrap_used)]

mod common;

use fairlead_crds::{Kind, Object};
use fairlead_ir::ResourceId;
use fairlead_store::{Key, World};
use fairlead_translate::{Plan, Planner, Settings, plan};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

type Id = (Kind, Key);

/// Every object of every golden case; one that several cases have is a choice of versions.
static VERSIONS: LazyLock<Vec<(Id, Vec<Object>)>> = LazyLock::new(|| {
    let mut versions: BTreeMap<Id, Vec<Object>> = BTreeMap::new();
    for object in common::cases().iter().flat_map(|case| common::objects(case)) {
        versions.entry(id(&object)).or_default().push(object);
    }
    versions.into_iter().collect()
});

fn id(object: &Object) -> Id {
    (object.kind(), Key::new(object.namespace().unwrap_or_default(), object.name()))
}

fn settings(shared: bool) -> Settings {
    Settings { shared_addresses: shared, now: Some(1_790_000_000), ..Settings::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_memo_changes_nothing(
        start in vec(any::<(bool, Index)>(), VERSIONS.len()),
        steps in vec(vec((any::<Index>(), any::<Option<Index>>()), 1..4), 1..12),
        shared in any::<bool>(),
    ) {
        let mut objects: BTreeMap<Id, Object> = BTreeMap::new();
        for ((id, versions), (there, version)) in VERSIONS.iter().zip(&start) {
            if *there {
                objects.insert(id.clone(), version.get(versions).clone());
            }
        }
        let mut planner = Planner::new(settings(shared));
        let mut last = planner.plan(&World::of(objects.values().cloned()), &[]);
        for step in steps {
            let mut changed = Vec::new();
            for (slot, version) in step {
                let (id, versions) = slot.get(&VERSIONS);
                match version {
                    Some(version) => objects.insert(id.clone(), version.get(versions).clone()),
                    None => objects.remove(id),
                };
                changed.push(id.clone());
            }
            let world = World::of(objects.values().cloned());
            let touched = planner.update(&world, &changed);
            let next = planner.plan(&world, &[]);
            let reference = plan(&world, &settings(shared));
            prop_assert_eq!(&next.config, &reference.config, "after {:?}", changed);
            prop_assert_eq!(&next.status, &reference.status, "after {:?}", changed);
            prop_assert_eq!(&next.notes, &reference.notes, "after {:?}", changed);
            shares(&last, &next)?;
            prop_assert!(differing_ids(&last, &next).is_subset(&touched), "after {:?}", changed);
            last = next;
        }
        // All over again, as after a change of settings: equal, and the same.
        planner.set_settings(Settings { now: None, ..settings(shared) });
        planner.set_settings(settings(shared));
        let again = planner.plan(&World::of(objects.values().cloned()), &[]);
        prop_assert_eq!(&again, &last);
        shares(&last, &again)?;
    }
}

/// Whatever goes and comes back is noticed by all that look at it.
#[test]
fn each_object_of_each_case_goes_and_comes_back() {
    for case in common::cases() {
        let (objects, settings) = (common::objects(&case), common::settings(&case));
        let mut planner = Planner::new(settings.clone());
        planner.plan(&World::of(objects.iter().cloned()), &[]);
        for (i, object) in objects.iter().enumerate() {
            let rest = objects.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, other)| other.clone());
            for world in [World::of(rest), World::of(objects.iter().cloned())] {
                planner.update(&world, &[id(object)]);
                let (next, reference) = (planner.plan(&world, &[]), plan(&world, &settings));
                let at = format!("{}: {:?}", case.display(), id(object));
                assert_eq!(next.config, reference.config, "{at}");
                assert_eq!(next.status, reference.status, "{at}");
                assert_eq!(next.notes, reference.notes, "{at}");
            }
        }
    }
}

/// What is equal is the same.
fn shares(old: &Plan, new: &Plan) -> Result<(), TestCaseError> {
    macro_rules! check {
        ($($field:ident),*) => {$(
            for (id, value) in &new.config.$field {
                if let Some(known) = old.config.$field.get(id) && known == value {
                    prop_assert!(Arc::ptr_eq(known, value), "{} is a copy", id);
                }
            }
        )*};
    }
    check!(listeners, routes, clusters, endpoints, secrets);
    for (id, value) in &new.status.routes {
        if let Some(known) = old.status.routes.get(id)
            && known == value
        {
            prop_assert!(Arc::ptr_eq(known, value), "the status of {} is a copy", id.1);
        }
    }
    Ok(())
}

/// Ids of all resources that are not the same.
fn differing_ids(old: &Plan, new: &Plan) -> BTreeSet<ResourceId> {
    let mut ids = BTreeSet::new();
    macro_rules! check {
        ($($field:ident $kind:ident),*) => {$(
            ids.extend(differing(&old.config.$field, &new.config.$field).into_iter().map(|id| ResourceId::$kind(id.into())));
        )*};
    }
    check!(listeners Listener, routes Route, clusters Cluster, endpoints Endpoints, secrets Secret);
    ids
}

fn object(value: serde_json::Value) -> Object {
    let text = |field: &str| value[field].as_str().unwrap().to_owned();
    Object::parse(Kind::of(&text("apiVersion"), &text("kind")).unwrap(), value).unwrap()
}

fn route(i: usize, backend: usize) -> Object {
    object(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": format!("r{i}"), "namespace": "shop"},
        "spec": {"parentRefs": [{"name": "web"}], "hostnames": [format!("h{i}.example.com")],
            "rules": [{"matches": [{"path": {"value": format!("/p{i}")}}], "backendRefs": [{"name": format!("s{backend}"), "port": 80}]}]}
    }))
}

fn service(i: usize) -> Object {
    object(
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": format!("s{i}"), "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}}),
    )
}

fn slice(i: usize, last: usize) -> Object {
    object(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": [{"port": 8080}],
        "metadata": {"name": format!("s{i}"), "namespace": "shop", "labels": {"kubernetes.io/service-name": format!("s{i}")}},
        "endpoints": [{"addresses": [format!("10.0.0.{last}")]}]
    }))
}

fn many(routes: usize) -> Vec<Object> {
    let mut objects = vec![object(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"gatewayClassName": "fairlead", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}
    }))];
    for i in 0..routes {
        objects.extend([route(i, i), service(i), slice(i, 1)]);
    }
    objects
}

/// Replaces an object and returns what changed.
fn replace(objects: &mut [Object], new: Object) -> [Id; 1] {
    let changed = id(&new);
    let at = objects.iter().position(|object| id(object) == changed).unwrap();
    objects[at] = new;
    [changed]
}

/// Ids of which the two configurations have different resources.
fn differing<T>(old: &BTreeMap<Arc<str>, Arc<T>>, new: &BTreeMap<Arc<str>, Arc<T>>) -> Vec<String> {
    let all: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let same = |id: &Arc<str>| matches!((old.get(id), new.get(id)), (Some(a), Some(b)) if Arc::ptr_eq(a, b));
    all.into_iter().filter(|id| !same(id)).map(ToString::to_string).collect()
}

#[test]
fn work_follows_the_change() {
    let mut objects = many(100);
    let mut planner = Planner::new(Settings::default());
    let before = planner.plan(&World::of(objects.clone()), &[]);
    assert_eq!((before.config.routes.len(), planner.looked_at()), (100, 100));

    let changed = replace(&mut objects, slice(7, 9));
    let after = planner.plan(&World::of(objects.clone()), &changed);
    assert_eq!(planner.looked_at(), 0, "an EndpointSlice concerns no route");
    assert_eq!(differing(&before.config.endpoints, &after.config.endpoints), ["service/shop/s7/80"]);
    assert!(differing(&before.config.routes, &after.config.routes).is_empty());
    assert!(differing(&before.config.clusters, &after.config.clusters).is_empty());

    let before = after;
    let changed = replace(&mut objects, route(3, 4));
    let after = planner.plan(&World::of(objects.clone()), &changed);
    assert_eq!(planner.looked_at(), 1);
    assert_eq!(differing(&before.config.routes, &after.config.routes), ["httproute/shop/r3/0"]);
    assert_eq!(differing(&before.config.clusters, &after.config.clusters), ["service/shop/s3/80"]);
    assert_eq!(differing(&before.config.endpoints, &after.config.endpoints), ["service/shop/s3/80"]);

    let missing = objects.iter().position(|object| id(object) == id(&service(4))).unwrap();
    let gone = id(&objects.remove(missing));
    let after = planner.plan(&World::of(objects.clone()), &[gone]);
    assert_eq!(planner.looked_at(), 2, "both routes of the Service");
    assert!(!after.config.clusters.contains_key("service/shop/s4/80"));

    planner.plan(&World::of(objects.clone()), &[id(&objects[0])]);
    assert_eq!(planner.looked_at(), 0, "a Gateway that means the same");
}

#[test]
fn endpoints_follow_service_and_slices() {
    let mut objects = many(2);
    let mut planner = Planner::new(Settings::default());
    let addresses = |plan: &Plan| plan.config.endpoints["service/shop/s1/80"].endpoints.len();
    assert_eq!(addresses(&planner.plan(&World::of(objects.clone()), &[])), 1);

    let mut renamed = service(1).to_value().unwrap();
    renamed["spec"]["ports"][0]["name"] = json!("web");
    let changed = replace(&mut objects, object(renamed));
    let plan = planner.plan(&World::of(objects.clone()), &changed);
    assert_eq!(addresses(&plan), 0, "no slice has a port of this name");

    let mut moved = slice(0, 5).to_value().unwrap();
    moved["metadata"]["labels"]["kubernetes.io/service-name"] = json!("s1");
    moved["ports"][0]["name"] = json!("web");
    let changed = replace(&mut objects, object(moved));
    let plan = planner.plan(&World::of(objects.clone()), &changed);
    assert_eq!(addresses(&plan), 1, "the slice changed hands");
    assert!(plan.config.endpoints["service/shop/s0/80"].endpoints.is_empty());
    assert_eq!(plan, fairlead_translate::plan(&World::of(objects.clone()), &Settings::default()));
}

/// `cargo test -p fairlead-translate --test memo -- --ignored --nocapture` prints what a change among 10,000 routes costs.
#[test]
#[ignore = "prints times"]
fn ten_thousand_routes() {
    let mut objects = many(10_000);
    let time = |what: &str, run: &mut dyn FnMut()| {
        let start = Instant::now();
        run();
        println!("{what}: {:?}", start.elapsed());
    };
    let mut planner = Planner::new(Settings::default());
    let world = World::of(objects.clone());
    let mut last = None;
    time("first Plan", &mut || last = Some(planner.plan(&world, &[])));
    for round in 0..3 {
        let changed = replace(&mut objects, route(17, 18 + round));
        let world = World::of(objects.clone());
        time("one route", &mut || drop(planner.update(&world, &changed)));
        let changed = replace(&mut objects, slice(17, 2 + round));
        let world = World::of(objects.clone());
        time("one EndpointSlice", &mut || drop(planner.update(&world, &changed)));
        time("a copy of the Plan", &mut || last = Some(planner.plan(&world, &[])));
    }
    assert_eq!(last.unwrap().config.routes.len(), 10_000);
}

/// Which Secrets a Plan depends on is told once, whether they exist or not, and again when it changes.
#[test]
fn secrets_that_are_needed_are_told() {
    let object = |text: &str| {
        let value: serde_json::Value = serde_saphyr::from_str(text).unwrap();
        let kind = Kind::of(value["apiVersion"].as_str().unwrap(), value["kind"].as_str().unwrap()).unwrap();
        fairlead_crds::Object::parse(kind, value).unwrap()
    };
    let gateway = object(
        "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: web, namespace: shop}, spec: {gatewayClassName: fairlead, listeners: \
         [{name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}]}}",
    );
    let policy = object(
        "{apiVersion: gateway.networking.k8s.io/v1, kind: BackendTLSPolicy, metadata: {name: p, namespace: shop}, spec: {targetRefs: \
         [{group: '', kind: Service, name: s}], validation: {hostname: a.example, caCertificateRefs: [{group: '', kind: Secret, name: ca}]}}}",
    );
    let mut planner = Planner::new(Settings::default());
    let key = |name: &str| Key::new("shop", name);
    planner.update(&World::of([gateway.clone()]), &[]);
    assert_eq!(planner.take_secrets(), Some([key("cert")].into()));
    assert_eq!(planner.take_secrets(), None);
    planner.update(&World::of([gateway.clone(), policy]), &[(Kind::BackendTLSPolicy, key("p"))]);
    assert_eq!(planner.take_secrets(), Some([key("ca"), key("cert")].into()));
    planner.update(&World::of([gateway]), &[(Kind::BackendTLSPolicy, key("p"))]);
    assert_eq!(planner.take_secrets(), Some([key("cert")].into()));
    planner.update(&World::default(), &[(Kind::Gateway, key("web"))]);
    assert_eq!(planner.take_secrets(), Some([].into()));
}
