//! CRD → what we check in of it: everything a machine reads, none of the prose.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// A CRD without descriptions.
///
/// A version whose schema equals that of an earlier one says `{"sameAs": VERSION}` instead. With the CRD of the standard
/// channel at hand, `experimental` lists what only the experimental channel has: the whole kind, versions, and field
/// paths such as `spec.rules[].retry`.
pub fn stored(crd: &Value, standard: Option<&Value>) -> Result<Value> {
    let mut versions = Vec::new();
    let mut seen: Vec<(Value, Value)> = Vec::new();
    for version in crd["spec"]["versions"].as_array().context("a CRD without versions")? {
        let mut version = version.clone();
        strip_prose(&mut version);
        let name = version["name"].clone();
        let schema = version["schema"]["openAPIV3Schema"].take();
        let earlier = seen.iter().find(|(_, other)| *other == schema).map(|(name, _)| name.clone());
        version["schema"] = match earlier {
            Some(earlier) => json!({ "sameAs": earlier }),
            None => schema.clone(),
        };
        seen.push((name, schema));
        versions.push(version);
    }
    let metadata = &crd["metadata"];
    Ok(json!({
        "name": metadata["name"],
        "annotations": metadata["annotations"],
        "labels": metadata["labels"],
        "group": crd["spec"]["group"],
        "names": crd["spec"]["names"],
        "scope": crd["spec"]["scope"],
        "experimental": experimental(crd, standard),
        "versions": versions,
    }))
}

/// What the standard channel lacks.
fn experimental(crd: &Value, standard: Option<&Value>) -> Value {
    let Some(standard) = standard else {
        return json!({ "kind": true });
    };
    let served = |crd: &Value| -> BTreeSet<String> {
        let versions = crd["spec"]["versions"].as_array();
        let served = versions.into_iter().flatten().filter(|version| version["served"] == true);
        served.filter_map(|version| version["name"].as_str().map(str::to_owned)).collect()
    };
    let paths = |crd: &Value| {
        let mut paths = BTreeSet::new();
        collect_paths(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], "", &mut paths);
        paths
    };
    let fields = topmost(paths(crd).difference(&paths(standard)).cloned().collect());
    let versions: Vec<String> = served(crd).difference(&served(standard)).cloned().collect();
    json!({ "kind": false, "versions": versions, "fields": fields })
}

fn collect_paths(schema: &Value, at: &str, paths: &mut BTreeSet<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        for (name, property) in properties {
            let path = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            paths.insert(path.clone());
            collect_paths(property, &path, paths);
        }
    }
    if schema["items"].is_object() {
        collect_paths(&schema["items"], &format!("{at}[]"), paths);
    }
}

/// Drops paths below another path of the set.
fn topmost(paths: BTreeSet<String>) -> Vec<String> {
    let below = |path: &str, other: &str| {
        path.strip_prefix(other).is_some_and(|rest| rest.starts_with('.') || rest.starts_with("[]"))
    };
    paths.iter().filter(|path| !paths.iter().any(|other| below(path, other))).cloned().collect()
}

/// Removes `description` wherever it is text (a property may have that name; it is an object).
fn strip_prose(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, value| !(key == "description" && value.is_string()));
            map.values_mut().for_each(strip_prose);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_prose),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crd(versions: &[(&str, bool, Value)]) -> Value {
        let versions: Vec<Value> = versions
            .iter()
            .map(|(name, served, spec)| {
                let schema = json!({ "description": "prose", "properties": { "spec": spec } });
                json!({ "name": name, "served": served, "schema": { "openAPIV3Schema": schema } })
            })
            .collect();
        json!({ "metadata": { "name": "x" }, "spec": { "names": {}, "versions": versions } })
    }

    #[test]
    fn prose_goes_and_equal_versions_are_shared() {
        let spec = json!({ "description": "prose", "properties": { "description": { "type": "string" } } });
        let stored = stored(&crd(&[("v1", true, spec.clone()), ("v1beta1", true, spec)]), None).unwrap();
        let kept = json!({ "properties": { "spec": { "properties": { "description": { "type": "string" } } } } });
        assert_eq!(stored["versions"][0]["schema"], kept, "a property called description stays");
        assert_eq!(stored["versions"][1]["schema"], json!({ "sameAs": "v1" }));
        assert_eq!(stored["experimental"], json!({ "kind": true }));
    }

    #[test]
    fn what_only_one_channel_has_is_listed_by_its_topmost_path() {
        let stable = json!({ "properties": { "a": { "items": { "properties": { "b": {} } } } } });
        let more = json!({ "properties": {
            "a": { "items": { "properties": { "b": {}, "c": { "properties": { "d": {} } } } } },
            "ab": {},
        } });
        let experimental = crd(&[("v1", true, more.clone()), ("v2", true, more)]);
        let standard = crd(&[("v1", true, stable.clone()), ("v2", false, stable)]);
        let stored = stored(&experimental, Some(&standard)).unwrap();
        let expected = json!({ "kind": false, "versions": ["v2"], "fields": ["spec.a[].c", "spec.ab"] });
        assert_eq!(stored["experimental"], expected);
    }
}
