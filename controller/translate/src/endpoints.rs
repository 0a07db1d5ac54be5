//! EndpointSlices and `Backend`s → addresses.
//!
//! Always endpoints, never the ClusterIP, so headless Services and Services without selector are the same. A slice's port is
//! found by the name of the Service's port. Endpoints that are ready get traffic; when there are none, those that still
//! serve while they terminate do. A dual-stack Service is reached through its first family, as long as that has endpoints.
//!
//! In a cluster, what [leads to the machine itself](fairlead_ir::is_local) is no endpoint: there, whoever names backends does not own the
//! machine. An API server refuses most of it in slices; a `Backend` says so in its condition. What names resolve to is known to the
//! data plane only, which looks again.

use crate::settings::Settings;
use fairlead_crds::core::{EndpointSlice, Service, ServicePort};
use fairlead_crds::v1alpha1::Backend;
use fairlead_ir::{Address, Endpoint, Endpoints, Id, is_local};
use fairlead_store::Key;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// The label that says whose a slice is.
const SERVICE: &str = "kubernetes.io/service-name";

/// Where addresses come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Service {
        key: Key,
        port: i32,
        transport: &'static str,
    },
    Backend {
        key: Key,
    },
    /// An XBackend, and the Service whose slices are its pods'; without one they are selected by their own labels.
    Selector {
        key: Key,
        service: Option<Key>,
    },
}

/// How far backends may be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowed {
    /// Whatever can be connected to: who writes the files owns the machine.
    Anywhere,
    /// Not the proxy's own machine.
    Elsewhere,
}

impl Allowed {
    pub fn of(settings: &Settings) -> Self {
        if settings.local_backends { Allowed::Anywhere } else { Allowed::Elsewhere }
    }

    fn has(self, ip: IpAddr) -> bool {
        self == Allowed::Anywhere || !is_local(ip)
    }

    /// Names that stand for the machine itself (RFC 6761 §6.3), and addresses in the place of names.
    pub fn has_name(self, host: &str) -> bool {
        let local = host == "localhost" || host.ends_with(".localhost");
        self == Allowed::Anywhere || !(local || host.parse().is_ok_and(is_local))
    }
}

/// The Service that a slice belongs to.
pub(crate) fn service_of(key: &Key, slice: &EndpointSlice) -> Option<Key> {
    let name = slice.metadata.labels.get(SERVICE)?;
    Some(Key::new(key.namespace.clone(), name))
}

/// Addresses of a Service's port.
pub(crate) fn of_service<'s>(
    id: Id,
    service: &Service,
    (port, transport): (i32, &str),
    slices: impl Iterator<Item = &'s EndpointSlice>,
    allowed: Allowed,
) -> Endpoints {
    let port = self::port(&service.spec.ports, port, transport);
    let name = port.and_then(|port| port.name.as_deref()).unwrap_or_default();
    let families = &service.spec.ip_families;
    let preferred = if families.len() > 1 { families.first().map(|family| &**family) } else { None };
    let slices = slices.filter_map(|slice| Some((slice, named_port(slice, name)?)));
    Endpoints { id, endpoints: gather(slices, preferred, allowed) }
}

/// Addresses of what an XBackend selects, at its port.
pub(crate) fn of_selector<'s>(
    id: Id,
    port: u16,
    slices: impl Iterator<Item = &'s EndpointSlice>,
    allowed: Allowed,
) -> Endpoints {
    Endpoints { id, endpoints: gather(slices.map(|slice| (slice, port)), None, allowed) }
}

/// Whether a slice has all the labels.
pub(crate) fn selects(labels: &BTreeMap<String, String>, slice: &EndpointSlice) -> bool {
    labels.iter().all(|(name, value)| slice.metadata.labels.get(name) == Some(value.as_str()))
}

fn gather<'s>(
    slices: impl Iterator<Item = (&'s EndpointSlice, u16)>,
    preferred: Option<&str>,
    allowed: Allowed,
) -> Vec<Endpoint> {
    let mut found: Vec<Found> = slices.flat_map(|(slice, port)| of_slice(slice, port, allowed)).collect();
    if !found.iter().any(|f| f.ready) {
        found.retain(|f| f.draining);
    } else {
        found.retain(|f| f.ready);
    }
    if let Some(family) = preferred
        && found.iter().any(|f| f.family == family)
    {
        found.retain(|f| f.family == family);
    }
    let mut endpoints: Vec<Endpoint> = found.into_iter().map(|f| f.endpoint).collect();
    endpoints.sort_by(|a, b| a.address.cmp(&b.address).then_with(|| a.zone.cmp(&b.zone)));
    endpoints.dedup_by(|b, a| a.address == b.address);
    // Made in the place of `found`, whose elements are larger.
    endpoints.shrink_to_fit();
    endpoints
}

/// The port of a number and transport: `TCP` or `UDP`.
pub(crate) fn port<'p>(ports: &'p [ServicePort], number: i32, transport: &str) -> Option<&'p ServicePort> {
    ports.iter().find(|port| port.port == number && protocol(port) == transport)
}

/// The transport of a port.
pub(crate) fn protocol(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

struct Found<'s> {
    endpoint: Endpoint,
    family: &'s str,
    ready: bool,
    /// Serving while terminating.
    draining: bool,
}

fn named_port(slice: &EndpointSlice, name: &str) -> Option<u16> {
    let named = slice.ports.iter().find(|port| port.name.as_deref().unwrap_or_default() == name);
    named.and_then(|port| port.port).and_then(|port| u16::try_from(port).ok())
}

fn of_slice(slice: &EndpointSlice, port: u16, allowed: Allowed) -> Vec<Found<'_>> {
    let mut found = Vec::new();
    for endpoint in &slice.endpoints {
        let conditions = endpoint.conditions;
        let ready = conditions.ready.unwrap_or(true);
        let serving = conditions.serving.unwrap_or(ready);
        let draining = serving && conditions.terminating.unwrap_or(false);
        for address in &endpoint.addresses {
            let address = match (slice.address_type.as_str(), address.parse::<IpAddr>()) {
                ("IPv4" | "IPv6", Ok(ip)) if allowed.has(ip) => Address::Ip(SocketAddr::new(ip, port)),
                ("FQDN", Err(_)) => Address::Dns { host: address.to_ascii_lowercase().into(), port },
                _ => continue,
            };
            let endpoint = Endpoint { address, weight: 1, zone: endpoint.zone.clone() };
            found.push(Found { endpoint, family: slice.address_type.as_str(), ready, draining });
        }
    }
    found
}

/// Addresses of a `Backend`; what is wrong with one comes back with its path.
pub(crate) fn of_backend(id: Id, backend: &Backend, allowed: Allowed) -> Result<Endpoints, (String, String)> {
    let mut endpoints = Vec::new();
    for (i, endpoint) in backend.spec.endpoints.iter().enumerate() {
        let path = format!("spec.endpoints[{i}]");
        let port = |port: i32, field: &str| {
            let port = u16::try_from(port).ok().filter(|port| *port > 0);
            port.ok_or_else(|| (format!("{path}.{field}.port"), "must be 1 to 65535".to_owned()))
        };
        let address = match (&endpoint.ip, &endpoint.fqdn, &endpoint.unix) {
            (Some(ip), None, None) => {
                let wrong = |why: &str| (format!("{path}.ip.address"), format!("{:?} {why}", ip.address));
                let address = ip.address.parse().map_err(|_| wrong("is not an IP address"))?;
                if !allowed.has(address) {
                    return Err(wrong(OWN_ADDRESS));
                }
                Address::Ip(SocketAddr::new(address, port(ip.port, "ip")?))
            }
            (None, Some(fqdn), None) => {
                let host = crate::host::Host::parse(&fqdn.hostname).ok().filter(|host| host.suffix().is_none());
                let wrong = |why: &str| (format!("{path}.fqdn.hostname"), format!("{:?} {why}", fqdn.hostname));
                let host = host.ok_or_else(|| wrong("is not a host name"))?;
                if !allowed.has_name(host.as_str()) {
                    return Err(wrong(OWN_ADDRESS));
                }
                Address::Dns { host: host.as_str().into(), port: port(fqdn.port, "fqdn")? }
            }
            (None, None, Some(unix)) if unix.path.starts_with('/') && unix.path.len() <= 107 => {
                Address::Unix(unix.path.as_str().into())
            }
            (None, None, Some(_)) => {
                return Err((format!("{path}.unix.path"), "must be an absolute path of at most 107 bytes".to_owned()));
            }
            _ => return Err((path, "exactly one of ip, fqdn and unix is needed".to_owned())),
        };
        endpoints.push(Endpoint { address, weight: 1, zone: endpoint.zone.as_deref().map(Into::into) });
    }
    if endpoints.is_empty() {
        return Err(("spec.endpoints".to_owned(), "at least one endpoint is needed".to_owned()));
    }
    Ok(Endpoints { id, endpoints })
}

/// Why [`Allowed`] says no; follows what it is said of.
pub(crate) const OWN_ADDRESS: &str = "leads to the proxy's own machine or its cloud's metadata (loopback, unspecified, link-local), which no backend in a cluster may";
