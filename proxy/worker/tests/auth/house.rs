//! A proxy with a backend, an authorisation service, and filters between them.

use fairlead_ir as ir;
use fairlead_net::tls::Tickets;
use fairlead_snapshot::{Cell, Compiler};
use fairlead_telemetry::Registry;
use fairlead_testkit::{Act, Backend, Wire};
use fairlead_worker::{Settings, Workers};
use std::net::SocketAddr;
use std::sync::Arc;

pub struct House {
    pub address: SocketAddr,
    /// What requests come to that get through.
    pub backend: Backend,
    pub registry: Arc<Registry>,
    _workers: Workers,
}

const BIND: ir::Bind = ir::Bind::tcp(None, 80);

/// A rule for all requests to the backend, and a listener for all hosts, as a test wants them; `auth` is where cluster `auth` leads.
pub fn house(auth: &[SocketAddr], change: impl FnOnce(&mut Vec<ir::Route>, &mut ir::Listener)) -> House {
    let echo =
        Backend::start(|request| Act::ok(&format!("{}\n{}", request.head, String::from_utf8_lossy(&request.body))));
    house_of(auth, echo, change)
}

/// The same with a backend of the test's own.
pub fn house_of(
    auth: &[SocketAddr],
    backend: Backend,
    change: impl FnOnce(&mut Vec<ir::Route>, &mut ir::Listener),
) -> House {
    let registry = Registry::new(1);
    let mut compiler = Compiler::new(registry.clone(), Tickets::new().unwrap());
    let mut routes = vec![route("all")];
    let mut listener = ir::Listener {
        id: "l".into(),
        gateway: "default/gw".into(),
        bind: BIND,
        protocol: ir::ListenerProtocol::Http,
        hostname: None,
        tls: None,
        http: ir::HttpSettings::default(),
        filters: None,
    };
    change(&mut routes, &mut listener);
    let mut upserts = Vec::new();
    for (id, addresses) in [("backend", &[backend.address][..]), ("auth", auth)] {
        let endpoints =
            addresses.iter().map(|a| ir::Endpoint { address: ir::Address::Ip(*a), weight: 1, zone: None }).collect();
        upserts.push(ir::Resource::Endpoints(Arc::new(ir::Endpoints { id: id.into(), endpoints })));
        upserts.push(ir::Resource::Cluster(Arc::new(cluster(id))));
    }
    upserts.extend(routes.into_iter().map(|route| ir::Resource::Route(Arc::new(route))));
    upserts.push(ir::Resource::Listener(Arc::new(listener)));
    let applied = compiler.apply(&ir::Push { version: 1, upserts, removals: vec![] });
    assert!(applied.rejected.is_empty(), "{applied:?}");
    let snapshots = Arc::new(Cell::default());
    snapshots.store(Arc::new(compiler.snapshot()));
    let workers =
        Workers::start(&Settings { workers: 1, snapshots, access_log: None, registry: registry.clone() }).unwrap();
    let address = workers.listen(BIND, "127.0.0.1:0".parse().unwrap()).unwrap();
    House { address, backend, registry, _workers: workers }
}

impl House {
    pub fn wire(&self) -> Wire {
        Wire::connect(self.address)
    }

    /// A number of the metrics; 0 when the series is not there.
    pub fn metric(&self, series: &str) -> f64 {
        let mut text = String::new();
        self.registry.encode(&mut text);
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned));
        line.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    /// Requests that got through.
    pub fn through(&self) -> usize {
        let seen = self.backend.seen();
        assert!(seen.malformed.is_empty(), "{:?}", seen.malformed);
        seen.requests.len()
    }
}

fn cluster(id: &str) -> ir::Cluster {
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

/// A rule for all requests to the backend.
pub fn route(name: &str) -> ir::Route {
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
        backends: vec![ir::Backend {
            weight: 1,
            target: ir::BackendTarget::Cluster("backend".into()),
            filters: vec![],
            session: None,
        }],
        broken: None,
        timeouts: ir::Timeouts::default(),
        retry: None,
    }
}

/// A filter that asks cluster `auth`.
pub fn asking(protocol: ir::AuthProtocol) -> ir::ExternalAuth {
    ir::ExternalAuth {
        cluster: "auth".into(),
        authority: "auth.default.svc:80".into(),
        protocol,
        max_body: 0,
        timeout: ir::Millis(2000),
    }
}

pub fn http(prefix: &str, sent: &[&str], taken: &[&str]) -> ir::ExternalAuth {
    let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
    asking(ir::AuthProtocol::Http {
        prefix: prefix.into(),
        request_headers: names(sent),
        response_headers: names(taken),
    })
}

pub fn grpc() -> ir::ExternalAuth {
    asking(ir::AuthProtocol::Grpc { request_headers: vec![] })
}

/// An answer with fields, `name: value` lines.
pub fn answer(status: u16, fields: &str, body: &str) -> Act {
    let fields: String = fields.lines().map(|line| format!("{}\r\n", line.trim())).collect();
    Act::Answer(format!("HTTP/1.1 {status} X\r\n{fields}content-length: {}\r\n\r\n{body}", body.len()).into_bytes())
}
