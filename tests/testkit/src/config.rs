//! Resources as a controller would push them, plain ones: a test sets the fields that it is about.

use fairlead_ir as ir;
use std::net::SocketAddr;

/// Port 80, as far as clients of the IR know; a [`House`](crate::House) listens elsewhere.
pub const HTTP: ir::Bind = ir::Bind::tcp(None, 80);

/// A listener for all hosts at [`HTTP`], without TLS.
pub fn listener(id: &str) -> ir::Listener {
    ir::Listener {
        id: id.into(),
        gateway: "default/gw".into(),
        bind: HTTP,
        protocol: ir::ListenerProtocol::Http,
        hostname: None,
        tls: None,
        http: ir::HttpSettings::default(),
        filters: None,
    }
}

/// The only rule of the HTTPRoute `default/NAME`: what listener `l` gets goes to clusters by weight.
pub fn route(name: &str, to: &[(&str, u32)]) -> ir::Route {
    ir::Route {
        id: format!("httproute/default/{name}/0").into(),
        name: format!("default/{name}").into(),
        rule: None,
        kind: ir::RouteKind::Http,
        listeners: vec!["l".into()],
        hostnames: vec![],
        matches: vec![],
        order: ir::Order::default(),
        filters: vec![],
        backends: to.iter().map(|(cluster, weight)| backend(cluster, *weight)).collect(),
        broken: None,
        timeouts: ir::Timeouts::default(),
        retry: None,
    }
}

/// A cluster as a rule's backend; `!` is one that does not resolve.
pub fn backend(cluster: &str, weight: u32) -> ir::Backend {
    let target = match cluster {
        "!" => ir::BackendTarget::Invalid("nowhere".into()),
        id => ir::BackendTarget::Cluster(id.into()),
    };
    ir::Backend { weight, target, filters: vec![], session: None }
}

/// A cluster for HTTP/1.1 whose endpoints have its own id.
pub fn cluster(id: &str) -> ir::Cluster {
    ir::Cluster {
        id: id.into(),
        protocol: ir::Protocol::Http1,
        tls: None,
        discovery: ir::Discovery::Endpoints(id.into()),
        load_balancing: ir::LoadBalancing::RoundRobin,
        connect_timeout: ir::Millis(1000),
        idle_timeout: ir::Millis(60_000),
        retry_budget: None,
    }
}

/// Endpoints of equal weight.
pub fn endpoints(id: &str, to: &[SocketAddr]) -> ir::Endpoints {
    let each = |address: &SocketAddr| ir::Endpoint { address: ir::Address::Ip(*address), weight: 1, zone: None };
    ir::Endpoints { id: id.into(), endpoints: to.iter().map(each).collect() }
}

/// A plain [`cluster`] and its endpoints.
pub fn reaching(id: &str, to: &[SocketAddr]) -> Vec<ir::Resource> {
    vec![endpoints(id, to).into(), cluster(id).into()]
}
