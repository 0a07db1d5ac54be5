//! An API server in the process of a test: objects of any kind, in memory, on a port of the loopback interface.
//!
//! It does what a controller relies on: lists in pages, watches with bookmarks, `410 Gone`, field and label selectors,
//! metadata alone, create, update, patch (merge and server-side apply, with managed fields), status subresources, conflicts, finalizers, owner
//! references, CRDs that come and go. And it fails on demand. It validates nothing and knows no defaults.
//!
//! ```no_run
//! # async fn test() {
//! use fairlead_crds::Kind;
//! use fairlead_watch::testing::Server;
//! use serde_json::json;
//!
//! let server = Server::start().await;
//! server.install(&[Kind::Gateway]);
//! server.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
//! let client = server.client();
//! # }
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

mod http;
mod patch;
mod selector;
mod storage;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fairlead_crds::{Kind, Scope};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use storage::Storage;

/// The API server. It ends when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Mutex<Option<JoinHandle<()>>>,
}

/// A request that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Such as `PATCH`.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// After the `?`; empty without one.
    pub query: String,
    /// Such as `application/merge-patch+json`; empty without one.
    pub content_type: String,
    /// `null` when it has none.
    pub body: Value,
}

/// How a watch says that it can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The request is refused with status 410.
    Status,
    /// It is answered, with an event of type `ERROR`, as the watch cache does.
    Event,
}

type Interceptor = Box<dyn FnMut(&Request) -> Option<(u16, Value)> + Send>;

pub(crate) struct Shared {
    storage: Mutex<Storage>,
    requests: Mutex<Vec<Request>>,
    interceptors: Mutex<Vec<Interceptor>>,
    connections: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("storage", &self.storage).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn storage(&self) -> MutexGuard<'_, Storage> {
        self.storage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Begins to listen; there are no objects and no CRDs yet.
    pub async fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            storage: Mutex::new(Storage::default()),
            requests: Mutex::default(),
            interceptors: Mutex::default(),
            connections: Mutex::default(),
        });
        let listening = Mutex::new(Some(tokio::spawn(http::serve(listener, shared.clone()))));
        Server { address, shared, listening }
    }

    /// Begins to listen, with all CRDs that the program reads.
    pub async fn with_all_kinds() -> Server {
        let server = Server::start().await;
        server.install(Kind::ALL);
        server
    }

    /// A client for it, which does not retry.
    pub fn client(&self) -> kube::Client {
        let mut config = kube::Config::new(format!("http://{}", self.address).parse().unwrap());
        config.default_retry = false;
        kube::Client::try_from(config).unwrap()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops to listen and ends all connections; objects stay, and can be changed.
    pub async fn down(&self) {
        let listening = self.listening.lock().unwrap().take();
        if let Some(listening) = listening {
            listening.abort();
            let _ = listening.await;
        }
        self.disconnect();
    }

    /// Listens again, on the same port.
    pub async fn up(&self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        *self.listening.lock().unwrap() = Some(tokio::spawn(http::serve(listener, self.shared.clone())));
    }

    /// Ends all connections.
    pub fn disconnect(&self) {
        self.shared.connections.lock().unwrap().drain(..).for_each(|connection| connection.abort());
        self.shared.storage().end_watches();
    }

    /// Forgets what happened until now: whoever goes on from before is told `410 Gone`. Watches that run, run on.
    pub fn compact(&self, gone: Gone) {
        self.shared.storage().compact(gone);
    }

    /// Forgets what happened until now, and ends every watch that runs with an event of type `ERROR` that says so.
    pub fn expire(&self) {
        self.shared.storage().expire();
    }

    /// Sends a bookmark to every watch that takes them.
    pub fn bookmark(&self) {
        self.shared.storage().bookmark();
    }

    /// Refuses (403) all that concerns a resource, such as `httproutes`.
    pub fn deny(&self, plural: &str) {
        self.shared.storage().denied.insert(plural.to_owned());
    }

    /// Takes that back.
    pub fn allow(&self, plural: &str) {
        self.shared.storage().denied.remove(plural);
    }

    /// Answers requests otherwise: with a status code and a body, where the function gives them. Later ones are asked first.
    pub fn intercept(&self, interceptor: impl FnMut(&Request) -> Option<(u16, Value)> + Send + 'static) {
        self.shared.interceptors.lock().unwrap().push(Box::new(interceptor));
    }

    /// Makes some CRDs, established, with all versions that the program reads. Kubernetes' own kinds are passed over.
    pub fn install(&self, kinds: &[Kind]) {
        for kind in kinds.iter().filter(|kind| fairlead_crds::schema::source(**kind).is_some()) {
            self.put(definition(*kind, kind.versions(), Some("v1.7.0")));
        }
    }

    /// Takes a kind's CRD away, with all objects.
    pub fn uninstall(&self, kind: Kind) {
        let name = format!("{}.{}", kind.plural(), kind.group());
        self.delete("customresourcedefinitions", "", &name);
    }

    /// Has a kind of Kubernetes' own that not every server has, in a version.
    pub fn serve(&self, kind: Kind, version: &str) {
        let resource = (kind.group().to_owned(), version.to_owned(), kind.plural().to_owned());
        self.shared.storage().extra.insert(resource);
    }

    /// Has it no more.
    pub fn withdraw(&self, kind: Kind) {
        self.shared.storage().extra.retain(|(group, _, plural)| group != kind.group() || plural != kind.plural());
    }

    /// Creates or replaces an object as a whole, its status included, and says what is stored now. The resource is that of
    /// the kind in lower case plus `s`, `es` or `ies`.
    pub fn put(&self, object: Value) -> Value {
        self.shared.storage().put(object)
    }

    /// An object by its resource, such as `gateways`; the namespace is empty for cluster-wide ones.
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        self.shared.storage().find(plural, namespace, name)
    }

    /// All objects of a resource, ordered by namespace and name.
    pub fn all(&self, plural: &str) -> Vec<Value> {
        self.shared.storage().all(plural)
    }

    /// Takes an object away, and those that it owns. One with finalizers gets a `deletionTimestamp`.
    pub fn delete(&self, plural: &str, namespace: &str, name: &str) {
        self.shared.storage().delete_by(plural, namespace, name);
    }

    /// All requests that were made, in order, except those that were not understood as HTTP.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Those that write: POST, PUT, PATCH and DELETE.
    pub fn writes(&self) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.method != "GET").collect()
    }

    /// Forgets the requests until now.
    pub fn clear_requests(&self) {
        self.shared.requests.lock().unwrap().clear();
    }

    /// Number of watches that run.
    pub fn watches(&self) -> usize {
        self.shared.storage().watches()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(listening) = self.listening.lock().unwrap_or_else(PoisonError::into_inner).take() {
            listening.abort();
        }
        self.disconnect();
    }
}

/// The CRD of a kind, without schemas.
pub fn definition(kind: Kind, served: &[&str], bundle: Option<&str>) -> Value {
    let versions: Vec<Value> =
        served.iter().map(|version| json!({"name": version, "served": true, "storage": false})).collect();
    let annotations = match bundle {
        Some(bundle) => json!({"gateway.networking.k8s.io/bundle-version": bundle}),
        None => json!({}),
    };
    let scope = if kind.scope() == Scope::Cluster { "Cluster" } else { "Namespaced" };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{}", kind.plural(), kind.group()), "annotations": annotations},
        "spec": {
            "group": kind.group(), "scope": scope, "versions": versions,
            "names": {"kind": kind.as_str(), "plural": kind.plural()},
        },
        "status": {"conditions": [{"type": "Established", "status": "True"}]},
    })
}

#[cfg(test)]
mod tests;
