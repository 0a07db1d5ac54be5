//! A proxy whose configuration can be changed, and backends that say who they are.

use fairlead_ir as ir;
use fairlead_net::tls::Tickets;
use fairlead_snapshot::{Cell, Compiler};
use fairlead_telemetry::Registry;
use fairlead_testkit::{Answer, Wire};
use fairlead_worker::{Settings, Workers};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const BIND: ir::Bind = ir::Bind::tcp(None, 80);

/// A proxy with one listener and one rule.
pub struct Proxy {
    pub address: SocketAddr,
    pub registry: Arc<Registry>,
    compiler: Compiler,
    snapshots: Arc<Cell>,
    version: u64,
    _workers: Workers,
}

impl Proxy {
    pub fn start(workers: usize, resources: Vec<ir::Resource>) -> Proxy {
        let registry = Registry::new(workers);
        let compiler = Compiler::new(registry.clone(), Tickets::new().unwrap());
        let snapshots = Arc::new(Cell::default());
        let settings = Settings { workers, snapshots: snapshots.clone(), access_log: None, registry: registry.clone() };
        let workers = Workers::start(&settings).unwrap();
        let address = workers.listen(BIND, "127.0.0.1:0".parse().unwrap()).unwrap();
        let mut proxy = Proxy { address, registry, compiler, snapshots, version: 0, _workers: workers };
        proxy.push(resources);
        proxy
    }

    pub fn push(&mut self, upserts: Vec<ir::Resource>) {
        self.version += 1;
        let applied = self.compiler.apply(&ir::Push { version: self.version, upserts, removals: vec![] });
        assert!(applied.rejected.is_empty(), "{applied:?}");
        self.snapshots.store(Arc::new(self.compiler.snapshot()));
    }

    /// A request on a connection of its own, so that any worker may take it.
    pub fn ask(&self, headers: &str) -> Answer {
        let mut wire = Wire::connect(self.address);
        wire.send(format!("GET / HTTP/1.1\r\nhost: example.com\r\n{headers}\r\n"));
        wire.response(false).expect("an answer")
    }
}

pub fn listener() -> ir::Resource {
    // As a push has it, so that fields which concern nobody here need no mention.
    let listener = serde_json::json!({
        "id": "l", "gateway": "default/gw", "bind": BIND, "protocol": "http", "http": ir::HttpSettings::default(),
    });
    ir::Resource::Listener(Arc::new(serde_json::from_value(listener).unwrap()))
}

pub fn cluster(id: &str, backends: &[SocketAddr], retry_budget: Option<ir::RetryBudget>) -> Vec<ir::Resource> {
    vec![
        endpoints(id, backends),
        ir::Resource::Cluster(Arc::new(ir::Cluster {
            id: id.into(),
            protocol: ir::Protocol::Http1,
            tls: None,
            discovery: ir::Discovery::Endpoints(id.into()),
            load_balancing: ir::LoadBalancing::RoundRobin,
            connect_timeout: ir::Millis(1000),
            idle_timeout: ir::Millis(60_000),
            retry_budget,
        })),
    ]
}

pub fn endpoints(id: &str, backends: &[SocketAddr]) -> ir::Resource {
    let endpoint = |a: &SocketAddr| ir::Endpoint { address: ir::Address::Ip(*a), weight: 1, zone: None };
    ir::Resource::Endpoints(Arc::new(ir::Endpoints {
        id: id.into(),
        endpoints: backends.iter().map(endpoint).collect(),
    }))
}

pub fn backend(cluster: &str, weight: u32, session: Option<ir::Session>) -> ir::Backend {
    let target = ir::BackendTarget::Cluster(cluster.into());
    ir::Backend { weight, target, filters: vec![], session: session.map(Box::new) }
}

pub fn route(backends: Vec<ir::Backend>, retry: Option<ir::Retry>) -> ir::Resource {
    ir::Resource::Route(Arc::new(ir::Route {
        id: "httproute/default/r/0".into(),
        name: "default/r".into(),
        rule: None,
        kind: ir::RouteKind::Http,
        listeners: vec!["l".into()],
        hostnames: vec![],
        matches: vec![],
        order: ir::Order::default(),
        filters: vec![],
        backends,
        broken: None,
        timeouts: ir::Timeouts::default(),
        retry,
    }))
}

/// A backend that answers every request with a status, more header lines, and its own address as the body. Counts requests.
pub fn server(status: u16, headers: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let counter = counter.clone();
            std::thread::spawn(move || answer(stream, address, status, headers, &counter));
        }
    });
    (address, count)
}

fn answer(mut stream: TcpStream, own: SocketAddr, status: u16, headers: &str, count: &AtomicUsize) {
    let mut ahead = Vec::new();
    let mut buf = [0; 4096];
    loop {
        while let Some(end) = ahead.windows(4).position(|w| w == b"\r\n\r\n") {
            let request = String::from_utf8_lossy(&ahead[..end]).into_owned();
            ahead.drain(..end + 4);
            count.fetch_add(1, Ordering::SeqCst);
            let cookies = request.lines().filter(|line| line.starts_with("cookie: ")).collect::<Vec<_>>().join("; ");
            let own = own.to_string();
            let text = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nseen: {cookies}\r\n{headers}\r\n{own}",
                own.len()
            );
            if stream.write_all(text.as_bytes()).is_err() {
                return;
            }
        }
        match stream.read(&mut buf) {
            Ok(n) if n > 0 => ahead.extend_from_slice(&buf[..n]),
            _ => return,
        }
    }
}
