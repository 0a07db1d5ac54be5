//! A rule that protects a prefix, and one that takes everything else, each with a backend that records what it gets.

use fairlead_testkit::{Backend, Manifests, Proxy, Version};

/// `/admin` goes to one backend, the rest to the other; on host `redirect.test`, `/old` is redirected.
pub struct Guarded {
    /// The proxy, on port 80.
    pub proxy: Proxy,
    /// Gets what no rule protects.
    pub open: Backend,
    /// Gets `/admin` and what is below.
    pub guarded: Backend,
}

/// Who got a path, and how it was spelled there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    /// The backend of `/admin`.
    Guarded(String),
    /// The other one.
    Open(String),
}

impl Guarded {
    /// Starts the three, the proxy with more arguments.
    pub fn start(args: &[&str]) -> Guarded {
        let (open, guarded) = (Backend::answering(), Backend::answering());
        let text = Manifests::new()
            .endpoint("open", open.address.port(), Version::H1)
            .endpoint("guarded", guarded.address.port(), Version::H1)
            .and(ROUTES)
            .text();
        Guarded { proxy: Proxy::builder(&text, &[80]).args(args).start(), open, guarded }
    }

    /// What became of the request with this `x-case`.
    pub fn seen(&self, case: &str) -> Vec<Got> {
        let of = |backend: &Backend, got: fn(String) -> Got| {
            let requests = backend.seen().requests.into_iter().filter(|r| r.headers("x-case") == [case]);
            requests.map(|r| got(r.path().to_owned())).collect::<Vec<_>>()
        };
        [of(&self.guarded, Got::Guarded), of(&self.open, Got::Open)].concat()
    }
}

const ROUTES: &str = "---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: all}
spec:
  parentRefs: [{name: gw}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /admin}}]
      backendRefs: [{group: fairlead.dev, kind: Backend, name: guarded}]
    - backendRefs: [{group: fairlead.dev, kind: Backend, name: open}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: redirect}
spec:
  parentRefs: [{name: gw}]
  hostnames: [redirect.test]
  rules:
    - matches: [{path: {type: PathPrefix, value: /old}}]
      filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}}]
";
