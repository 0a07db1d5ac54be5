//! Manifests with any number of routes.

use crate::Identity;
use base64::prelude::{BASE64_STANDARD, Engine};
use std::fmt::Write;

/// How many routes there are and what they share.
#[derive(Clone, Copy)]
pub struct Routes {
    /// HTTPRoutes, each for a host of its own: `h<i>.example.com`.
    pub count: usize,
    /// Each has a Service of its own, with one endpoint; all endpoints have the same address.
    pub own_backends: bool,
}

/// The port of the only listener, whatever its protocol.
pub const PORT: u16 = 8080;

/// A Gateway with an HTTP listener, and routes to a backend on this port of 127.0.0.1.
pub fn manifests(routes: Routes, backend: u16) -> String {
    with_listener("protocol: HTTP", routes, backend)
}

/// The same with an HTTPS listener.
pub fn tls_manifests(routes: Routes, backend: u16, identity: &Identity) -> String {
    let listener = "protocol: HTTPS, tls: {certificateRefs: [{name: certificate}]}";
    let secret = format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: certificate, namespace: default}}\ntype: kubernetes.io/tls\n\
         data: {{tls.crt: {}, tls.key: {}}}\n",
        BASE64_STANDARD.encode(&identity.certificate),
        BASE64_STANDARD.encode(&identity.key),
    );
    with_listener(listener, routes, backend) + &secret
}

fn with_listener(listener: &str, routes: Routes, backend: u16) -> String {
    let mut yaml = format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {{name: fairlead}}
spec: {{controllerName: fairlead.dev/gateway-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: load, namespace: default}}
spec:
  gatewayClassName: fairlead
  listeners: [{{name: load, port: {PORT}, {listener}}}]
"
    );
    let backends = if routes.own_backends { routes.count } else { 1 };
    (0..backends).for_each(|i| service(&mut yaml, i, backend));
    (0..routes.count).for_each(|i| route(&mut yaml, i, if routes.own_backends { i } else { 0 }));
    yaml
}

fn service(yaml: &mut String, index: usize, port: u16) {
    write!(
        yaml,
        "---
apiVersion: v1
kind: Service
metadata: {{name: b{index}, namespace: default}}
spec:
  ports: [{{name: http, port: 80}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: b{index}, namespace: default, labels: {{kubernetes.io/service-name: b{index}}}}}
addressType: IPv4
ports: [{{name: http, port: {port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"
    )
    .expect("into a string");
}

fn route(yaml: &mut String, index: usize, backend: usize) {
    write!(
        yaml,
        "---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r{index}, namespace: default}}
spec:
  parentRefs: [{{name: load}}]
  hostnames: [h{index}.example.com]
  rules:
  - backendRefs: [{{name: b{backend}, port: 80}}]
"
    )
    .expect("into a string");
}
