//! A proxy of connections and datagrams, and backends that say who they are.

use fairlead_ir as ir;
use fairlead_testkit::config;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const TCP: ir::Bind = ir::Bind::tcp(None, 9000);
pub const UDP: ir::Bind = ir::Bind::udp(None, 9000);

/// A proxy, and clients that wait for ten seconds.
pub struct House(fairlead_testkit::House);

impl Deref for House {
    type Target = fairlead_testkit::House;

    fn deref(&self) -> &fairlead_testkit::House {
        &self.0
    }
}

impl House {
    pub fn start(bind: ir::Bind, workers: usize, resources: Vec<ir::Resource>) -> House {
        House(fairlead_testkit::House::of(bind, workers, resources))
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
    ir::Listener { bind, protocol, hostname: hostname.map(Into::into), tls, ..config::listener(id) }.into()
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
    ir::Route {
        id: format!("{prefix}/default/{name}/0").into(),
        kind,
        listeners: listeners.iter().map(|id| (*id).into()).collect(),
        hostnames: hosts.iter().map(|host| (*host).into()).collect(),
        order: ir::Order { created: age, object: format!("default/{name}").into(), rule: 0 },
        ..config::route(name, to)
    }
}

/// A cluster with its endpoints.
pub fn cluster(id: &str, protocol: ir::Protocol, tls: Option<ir::ClusterTls>, to: &[SocketAddr]) -> Vec<ir::Resource> {
    vec![endpoints(id, to), ir::Cluster { protocol, tls, ..config::cluster(id) }.into()]
}

pub fn endpoints(id: &str, to: &[SocketAddr]) -> ir::Resource {
    config::endpoints(id, to).into()
}
