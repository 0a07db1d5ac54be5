//! How far the proxies of each Gateway are.

use fairlead_ir::{Id, ResourceId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the connected proxies have, by `<namespace>/<name>` of their Gateway. A Gateway without a connected proxy may be absent.
pub type Progress = BTreeMap<Id, Arc<GatewayProgress>>;

/// The connected proxies of one Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GatewayProgress {
    /// By name of the pod.
    pub proxies: BTreeMap<Id, ProxyProgress>,
}

/// What one proxy said last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyProgress {
    /// The last version that it serves; 0 before its first.
    pub acked: u64,
    /// What of the last version it can't serve, and why; the last good version of it serves on.
    pub rejected: Vec<(ResourceId, String)>,
    /// Sockets that it could not open, `<port>` or `<address>:<port>`, and `/udp` for UDP, to reason.
    pub unbound: BTreeMap<String, String>,
    /// Version of the proxy's program.
    pub program: String,
}

impl GatewayProgress {
    /// Whether there is a proxy, and all serve `version` or a later one.
    pub fn serves(&self, version: u64) -> bool {
        !self.proxies.is_empty() && self.proxies.values().all(|proxy| proxy.acked >= version)
    }

    /// Number of proxies that serve `version` or a later one.
    pub fn serving(&self, version: u64) -> usize {
        self.proxies.values().filter(|proxy| proxy.acked >= version).count()
    }
}
