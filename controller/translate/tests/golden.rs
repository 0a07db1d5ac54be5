//! Golden triples: `testdata/<topic>/<case>/in.yaml` gives `ir.yaml` and `status.yaml`, and in a cluster `fleet.yaml`. `UPDATE_GOLDEN=1`
//! rewrites them; then read the diff.
//!
//! In `in.yaml`, `{cert NAME …}` and `{key NAME …}` stand for a key pair of these names, `{expired NAME}` for a certificate of
//! 2026-01, `{ca}` for a CA certificate. `settings.yaml` beside it changes [`Settings`], and with `shownObjects` what `fleet.yaml` shows.

#![allow(clippy::unwrap_used)]

mod common;

use common::{cases, objects, settings, shown_objects};
use fairlead_crds::Kind;
use fairlead_ir::{BackendTarget, CaSource, Discovery, Filter, HttpSettings, ListenerFilters};
use fairlead_store::World;
use fairlead_translate::status::Reason;
use fairlead_translate::{Plan, Settings, plan};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

#[test]
fn golden() {
    let mut wrong = Vec::new();
    for case in cases() {
        let plan = plan(&World::of(objects(&case)), &settings(&case));
        check_references(&plan, &case);
        let fleet = (!plan.fleet.is_empty()).then(|| ("fleet.yaml", fleet(&plan, shown_objects(&case))));
        for (name, value) in [("ir.yaml", ir(&plan)), ("status.yaml", status(&plan))].into_iter().chain(fleet) {
            let (path, text) = (case.join(name), yaml(&value));
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                fs::write(&path, &text).unwrap();
            } else if fs::read_to_string(&path).unwrap_or_default() != text {
                wrong.push(format!(
                    "{}\n{}",
                    path.display(),
                    difference(&fs::read_to_string(&path).unwrap_or_default(), &text)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "differs from the golden file (UPDATE_GOLDEN=1 rewrites):\n{}", wrong.join("\n"));
}

/// Each reason that a condition can have is in some golden status.
#[test]
fn every_reason_is_shown() {
    let all: String =
        cases().iter().map(|case| fs::read_to_string(case.join("status.yaml")).unwrap_or_default()).collect();
    // What proxies have is not the Plan's to know: the status writer says so.
    let planned = Reason::ALL.iter().filter(|reason| !matches!(reason, Reason::Pending | Reason::NoResources));
    let missing: Vec<_> = planned.filter(|reason| !all.contains(&format!(" {reason}: "))).collect();
    assert!(missing.is_empty(), "no golden case shows {missing:?}");
}

/// Whatever one object of a case lacks, the rest still gives a Plan, and so does nothing at all.
#[test]
fn total() {
    for case in cases() {
        let all = objects(&case);
        for left_out in 0..all.len() {
            let rest = all.iter().enumerate().filter(|(i, _)| *i != left_out).map(|(_, object)| object.clone());
            let plan = plan(&World::of(rest), &settings(&case));
            check_references(&plan, &case);
        }
    }
    assert_eq!(plan(&World::default(), &Settings::default()), Plan::default());
}

/// A configuration holds what it names, and nothing else.
fn check_references(plan: &Plan, case: &Path) {
    let config = &plan.config;
    let (mut clusters, mut endpoints, mut secrets) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for route in config.routes.values() {
        assert!(!route.listeners.is_empty(), "{}: {} is on no listener", case.display(), route.id);
        assert!(route.listeners.iter().all(|id| config.listeners.contains_key(id)), "{}: {}", case.display(), route.id);
        for backend in &route.backends {
            clusters.extend(match &backend.target {
                BackendTarget::Cluster(id) => Some(id),
                BackendTarget::Invalid(_) => None,
            });
        }
        for filter in route.filters.iter().chain(route.backends.iter().flat_map(|backend| &backend.filters)) {
            clusters.extend(filter.cluster());
        }
    }
    let filters = config.listeners.values().filter_map(|listener| listener.filters.as_ref());
    let filters = filters.flat_map(|filters| match filters {
        ListenerFilters::Run(filters) => filters.as_slice(),
        ListenerFilters::Broken(_) => &[],
    });
    clusters.extend(filters.filter_map(Filter::cluster));
    let traced = config.listeners.values().filter_map(|listener| listener.http.tracing.as_ref());
    clusters.extend(traced.map(|tracing| &tracing.cluster));
    for cluster in config.clusters.values() {
        if let Discovery::Endpoints(id) = &cluster.discovery {
            endpoints.insert(id);
        }
        if let Some(tls) = &cluster.tls {
            secrets.extend(&tls.client_certificate);
            if let CaSource::Secrets(ids) = &tls.ca {
                secrets.extend(ids);
            }
        }
    }
    for tls in config.listeners.values().flat_map(|listener| &listener.tls) {
        secrets.extend(&tls.certificates);
        secrets.extend(tls.client_validation.iter().flat_map(|validation| &validation.cas));
    }
    assert_eq!(clusters, config.clusters.keys().collect(), "{}", case.display());
    assert_eq!(endpoints, config.endpoints.keys().collect(), "{}", case.display());
    assert_eq!(secrets, config.secrets.keys().collect(), "{}", case.display());
}

/// The configuration, without PEM and without what is always the same.
fn ir(plan: &Plan) -> Value {
    let mut value = serde_json::to_value(&plan.config).unwrap();
    let http = serde_json::to_value(HttpSettings::default()).unwrap();
    let constant = [
        ("http", http),
        ("loadBalancing", json!("leastRequest")),
        ("connectTimeout", json!(5000)),
        ("idleTimeout", json!(60_000)),
        ("timeouts", json!({})),
    ];
    for (id, resource) in
        value.as_object_mut().unwrap().values_mut().flat_map(|map| map.as_object_mut().unwrap().iter_mut())
    {
        let fields = resource.as_object_mut().unwrap();
        assert_eq!(fields.remove("id"), Some(json!(id)));
        fields.retain(|name, value| !constant.iter().any(|(other, same)| name == other && value == same));
        if let Some(order) = fields.get_mut("order") {
            *order = json!(
                format!("{} {} {}", order["created"], order["object"].as_str().unwrap(), order["rule"])
                    .replace(&i64::MAX.to_string(), "-")
            );
        }
        if let Some(certificates) = fields.get_mut("certificates").filter(|certificates| certificates.is_string()) {
            *certificates = json!(certificates.as_str().unwrap().matches("BEGIN CERTIFICATE").count());
        }
        if let Some(key) = fields.get_mut("key") {
            *key = json!("…");
        }
    }
    strip(value)
}

/// `Accepted=False NoMatchingParent: message` for each condition, kinds by name.
fn brief(value: &mut Value) {
    let text = |value: &Value, field: &str| value[field].as_str().unwrap().to_owned();
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match (name.as_str(), value) {
                    ("conditions", Value::Array(conditions)) => {
                        for condition in conditions {
                            let generation =
                                condition["observedGeneration"].as_i64().map(|n| format!("@{n}")).unwrap_or_default();
                            *condition = json!(format!(
                                "{}={}{generation} {}: {}",
                                text(condition, "type"),
                                text(condition, "status"),
                                text(condition, "reason"),
                                text(condition, "message")
                            ));
                        }
                    }
                    ("supportedKinds", kinds) => {
                        *kinds = kinds.as_array().unwrap().iter().map(|kind| json!(text(kind, "kind"))).collect();
                    }
                    (_, other) => brief(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(brief),
        _ => {}
    }
}

fn status(plan: &Plan) -> Value {
    let status = &plan.status;
    let mut value = Map::new();
    let mut add = |name: &str, entries: BTreeMap<String, Value>| {
        value.insert(name.to_owned(), serde_json::to_value(entries).unwrap());
    };
    fn by_key<V: serde::Serialize>(map: &imbl::OrdMap<fairlead_store::Key, V>) -> BTreeMap<String, Value> {
        map.iter().map(|(key, value)| (key.to_string(), serde_json::to_value(value).unwrap())).collect()
    }
    fn by_id<V: serde::Serialize>(map: &imbl::OrdMap<(Kind, fairlead_store::Key), V>) -> BTreeMap<String, Value> {
        map.iter().map(|((kind, key), value)| (format!("{kind} {key}"), serde_json::to_value(value).unwrap())).collect()
    }
    add("gatewayClasses", by_key(&status.gateway_classes));
    add("gateways", by_key(&status.gateways));
    add("listenerSets", by_key(&status.listener_sets));
    add("orphans", by_key(&status.orphans));
    add("routes", by_id(&status.routes));
    add("policies", by_id(&status.policies));
    add("objects", by_id(&status.objects));
    value.insert("notes".to_owned(), plan.notes.iter().map(|note| json!(note.to_string())).collect());
    let mut value = Value::Object(value);
    brief(&mut value);
    strip(value)
}

/// The objects of each Gateway's proxies, by kind.
fn fleet(plan: &Plan, shown: Option<Vec<String>>) -> Value {
    let each = plan.fleet.iter().map(|(key, fleet)| {
        let objects = fleet.objects.iter().map(|object| (object.kind.as_str().to_owned(), object.manifest.clone()));
        let objects = objects.filter(|(kind, _)| shown.as_ref().is_none_or(|shown| shown.contains(kind)));
        let fleet = json!({
            "name": &*fleet.name,
            "partial": fleet.partial,
            "objects": objects.collect::<BTreeMap<_, _>>(),
        });
        (key.to_string(), fleet)
    });
    Value::Object(each.collect())
}

/// Leaves out empty maps and lists, at the top only.
fn strip(mut value: Value) -> Value {
    let empty =
        |value: &Value| value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
    value.as_object_mut().unwrap().retain(|_, value| !empty(value));
    value
}

fn yaml(value: &Value) -> String {
    let text = serde_saphyr::to_string(value).unwrap();
    if text.ends_with('\n') { text } else { text + "\n" }
}

fn difference(old: &str, new: &str) -> String {
    let first =
        old.lines().zip(new.lines()).position(|(a, b)| a != b).unwrap_or(old.lines().count().min(new.lines().count()));
    let show = |text: &str| {
        text.lines().skip(first.saturating_sub(2)).take(8).map(|line| format!("    {line}\n")).collect::<String>()
    };
    format!("  line {}: golden:\n{}  now:\n{}", first + 1, show(old), show(new))
}
