//! Manifests of one Gateway, its routes and their backends.

use crate::Version;
use std::fmt::Write as _;

/// A Gateway on port 80, and what is asked for.
pub struct Manifests(String);

impl Manifests {
    /// A Gateway `gw` with a listener for HTTP on port 80.
    pub fn new() -> Manifests {
        Manifests(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec:\n  gatewayClassName: fairlead\n  \
             listeners:\n    - {name: http, protocol: HTTP, port: 80}\n"
                .to_owned(),
        )
    }

    /// A Backend and a route to it for a host; `rule` is more of the route's only rule, indented by six spaces.
    pub fn backend(self, host: &str, port: u16, version: Version, rule: &str) -> Manifests {
        let name = host.replace('.', "-");
        self.endpoint(&name, port, version).route(&name, Some(host), rule)
    }

    /// A Backend and a route to it for every host.
    pub fn only(self, name: &str, port: u16, version: Version) -> Manifests {
        self.endpoint(name, port, version).route(name, None, "")
    }

    /// A Backend on loopback.
    pub fn endpoint(mut self, name: &str, port: u16, version: Version) -> Manifests {
        let protocols = match version {
            Version::H1 => "",
            Version::H2 => "  appProtocols: [kubernetes.io/h2c]\n",
        };
        let _ = write!(
            self.0,
            "---\napiVersion: fairlead.dev/v1alpha1\nkind: Backend\nmetadata: {{name: {name}}}\nspec:\n{protocols}  \
             endpoints: [{{ip: {{address: 127.0.0.1, port: {port}}}}}]\n"
        );
        self
    }

    /// Any more documents.
    pub fn and(mut self, documents: &str) -> Manifests {
        self.0 += documents;
        self
    }

    /// The text.
    pub fn text(self) -> String {
        self.0
    }

    fn route(mut self, name: &str, host: Option<&str>, rule: &str) -> Manifests {
        let hostnames = host.map_or_else(String::new, |host| format!("  hostnames: [{host}]\n"));
        let _ = write!(
            self.0,
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec:\n  \
             parentRefs: [{{name: gw}}]\n{hostnames}  rules:\n    \
             - backendRefs: [{{group: fairlead.dev, kind: Backend, name: {name}}}]\n{rule}"
        );
        self
    }
}

impl Default for Manifests {
    fn default() -> Self {
        Manifests::new()
    }
}
