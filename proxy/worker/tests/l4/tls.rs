use crate::house::*;
use fairlead_ir as ir;
use fairlead_testkit::tls::{Ca, Pair, Trust};
use fairlead_testkit::wait_until;
use rustls::{ClientConnection, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// A TLS backend that greets with its name, the name that the client asked for, and ALPN.
fn backend(name: &'static str, pair: &Pair, alpn: &[&str]) -> SocketAddr {
    let chain = vec![CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let config = config.clone();
            std::thread::spawn(move || {
                let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                if tls.conn.complete_io(&mut tls.sock).is_err() {
                    return;
                }
                let sni = tls.conn.server_name().unwrap_or("-").to_owned();
                let alpn = tls.conn.alpn_protocol().map_or("-".into(), String::from_utf8_lossy).into_owned();
                let _ = tls.write_all(format!("{name} {sni} {alpn}\n").as_bytes());
                let mut buf = [0; 1024];
                while let Ok(n) = tls.read(&mut buf) {
                    if n == 0 || tls.write_all(&buf[..n]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

struct Client {
    house: House,
    trust: Arc<rustls::ClientConfig>,
}

impl Client {
    fn new(house: House, ca: &Ca, alpn: &[&str]) -> Client {
        let mut trust = Trust::in_ca(ca).config();
        trust.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
        Client { house, trust: Arc::new(trust) }
    }

    fn connect(&self, name: &str) -> Result<StreamOwned<ClientConnection, TcpStream>, std::io::Error> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(self.trust.clone(), name).unwrap();
        let mut tls = StreamOwned::new(connection, self.house.connect());
        tls.conn.complete_io(&mut tls.sock)?;
        Ok(tls)
    }

    /// What the backend says of itself, and the ALPN that the client agreed on.
    fn who(&self, name: &str) -> (String, String) {
        let mut tls = self.connect(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let alpn = tls.conn.alpn_protocol().map_or("-".into(), String::from_utf8_lossy).into_owned();
        (read_name(&mut tls), alpn)
    }

    /// The connection ends without a byte: no alert.
    fn assert_closed(&self, name: &str) {
        let mut tls =
            ClientConnection::new(self.trust.clone(), ServerName::try_from(name.to_owned()).unwrap()).unwrap();
        let mut stream = self.house.connect();
        while tls.wants_write() {
            tls.write_tls(&mut stream).unwrap();
        }
        let mut buf = [0; 16];
        match stream.read(&mut buf) {
            Ok(n) => assert_eq!(n, 0, "{name}: {:?} came back", &buf[..n]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{name}"),
        }
    }
}

fn secret(id: &str, pair: &Pair) -> ir::Resource {
    let secret =
        ir::Secret { id: id.into(), certificates: pair.cert.as_str().into(), key: Some(pair.key.as_str().into()) };
    secret.into()
}

/// Pass-through, termination with and without encrypting again, and HTTPS, all on one port.
fn mixed(ca: &Ca) -> House {
    let inside = ca.issue(&["abc.example.com", "other.abc.example.com"]);
    let outside = ca.issue(&["tls.example.com", "again.example.com", "web.example.com", "broken.example.com"]);
    let backend = backend("secure", &inside, &["h2", "x/1"]);
    let tls = ir::ClusterTls {
        hostname: "abc.example.com".into(),
        ca: ir::CaSource::Secrets(vec!["ca".into()]),
        sans: vec![],
        client_certificate: None,
    };
    let ca_secret = ir::Secret { id: "ca".into(), certificates: ca.pem().into(), key: None };
    let mut all = vec![secret("cert", &outside), ca_secret.into()];
    all.extend(cluster("plain", ir::Protocol::Tcp, None, &[tcp_backend("plain")]));
    all.extend(cluster("raw", ir::Protocol::Tcp, None, &[backend]));
    all.extend(cluster("again", ir::Protocol::Tcp, Some(tls), &[backend]));
    all.extend(cluster("empty", ir::Protocol::Tcp, None, &[]));
    use ir::ListenerProtocol::{Https, Tls};
    all.push(listener("terminate", Tls, Some("tls.example.com"), Some(&["cert"])));
    all.push(listener("again", Tls, Some("again.example.com"), Some(&["cert"])));
    all.push(listener("broken", Tls, Some("broken.example.com"), Some(&["cert"])));
    all.push(listener("passthrough", Tls, Some("*.abc.example.com"), Some(&[])));
    all.push(listener("passthrough-exact", Tls, Some("abc.example.com"), Some(&[])));
    all.push(listener("https", Https, Some("web.example.com"), Some(&["cert"])));
    let tls_route = |name, listeners: &[&str], hosts: &[&str], to| -> ir::Resource {
        route(ir::RouteKind::Tls, name, 1, listeners, hosts, &[(to, 1)]).into()
    };
    all.push(tls_route("terminated", &["terminate"], &["tls.example.com"], "plain"));
    all.push(tls_route("again", &["again"], &["again.example.com"], "again"));
    all.push(tls_route("broken", &["broken"], &["broken.example.com"], "!"));
    all.push(tls_route("raw", &["passthrough-exact"], &["*.example.com", "abc.example.com"], "raw"));
    all.push(tls_route("wide", &["passthrough"], &["*.com"], "empty"));
    all.push(tls_route("narrow", &["passthrough"], &["other.abc.example.com"], "raw"));
    House::start(TCP, 1, all)
}

#[test]
fn the_name_says_what_becomes_of_a_connection() {
    let ca = Ca::new();
    let client = Client::new(mixed(&ca), &ca, &["h2", "http/1.1"]);
    let text = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(client.who("abc.example.com"), text("secure abc.example.com h2", "h2"), "client and backend agree");
    assert_eq!(client.who("other.abc.example.com"), text("secure other.abc.example.com h2", "h2"));
    assert_eq!(client.who("tls.example.com"), text("plain", "-"));
    assert_eq!(client.who("again.example.com"), text("secure abc.example.com -", "-"));
    let lines = client.house.log(4);
    let of = |name: &str| lines.iter().find(|line| line["requested_server_name"] == name).unwrap();
    assert_eq!(of("tls.example.com")["route_name"], "tlsroute/default/terminated/0");
    assert_eq!(of("abc.example.com")["upstream_cluster"], "raw");
    // HTTPS beside them is as ever.
    let mut tls = client.connect("web.example.com").unwrap();
    assert_eq!(tls.conn.alpn_protocol(), Some(&b"h2"[..]));
    drop(tls.sock.shutdown(std::net::Shutdown::Both));
    let _ = tls.write(b"");
}

#[test]
fn bytes_are_not_touched_on_the_way_through() {
    let ca = Ca::new();
    let client = Client::new(mixed(&ca), &ca, &[]);
    for name in ["abc.example.com", "tls.example.com", "again.example.com"] {
        let mut tls = client.connect(name).unwrap();
        read_name(&mut tls);
        for i in 0..200 {
            let line = format!("{i}{}", "x".repeat(i * 37));
            tls.write_all(format!("{line}\n").as_bytes()).unwrap();
            assert_eq!(read_name(&mut tls), line, "{name}");
        }
        tls.conn.send_close_notify();
        tls.flush().unwrap();
        tls.sock.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(tls.read(&mut [0; 1]).unwrap_or(0), 0, "{name}: the end comes back");
    }
}

/// No alert, which the client could take for an answer of the backend.
#[test]
fn what_leads_nowhere_is_closed_before_it_is_answered() {
    let ca = Ca::new();
    let client = Client::new(mixed(&ca), &ca, &[]);
    for name in ["nobody.example.org", "example.com", "broken.example.com", "third.abc.example.com"] {
        client.assert_closed(name);
    }
    let lines = client.house.log(4);
    let flags = |name: &str| {
        let line = lines.iter().find(|line| line["requested_server_name"] == name).unwrap();
        (line["response_flags"].clone(), line["response_code_details"].clone())
    };
    assert_eq!(flags("nobody.example.org"), ("NR".into(), "route_not_found".into()));
    assert_eq!(flags("broken.example.com"), ("NC".into(), "unresolved_reference".into()));
    assert_eq!(flags("third.abc.example.com"), ("UH".into(), "no_healthy_upstream".into()));
}

#[test]
fn what_is_no_tls_is_closed() {
    let ca = Ca::new();
    let house = mixed(&ca);
    let mut stream = house.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: tls.example.com\r\n\r\n").unwrap();
    let mut buf = [0; 16];
    assert!(stream.read(&mut buf).map_or(true, |n| n == 0));
    let errors = "fairlead_listener_tls_errors_total{listener=\"port/9000\",gateway=\"\"}";
    // It is counted once it is closed.
    wait_until(Duration::from_secs(5), errors, || (house.metric(errors) == 1.0).then_some(()));
}

/// A ClientHello may come in any pieces.
#[test]
fn a_hello_in_pieces_is_put_together() {
    let ca = Ca::new();
    let client = Client::new(mixed(&ca), &ca, &[]);
    let name = ServerName::try_from("abc.example.com").unwrap();
    let mut tls = ClientConnection::new(client.trust.clone(), name).unwrap();
    let mut hello = Vec::new();
    tls.write_tls(&mut hello).unwrap();
    let mut stream = client.house.connect();
    stream.set_nodelay(true).unwrap();
    for piece in hello.chunks(97) {
        stream.write_all(piece).unwrap();
        std::thread::sleep(Duration::from_millis(3));
    }
    let mut tls = StreamOwned::new(tls, stream);
    assert_eq!(read_name(&mut tls), "secure abc.example.com -");
}
