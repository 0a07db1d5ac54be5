#![allow(dead_code, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use fairlead_crds::core::Namespace;
use fairlead_crds::gateway::HTTPRoute;
use fairlead_store::{Files, Problem, Settings, Style, World};

/// A directory of its own, gone with the value.
pub struct Dir(tempfile::TempDir);

impl Dir {
    pub fn new() -> Dir {
        Dir(tempfile::tempdir().unwrap())
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn open(&self) -> Files {
        Files::open(Settings::new([self.root()]), |_| {})
    }
}

pub fn gateway(namespace: &str, name: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata:\n  name: {name}\n  namespace: {namespace}\nspec:\n  gatewayClassName: fairlead\n  listeners:\n  - {{name: http, port: 80, protocol: HTTP}}\n"
    )
}

pub fn route(namespace: &str, name: &str, path: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: {name}\n  namespace: {namespace}\nspec:\n  parentRefs:\n  - name: web\n  rules:\n  - matches:\n    - path:\n        value: {path}\n    backendRefs:\n    - {{name: cart, port: 80}}\n"
    )
}

/// The path that a route of [`route`] matches.
pub fn path_of(world: &World, namespace: &str, name: &str) -> String {
    let route = world.all::<HTTPRoute>().find(namespace, name).unwrap();
    let value = serde_json::to_value(&**route).unwrap();
    value["spec"]["rules"][0]["matches"][0]["path"]["value"].as_str().unwrap().to_owned()
}

pub fn namespaces(world: &World) -> Vec<String> {
    world.all::<Namespace>().iter().map(|(key, _)| key.name.to_string()).collect()
}

pub fn rendered(problems: &[Problem]) -> String {
    problems.iter().map(|problem| problem.render(Style::Plain)).collect()
}
