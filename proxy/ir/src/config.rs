//! The whole of what a proxy serves, and the difference between two of them.

use crate::{Cluster, Discovery, Endpoints, Listener, Route, Secret};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The id of a resource among those of its kind, readable by people: `httproute/shop/cart/0`, `service/shop/cart/80`.
pub type Id = Arc<str>;

/// Everything that the proxies of one Gateway (in `serve`: of all Gateways) serve.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// By listener id.
    pub listeners: BTreeMap<Id, Arc<Listener>>,
    /// By route id; one per route rule.
    pub routes: BTreeMap<Id, Arc<Route>>,
    /// By cluster id; one per backend and its settings.
    pub clusters: BTreeMap<Id, Arc<Cluster>>,
    /// By endpoints id; named by [`crate::Discovery::Endpoints`].
    pub endpoints: BTreeMap<Id, Arc<Endpoints>>,
    /// By secret id; named by listeners and clusters.
    pub secrets: BTreeMap<Id, Arc<Secret>>,
}

/// One resource of a [`Push`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Resource {
    /// A certificate with its key, or a CA bundle.
    Secret(Arc<Secret>),
    /// The addresses behind a cluster.
    Endpoints(Arc<Endpoints>),
    /// A backend and how to speak to it.
    Cluster(Arc<Cluster>),
    /// One rule of a route.
    Route(Arc<Route>),
    /// A socket with its host name and certificates.
    Listener(Arc<Listener>),
}

/// Kind and id of a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ResourceId {
    /// See [`Resource::Secret`].
    Secret(Id),
    /// See [`Resource::Endpoints`].
    Endpoints(Id),
    /// See [`Resource::Cluster`].
    Cluster(Id),
    /// See [`Resource::Route`].
    Route(Id),
    /// See [`Resource::Listener`].
    Listener(Id),
}

/// The difference between two configurations. Upserts are in an order in which no resource precedes what it names
/// (secrets, endpoints, clusters, routes, listeners); removals are in the reverse order and are applied after them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Push {
    /// Increases by one with each push to the same proxy.
    pub version: u64,
    /// New and changed resources.
    pub upserts: Vec<Resource>,
    /// What is gone.
    pub removals: Vec<ResourceId>,
}

impl Config {
    /// The endpoints that a cluster's discovery names.
    pub fn endpoints_of(&self, cluster: &Cluster) -> Option<&Endpoints> {
        match &cluster.discovery {
            Discovery::Endpoints(id) => self.endpoints.get(id).map(|endpoints| &**endpoints),
            Discovery::Dns { .. } => None,
        }
    }
}

impl Resource {
    /// Kind and id.
    pub fn id(&self) -> ResourceId {
        match self {
            Resource::Secret(r) => ResourceId::Secret(r.id.clone()),
            Resource::Endpoints(r) => ResourceId::Endpoints(r.id.clone()),
            Resource::Cluster(r) => ResourceId::Cluster(r.id.clone()),
            Resource::Route(r) => ResourceId::Route(r.id.clone()),
            Resource::Listener(r) => ResourceId::Listener(r.id.clone()),
        }
    }
}

macro_rules! resources {
    ($($kind:ident)*) => {
        $(impl From<$kind> for Resource {
            fn from(resource: $kind) -> Self {
                Resource::$kind(Arc::new(resource))
            }
        })*
    };
}

resources! { Secret Endpoints Cluster Route Listener }

impl Push {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.upserts.is_empty() && self.removals.is_empty()
    }
}
