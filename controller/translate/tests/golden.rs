//! Golden triples: `testdata/<topic>/<case>/in.yaml` gives `ir.yaml` and `status.yaml`. `UPDATE_GOLDEN=1` rewrites them; then
//! read the diff.
//!
//! In `in.yaml`, `{cert NAME …}` and `{key NAME …}` stand for a key pair of these names, `{expired NAME}` for a certificate of
//! 2026-01, `{ca}` for a CA certificate. `settings.yaml` beside it changes [`Settings`].

use fairlead_crds::{Kind, Object};
use fairlead_ir::{Bind, HttpSettings, ListenerProtocol};
use fairlead_store::World;
use fairlead_translate::status::Reason;
use fairlead_translate::{Plan, Settings, plan};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn golden() {
    let mut wrong = Vec::new();
    for case in cases() {
        let plan = plan(&world(&case), &settings(&case));
        for (name, value) in [("ir.yaml", ir(&plan)), ("status.yaml", status(&plan))] {
            let (path, text) = (case.join(name), yaml(&value));
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                fs::write(&path, &text).unwrap();
            } else if fs::read_to_string(&path).unwrap_or_default() != text {
                wrong.push(format!("{}\n{}", path.display(), difference(&fs::read_to_string(&path).unwrap_or_default(), &text)));
            }
        }
    }
    assert!(wrong.is_empty(), "differs from the golden file (UPDATE_GOLDEN=1 rewrites):\n{}", wrong.join("\n"));
}

/// Each reason that a condition can have is in some golden status.
#[test]
fn every_reason_is_shown() {
    let all: String = cases().iter().map(|case| fs::read_to_string(case.join("status.yaml")).unwrap_or_default()).collect();
    let missing: Vec<_> = Reason::ALL.iter().filter(|reason| !all.contains(&format!(" {reason}: "))).collect();
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

/// Nothing in a configuration names what is not in it.
fn check_references(plan: &Plan, case: &Path) {
    let config = &plan.config;
    for route in config.routes.values() {
        assert!(!route.listeners.is_empty(), "{}: {} is on no listener", case.display(), route.id);
        assert!(route.listeners.iter().all(|id| config.listeners.contains_key(id)), "{}: {}", case.display(), route.id);
        for backend in &route.backends {
            if let fairlead_ir::BackendTarget::Cluster(id) = &backend.target {
                assert!(config.clusters.contains_key(id), "{}: {} names {id}", case.display(), route.id);
            }
        }
    }
    for cluster in config.clusters.values() {
        if let fairlead_ir::Discovery::Endpoints(id) = &cluster.discovery {
            assert!(config.endpoints.contains_key(id), "{}: {} names {id}", case.display(), cluster.id);
        }
        let tls = cluster.tls.iter();
        let secrets = tls.flat_map(|tls| tls.client_certificate.iter().chain(match &tls.ca {
            fairlead_ir::CaSource::Secrets(ids) => ids.as_slice(),
            _ => &[],
        }));
        for id in secrets {
            assert!(config.secrets.contains_key(id), "{}: {} names {id}", case.display(), cluster.id);
        }
    }
    for listener in config.listeners.values() {
        let ids = listener.tls.iter().flat_map(|tls| tls.certificates.iter().chain(tls.client_validation.iter().flat_map(|v| &v.cas)));
        for id in ids {
            assert!(config.secrets.contains_key(id), "{}: {} names {id}", case.display(), listener.id);
        }
    }
}

fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let below = |dir: &Path| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect::<Vec<_>>();
    let mut cases: Vec<_> = below(&root).iter().flat_map(|topic| below(topic)).collect();
    cases.sort();
    cases
}

fn world(case: &Path) -> World {
    World::of(objects(case))
}

fn objects(case: &Path) -> Vec<Object> {
    let text = fs::read_to_string(case.join("in.yaml")).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", case.display()));
    let mut pki = Pki::default();
    let parse = |mut value: Value| {
        pki.fill(&mut value);
        let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let kind = Kind::of(&text("apiVersion"), &text("kind")).unwrap_or_else(|| panic!("{}: {value}", case.display()));
        if kind.scope() == fairlead_crds::Scope::Namespaced && value["metadata"]["namespace"].is_null() {
            value["metadata"]["namespace"] = json!("default");
        }
        Object::parse(kind, value).unwrap_or_else(|error| panic!("{}: {error}", case.display()))
    };
    documents.into_iter().filter(|value| !value.is_null()).map(parse).collect()
}

fn settings(case: &Path) -> Settings {
    let mut settings = Settings::default();
    let Ok(text) = fs::read_to_string(case.join("settings.yaml")) else { return settings };
    let given: Map<String, Value> = serde_saphyr::from_str(&text).unwrap();
    for (key, value) in given {
        let strings = || value.as_array().unwrap().iter().map(|v| v.as_str().unwrap());
        match key.as_str() {
            "addresses" => settings.addresses = strings().map(|ip| ip.parse().unwrap()).collect(),
            "localAddresses" => settings.local_addresses = Some(strings().map(|ip| ip.parse().unwrap()).collect()),
            "bindFailures" => {
                let fail = |(port, why): (&String, &Value)| (Bind { address: None, port: port.parse().unwrap() }, why.as_str().unwrap().into());
                settings.bind_failures = value.as_object().unwrap().iter().map(fail).collect();
            }
            "bundleVersion" => settings.bundle_version = Some(value.as_str().unwrap().into()),
            "implicitClass" => settings.implicit_class = value.as_bool().unwrap(),
            "now" => settings.now = value.as_i64(),
            "sharedAddresses" => settings.shared_addresses = value.as_bool().unwrap(),
            "protocols" => {
                let protocols: Vec<ListenerProtocol> = serde_json::from_value(value).unwrap();
                settings.protocols = protocols;
            }
            "features" => settings.features = strings().map(Into::into).collect(),
            other => panic!("unknown setting {other}"),
        }
    }
    settings
}

/// The configuration, without PEM and without what is always the same.
fn ir(plan: &Plan) -> Value {
    let mut value = serde_json::to_value(&plan.config).unwrap();
    let http = serde_json::to_value(HttpSettings::default()).unwrap();
    let constant =
        [("http", http), ("loadBalancing", json!("leastRequest")), ("connectTimeout", json!(5000)), ("idleTimeout", json!(60_000)), ("timeouts", json!({}))];
    for (id, resource) in value.as_object_mut().unwrap().values_mut().flat_map(|map| map.as_object_mut().unwrap().iter_mut()) {
        let fields = resource.as_object_mut().unwrap();
        assert_eq!(fields.remove("id"), Some(json!(id)));
        fields.retain(|name, value| !constant.iter().any(|(other, same)| name == other && value == same));
        if let Some(order) = fields.get_mut("order") {
            *order = json!(format!("{} {} {}", order["created"], order["object"].as_str().unwrap(), order["rule"]).replace(&i64::MAX.to_string(), "-"));
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
                            let generation = condition["observedGeneration"].as_i64().map(|n| format!("@{n}")).unwrap_or_default();
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
    add("routes", by_id(&status.routes));
    add("policies", by_id(&status.policies));
    add("objects", by_id(&status.objects));
    value.insert("notes".to_owned(), plan.notes.iter().map(|note| json!(note.to_string())).collect());
    let mut value = Value::Object(value);
    brief(&mut value);
    strip(value)
}

/// Leaves out empty maps and lists, at the top only.
fn strip(mut value: Value) -> Value {
    let empty = |value: &Value| value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
    value.as_object_mut().unwrap().retain(|_, value| !empty(value));
    value
}

fn yaml(value: &Value) -> String {
    let text = serde_saphyr::to_string(value).unwrap();
    if text.ends_with('\n') { text } else { text + "\n" }
}

fn difference(old: &str, new: &str) -> String {
    let first = old.lines().zip(new.lines()).position(|(a, b)| a != b).unwrap_or(old.lines().count().min(new.lines().count()));
    let show = |text: &str| text.lines().skip(first.saturating_sub(2)).take(8).map(|line| format!("    {line}\n")).collect::<String>();
    format!("  line {}: golden:\n{}  now:\n{}", first + 1, show(old), show(new))
}

/// Key pairs that are made when they are asked for.
#[derive(Default)]
struct Pki(BTreeMap<String, (String, String)>);

impl Pki {
    fn fill(&mut self, value: &mut Value) {
        match value {
            Value::Object(map) => map.values_mut().for_each(|value| self.fill(value)),
            Value::Array(items) => items.iter_mut().for_each(|value| self.fill(value)),
            Value::String(text) => {
                if let Some(inner) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                    let (what, names) = inner.split_once(' ').unwrap_or((inner, "ca"));
                    let (certificate, key) = self.0.entry(names.to_owned()).or_insert_with(|| make(what, names));
                    *text = if what == "key" { key.clone() } else { certificate.clone() };
                }
            }
            _ => {}
        }
    }
}

fn make(what: &str, names: &str) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.split(' ').map(str::to_owned).collect();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = if what == "expired" { rcgen::date_time_ymd(2026, 2, 1) } else { rcgen::date_time_ymd(2099, 1, 1) };
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}
