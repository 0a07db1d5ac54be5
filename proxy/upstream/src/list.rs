//! The addresses behind a cluster, made by the control side and shared by all workers.

use fairlead_ir as ir;
use fairlead_telemetry::{EndpointMetrics, Registry};
use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// Where an endpoint listens. Its identity: what is known of an endpoint lives as long as its address is in the list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// TCP.
    Ip(SocketAddr),
    /// A unix socket; with `@` first an abstract one.
    Unix(Arc<Path>),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(f),
            Address::Unix(path) => path.display().fmt(f),
        }
    }
}

/// One endpoint.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where.
    pub address: Address,
    /// Relative share; 1 and more.
    pub weight: u32,
    /// Topology zone.
    pub zone: Option<Arc<str>>,
    /// The host name that was resolved to this address; for requests whose host is to be that of the endpoint.
    pub hostname: Option<Arc<str>>,
    /// What workers count about it.
    pub metrics: Arc<EndpointMetrics>,
}

/// All endpoints of a cluster; host names are resolved. Each address is there once.
#[derive(Clone, Debug, Default)]
pub struct EndpointList {
    /// In the order of the IR.
    pub targets: Box<[Target]>,
}

impl EndpointList {
    /// The host names among a cluster's endpoints: those that [`dns::Resolver`](crate::dns::Resolver) is to watch for it.
    pub fn hosts<'a>(cluster: &'a ir::Cluster, endpoints: Option<&'a ir::Endpoints>) -> impl Iterator<Item = &'a str> {
        let own = match &cluster.discovery {
            ir::Discovery::Dns { host, .. } => Some(&**host),
            ir::Discovery::Endpoints(_) => None,
        };
        own.into_iter().chain(endpoints.into_iter().flat_map(|e| &e.endpoints).filter_map(|e| match &e.address {
            ir::Address::Dns { host, .. } => Some(&**host),
            _ => None,
        }))
    }

    /// The list of a cluster. `endpoints` are those that its discovery names (`None`: there are none), `resolved` gives the known
    /// addresses of a host name. Each address of a host has the weight of the endpoint that names it. Of several endpoints with the
    /// same address the first counts, as in Envoy.
    pub fn compile<A: IntoIterator<Item = IpAddr>>(
        cluster: &ir::Cluster,
        endpoints: Option<&ir::Endpoints>,
        resolved: impl Fn(&str) -> A,
        registry: &Registry,
    ) -> Arc<EndpointList> {
        let mut list = Builder { cluster: &cluster.id, registry, seen: HashSet::new(), targets: Vec::new() };
        match &cluster.discovery {
            ir::Discovery::Dns { host, port } => list.add_host(host, *port, resolved(host), 1, None),
            ir::Discovery::Endpoints(_) => {
                for endpoint in endpoints.into_iter().flat_map(|e| &e.endpoints) {
                    let (weight, zone) = (endpoint.weight, endpoint.zone.as_deref());
                    match &endpoint.address {
                        ir::Address::Ip(address) => list.add(Address::Ip(*address), None, weight, zone),
                        ir::Address::Unix(path) => {
                            list.add(Address::Unix(Path::new(&**path).into()), None, weight, zone)
                        }
                        ir::Address::Dns { host, port } => list.add_host(host, *port, resolved(host), weight, zone),
                    }
                }
            }
        }
        Arc::new(EndpointList { targets: list.targets.into() })
    }
}

struct Builder<'a> {
    cluster: &'a str,
    registry: &'a Registry,
    seen: HashSet<Address>,
    targets: Vec<Target>,
}

impl Builder<'_> {
    fn add(&mut self, address: Address, hostname: Option<Arc<str>>, weight: u32, zone: Option<&str>) {
        if self.seen.insert(address.clone()) {
            let metrics = self.registry.endpoint(self.cluster, &address.to_string());
            let zone = zone.map(Arc::from);
            self.targets.push(Target { address, weight: weight.max(1), zone, hostname, metrics });
        }
    }

    fn add_host(
        &mut self,
        host: &str,
        port: u16,
        addresses: impl IntoIterator<Item = IpAddr>,
        weight: u32,
        zone: Option<&str>,
    ) {
        let hostname: Arc<str> = host.into();
        for ip in addresses {
            self.add(Address::Ip(SocketAddr::new(ip, port)), Some(hostname.clone()), weight, zone);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(discovery: ir::Discovery) -> ir::Cluster {
        ir::Cluster {
            id: "service/a/b/80".into(),
            protocol: ir::Protocol::Http1,
            tls: None,
            discovery,
            load_balancing: ir::LoadBalancing::LeastRequest,
            connect_timeout: ir::Millis(5000),
            idle_timeout: ir::Millis(60_000),
            retry_budget: None,
        }
    }

    fn endpoint(address: ir::Address, weight: u32) -> ir::Endpoint {
        ir::Endpoint { address, weight, zone: Some("z1".into()) }
    }

    fn show(list: &EndpointList) -> Vec<String> {
        list.targets.iter().map(|t| format!("{}*{}", t.address, t.weight)).collect()
    }

    #[test]
    fn host_names_become_addresses_and_duplicates_collapse() {
        let endpoints = ir::Endpoints {
            id: "e".into(),
            endpoints: vec![
                endpoint(ir::Address::Ip("10.0.0.1:80".parse().unwrap()), 3),
                endpoint(ir::Address::Dns { host: "db.example".into(), port: 80 }, 7),
                endpoint(ir::Address::Unix("/run/x.sock".into()), 0),
                endpoint(ir::Address::Ip("10.0.0.1:81".parse().unwrap()), 3),
            ],
        };
        let cluster = cluster(ir::Discovery::Endpoints("e".into()));
        let resolved = |host: &str| {
            assert_eq!(host, "db.example");
            ["10.0.0.1", "10.0.0.2", "fd00::1"].map(|ip| ip.parse::<IpAddr>().unwrap())
        };
        let registry = Registry::new(1);
        let list = EndpointList::compile(&cluster, Some(&endpoints), resolved, &registry);
        assert_eq!(show(&list), ["10.0.0.1:80*3", "10.0.0.2:80*7", "[fd00::1]:80*7", "/run/x.sock*1", "10.0.0.1:81*3"]);
        assert_eq!(list.targets[1].zone.as_deref(), Some("z1"));
        assert_eq!(list.targets[0].hostname, None, "the first of two with the same address counts");
        assert_eq!(list.targets[1].hostname.as_deref(), Some("db.example"));
        assert_eq!(EndpointList::hosts(&cluster, Some(&endpoints)).collect::<Vec<_>>(), ["db.example"]);
        let again = EndpointList::compile(&cluster, Some(&endpoints), resolved, &registry);
        assert!(Arc::ptr_eq(&list.targets[1].metrics, &again.targets[1].metrics), "counters survive an update");
    }

    #[test]
    fn a_dns_cluster_takes_all_addresses() {
        let cluster = cluster(ir::Discovery::Dns { host: "api.example".into(), port: 443 });
        let list = EndpointList::compile(
            &cluster,
            None,
            |_| ["10.0.0.2", "10.0.0.1"].map(|ip| ip.parse().unwrap()),
            &Registry::new(1),
        );
        assert_eq!(show(&list), ["10.0.0.2:443*1", "10.0.0.1:443*1"]);
        assert_eq!(EndpointList::hosts(&cluster, None).collect::<Vec<_>>(), ["api.example"]);
    }

    #[test]
    fn without_endpoints_it_is_empty() {
        let cluster = cluster(ir::Discovery::Endpoints("e".into()));
        assert!(EndpointList::compile(&cluster, None, |_| [], &Registry::new(1)).targets.is_empty());
    }
}
