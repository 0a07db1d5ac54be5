//! Upstream's own examples, good and bad, judged as upstream judges them. Runs where the Go toolchain has the module.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fairlead_crds::{Kind, Object, Severity, Violation, validate};
use serde_json::Value;

/// Where the Go toolchain keeps upstream's module, when the generator or someone else has had it downloaded.
fn upstream() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let cache = variable("GOMODCACHE")
        .or_else(|| variable("GOPATH").map(|path| path.join("pkg/mod")))
        .or_else(|| variable("HOME").map(|path| path.join("go/pkg/mod")))?;
    Some(cache.join("sigs.k8s.io/gateway-api@v1.7.0")).filter(|path| path.is_dir())
}

/// Runs over every object of ours in the YAML files below a folder.
fn each_example(folder: &Path, run: &mut impl FnMut(&Path, Kind, Value)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            each_example(&path, run);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = std::fs::read_to_string(&path).unwrap();
            let objects: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
            for object in objects {
                let (Some(version), Some(kind)) = (object["apiVersion"].as_str(), object["kind"].as_str()) else {
                    continue;
                };
                if let Some(kind) = Kind::of(version, kind) {
                    run(&path, kind, object);
                }
            }
        }
    }
}

#[test]
fn upstreams_examples_are_judged_as_upstream_does() {
    let Some(module) = upstream() else { return };
    let errors = |kind, value: &Value| -> Vec<Violation> {
        validate(kind, value).into_iter().filter(|found| found.severity == Severity::Error).collect()
    };
    let mut judged = 0;
    each_example(&module.join("examples"), &mut |path, kind, value| {
        assert_eq!(errors(kind, &value), vec![], "{}", path.display());
        Object::parse(kind, value).unwrap();
        judged += 1;
    });
    assert!(judged > 100, "{judged}");
    let mut refused = BTreeMap::<PathBuf, bool>::new();
    each_example(&module.join("hack/invalid-examples"), &mut |path, kind, value| {
        *refused.entry(path.to_owned()).or_default() |= !errors(kind, &value).is_empty();
    });
    let accepted: Vec<_> = refused.iter().filter(|(_, refused)| !**refused).map(|(path, _)| path).collect();
    assert!(accepted.is_empty() && refused.len() > 30, "accepted: {accepted:#?} of {}", refused.len());
}
