//! Golden cases as Worlds.

#![allow(dead_code, clippy::unwrap_used)] // Each test uses what it needs.

use fairlead_crds::{Kind, Object};
use fairlead_ir::{Bind, ListenerProtocol};
use fairlead_translate::Settings;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Directories of all cases, ordered.
pub fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let below = |dir: &Path| {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    let mut cases: Vec<_> = below(&root).iter().flat_map(|topic| below(topic)).collect();
    cases.sort();
    cases
}

/// The objects of a case.
pub fn objects(case: &Path) -> Vec<Object> {
    let text = fs::read_to_string(case.join("in.yaml")).unwrap();
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", case.display()));
    let mut pki = Pki::default();
    let parse = |mut value: Value| {
        pki.fill(&mut value);
        let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let kind =
            Kind::of(&text("apiVersion"), &text("kind")).unwrap_or_else(|| panic!("{}: {value}", case.display()));
        if kind.scope() == fairlead_crds::Scope::Namespaced && value["metadata"]["namespace"].is_null() {
            value["metadata"]["namespace"] = json!("default");
        }
        Object::parse(kind, value).unwrap_or_else(|error| panic!("{}: {error}", case.display()))
    };
    documents.into_iter().filter(|value| !value.is_null()).map(parse).collect()
}

/// The settings of a case.
pub fn settings(case: &Path) -> Settings {
    let mut settings = Settings::default();
    let Ok(text) = fs::read_to_string(case.join("settings.yaml")) else { return settings };
    let given: Map<String, Value> = serde_saphyr::from_str(&text).unwrap();
    for (key, value) in given {
        let strings = || value.as_array().unwrap().iter().map(|v| v.as_str().unwrap());
        match key.as_str() {
            "addresses" => settings.addresses = strings().map(|ip| ip.parse().unwrap()).collect(),
            "localAddresses" => settings.local_addresses = Some(strings().map(|ip| ip.parse().unwrap()).collect()),
            "bindFailures" => {
                let fail = |(port, why): (&String, &Value)| {
                    let bind = match port.strip_suffix("/udp") {
                        Some(port) => Bind::udp(None, port.parse().unwrap()),
                        None => Bind::tcp(None, port.parse().unwrap()),
                    };
                    (bind, why.as_str().unwrap().into())
                };
                settings.bind_failures = value.as_object().unwrap().iter().map(fail).collect();
            }
            "bundleVersion" => settings.bundle_version = Some(value.as_str().unwrap().into()),
            "cluster" => {
                assert!(value.as_bool().unwrap());
                settings = Settings::in_cluster(fleet());
            }
            // Of the golden file only.
            "shownObjects" => {}
            "routability" => settings.routability = value.as_bool().unwrap(),
            "trustBundles" => settings.trust_bundles = value.as_bool().unwrap(),
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

/// Kinds of objects that the golden file of a case shows; `None`: all.
pub fn shown_objects(case: &Path) -> Option<Vec<String>> {
    let text = fs::read_to_string(case.join("settings.yaml")).ok()?;
    let given: Map<String, Value> = serde_saphyr::from_str(&text).unwrap();
    Some(given.get("shownObjects")?.as_array()?.iter().map(|kind| kind.as_str().unwrap().to_owned()).collect())
}

fn fleet() -> fairlead_translate::fleet::Settings {
    fairlead_translate::fleet::Settings {
        image: "example.com/fairlead:1".into(),
        image_pull_policy: Some("IfNotPresent".into()),
        image_pull_secrets: vec!["registry".into()],
        controller: "https://fairlead-controller.fairlead-system.svc:18443".into(),
        ca_bundle: "PEM".into(),
    }
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
    params.not_after =
        if what == "expired" { rcgen::date_time_ymd(2026, 2, 1) } else { rcgen::date_time_ymd(2099, 1, 1) };
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}
