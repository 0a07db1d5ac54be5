//! What a Plan depends on besides the objects.

use crate::{features, fleet};
use fairlead_ir::{Bind, HttpSettings, ListenerProtocol};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// What a Plan depends on besides the objects. All of it is data: a clock, an interface or a failed `bind` never shows up
/// in here by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// GatewayClasses with this `controllerName` are ours, and status entries carry it.
    pub controller_name: Arc<str>,
    /// Whether a GatewayClass `fairlead` is implied when there is no object of that name (files).
    pub implicit_class: bool,
    /// Listener protocols that the data plane serves; listeners of others are `UnsupportedProtocol`.
    pub protocols: Vec<ListenerProtocol>,
    /// Whether all Gateways share the machine's addresses (files). Then their listeners can conflict with each other, and
    /// the older Gateway wins.
    pub shared_addresses: bool,
    /// What HTTP listeners do where the objects say nothing.
    pub http: HttpSettings,
    /// What is published as the address of a Gateway that asks for none.
    pub addresses: Vec<IpAddr>,
    /// Addresses that can be listened on, besides loopback and unspecified ones; `None`: no check.
    pub local_addresses: Option<BTreeSet<IpAddr>>,
    /// Addresses of type `Hostname` that can be listened on, and what they stand for; `localhost` is always known.
    pub local_names: BTreeMap<Box<str>, Vec<IpAddr>>,
    /// Sockets that the data plane could not open, with the reason; their listeners are not Programmed.
    pub bind_failures: BTreeMap<Bind, Arc<str>>,
    /// Seconds since 1970, for warnings about expired certificates; `None`: no such warnings.
    pub now: Option<i64>,
    /// `gateway.networking.k8s.io/bundle-version` of the installed CRDs; `None`: there are none (files).
    pub bundle_version: Option<Arc<str>>,
    /// What GatewayClasses claim, sorted.
    pub features: Arc<[Arc<str>]>,
    /// Whether the installed CRDs know `routability` of addresses (experimental channel). Then the outcome of each address is told.
    pub routability: bool,
    /// Whether the objects may be for a cluster as well as for this machine, as those that are only checked: what a cluster alone can
    /// honour is worth a note then, and no failure.
    pub anywhere: bool,
    /// Whether backends may lead to the proxy's own machine ([`fairlead_ir::is_local`]): who writes files owns it.
    pub local_backends: bool,
    /// Whether there is a kind ClusterTrustBundle.
    pub trust_bundles: bool,
    /// In a cluster: how the proxies of each Gateway run. They listen on all addresses of their pods then, and a Gateway's addresses
    /// are its Service's. `None`: the process serves by itself (files).
    pub fleet: Option<fleet::Settings>,
}

impl Settings {
    /// In a cluster: each Gateway has proxies, addresses and a GatewayClass of its own.
    pub fn in_cluster(fleet: fleet::Settings) -> Settings {
        Settings {
            implicit_class: false,
            shared_addresses: false,
            local_backends: false,
            fleet: Some(fleet),
            features: features::in_cluster().into_iter().map(Arc::from).collect(),
            ..Settings::default()
        }
    }
}

impl Default for Settings {
    /// File mode: one process, one machine.
    fn default() -> Self {
        Settings {
            controller_name: "fairlead.dev/gateway-controller".into(),
            implicit_class: true,
            protocols: vec![
                ListenerProtocol::Http,
                ListenerProtocol::Https,
                ListenerProtocol::Tls,
                ListenerProtocol::Tcp,
                ListenerProtocol::Udp,
            ],
            shared_addresses: true,
            http: HttpSettings::default(),
            addresses: Vec::new(),
            local_addresses: None,
            local_names: BTreeMap::new(),
            bind_failures: BTreeMap::new(),
            now: None,
            bundle_version: None,
            routability: false,
            anywhere: false,
            local_backends: true,
            trust_bundles: true,
            fleet: None,
            features: features::SUPPORTED.iter().map(|name| Arc::from(*name)).collect(),
        }
    }
}
