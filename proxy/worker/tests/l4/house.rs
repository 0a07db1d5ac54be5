//! A proxy from IR, and backends that say who they are.

use fairlead_ir as ir;
use fairlead_net::tls::Tickets;
use fairlead_snapshot::{Cell, Compiler};
use fairlead_telemetry::{AccessLog, LogTarget, LogWriter, Registry};
use fairlead_testkit::{TempDir, wait_until};
use fairlead_worker::{Settings, Workers};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const TCP: ir::Bind = ir::Bind::tcp(None, 9000);
pub const UDP: ir::Bind = ir::Bind::udp(None, 9000);

/// A proxy whose listeners stand on one bind.
pub struct House {
    pub address: SocketAddr,
    pub workers: Workers,
    pub registry: Arc<Registry>,
    bind: ir::Bind,
    compiler: Mutex<Compiler>,
    snapshots: Arc<Cell>,
    log: TempDir,
    writer: Arc<LogWriter>,
}

impl House {
    pub fn start(bind: ir::Bind, workers: usize, upserts: Vec<ir::Resource>) -> House {
        let registry = Registry::new(workers);
        let compiler = Mutex::new(Compiler::new(registry.clone(), Tickets::new().unwrap()));
        let snapshots: Arc<Cell> = Arc::default();
        let log = TempDir::new();
        let writer = LogWriter::start(&LogTarget::File(log.path().join("log")), registry.clone()).unwrap();
        let writer = Arc::new(writer);
        let settings = Settings {
            workers,
            snapshots: snapshots.clone(),
            access_log: Some((AccessLog::parse("json").unwrap(), writer.clone())),
            registry: registry.clone(),
        };
        let workers = Workers::start(&settings).unwrap();
        let mut house =
            House { address: ([127, 0, 0, 1], 0).into(), workers, registry, bind, compiler, snapshots, log, writer };
        house.push(upserts, vec![]);
        house.address = house.workers.listen(bind, "127.0.0.1:0".parse().unwrap()).unwrap();
        house
    }

    pub fn push(&self, upserts: Vec<ir::Resource>, removals: Vec<ir::ResourceId>) {
        let mut compiler = self.compiler.lock().unwrap();
        let applied = compiler.apply(&ir::Push { version: 1, upserts, removals });
        assert!(applied.rejected.is_empty(), "{applied:?}");
        self.snapshots.store(Arc::new(compiler.snapshot()));
    }

    pub fn close(&self) {
        self.workers.close(self.bind);
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// What the backend of a new connection calls itself; empty when the connection was closed.
    pub fn who(&self) -> String {
        read_name(&mut self.connect())
    }

    /// A UDP client of its own address.
    pub fn datagrams(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.connect(self.address).unwrap();
        socket
    }

    /// The lines of the access log once there are `n`.
    pub fn log(&self, n: usize) -> Vec<serde_json::Value> {
        let path = self.log.path().join("log");
        wait_until(Duration::from_secs(5), &format!("{n} lines of the log"), || {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let lines: Vec<_> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            (lines.len() >= n).then_some(lines)
        })
    }

    pub fn metrics(&self) -> String {
        let mut text = String::new();
        self.registry.encode(&mut text);
        text
    }

    /// The value of a series.
    pub fn metric(&self, series: &str) -> f64 {
        let text = self.metrics();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = &self.writer;
        self.close();
    }
}

/// A backend that greets with its name and sends everything back.
pub fn tcp_backend(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let _ = stream.write_all(format!("{name}\n").as_bytes());
                let mut buf = vec![0; 65536];
                while let Ok(n) = stream.read(&mut buf) {
                    if n == 0 || stream.write_all(&buf[..n]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

pub fn read_name(stream: &mut impl Read) -> String {
    let mut name = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).is_ok_and(|n| n > 0) && byte[0] != b'\n' {
        name.push(byte[0]);
    }
    String::from_utf8(name).unwrap()
}

/// A backend that answers each datagram with its name, its count and the datagram.
pub fn udp_backend(name: &'static str) -> (SocketAddr, Arc<Mutex<Vec<SocketAddr>>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let peers = seen.clone();
    std::thread::spawn(move || {
        let mut buf = [0; 65536];
        while let Ok((n, peer)) = socket.recv_from(&mut buf) {
            peers.lock().unwrap().push(peer);
            let _ = socket.send_to(&[name.as_bytes(), b" ", &buf[..n]].concat(), peer);
        }
    });
    (address, seen)
}

pub fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub fn listener(
    id: &str,
    protocol: ir::ListenerProtocol,
    hostname: Option<&str>,
    certificates: Option<&[&str]>,
) -> ir::Resource {
    let bind = if protocol == ir::ListenerProtocol::Udp { UDP } else { TCP };
    let tls = certificates.map(|ids| ir::ListenerTls {
        certificates: ids.iter().map(|id| (*id).into()).collect(),
        ..ir::ListenerTls::default()
    });
    ir::Resource::Listener(Arc::new(ir::Listener {
        id: id.into(),
        gateway: "default/gw".into(),
        bind,
        protocol,
        hostname: hostname.map(Into::into),
        tls,
        http: ir::HttpSettings::default(),
        filters: None,
    }))
}

/// A route to clusters by weight; a cluster `!` does not resolve.
pub fn route(
    kind: ir::RouteKind,
    name: &str,
    age: i64,
    listeners: &[&str],
    hosts: &[&str],
    to: &[(&str, u32)],
) -> ir::Route {
    let prefix = match kind {
        ir::RouteKind::Tls => "tlsroute",
        ir::RouteKind::Tcp => "tcproute",
        ir::RouteKind::Udp => "udproute",
        _ => "httproute",
    };
    let target = |cluster: &str| match cluster {
        "!" => ir::BackendTarget::Invalid("nowhere".into()),
        id => ir::BackendTarget::Cluster(id.into()),
    };
    ir::Route {
        id: format!("{prefix}/default/{name}/0").into(),
        name: format!("default/{name}").into(),
        rule: None,
        kind,
        listeners: listeners.iter().map(|id| (*id).into()).collect(),
        hostnames: hosts.iter().map(|host| (*host).into()).collect(),
        matches: vec![],
        order: ir::Order { created: age, object: format!("default/{name}").into(), rule: 0 },
        filters: vec![],
        backends: to
            .iter()
            .map(|(id, weight)| ir::Backend { weight: *weight, target: target(id), filters: vec![], session: None })
            .collect(),
        broken: None,
        timeouts: ir::Timeouts::default(),
        retry: None,
    }
}

pub fn resource(route: ir::Route) -> ir::Resource {
    ir::Resource::Route(Arc::new(route))
}

/// A cluster with its endpoints.
pub fn cluster(id: &str, protocol: ir::Protocol, tls: Option<ir::ClusterTls>, to: &[SocketAddr]) -> Vec<ir::Resource> {
    let cluster = ir::Cluster {
        id: id.into(),
        protocol,
        tls,
        discovery: ir::Discovery::Endpoints(id.into()),
        load_balancing: ir::LoadBalancing::RoundRobin,
        connect_timeout: ir::Millis(1000),
        idle_timeout: ir::Millis(60_000),
        retry_budget: None,
    };
    vec![endpoints(id, to), ir::Resource::Cluster(Arc::new(cluster))]
}

pub fn endpoints(id: &str, to: &[SocketAddr]) -> ir::Resource {
    let each = |address: &SocketAddr| ir::Endpoint { address: ir::Address::Ip(*address), weight: 1, zone: None };
    ir::Resource::Endpoints(Arc::new(ir::Endpoints { id: id.into(), endpoints: to.iter().map(each).collect() }))
}
