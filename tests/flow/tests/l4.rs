//! TLSRoute, TCPRoute and UDPRoute: examples `tcp-and-udp` and `tls-routing`, with real echo servers behind them.
#![allow(clippy::expect_used)]

use fairlead_test_flow::{Setup, Stage};
use fairlead_testkit::tls::{Ca, Trust};
use fairlead_testkit::{Echo, TempDir, free_port, runtime, wait_until};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The pod that answers the suite's line protocol behind a TCP port; empty when the connection was closed.
fn tcp_pod(stage: &Stage, port: u16) -> String {
    let Ok(mut stream) = TcpStream::connect(stage.proxy.address(port)) else { return String::new() };
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let _ = stream.write_all(b"TEST\n");
    let line = BufReader::new(stream).lines().nth(1);
    pod(line.and_then(Result::ok).unwrap_or_default().as_bytes())
}

/// The pod that answers a datagram.
fn udp_pod(stage: &Stage, port: u16) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
    socket.connect(stage.proxy.address(port)).expect("connected");
    let _ = socket.send(b"hello");
    let mut buf = [0; 4096];
    let n = socket.recv(&mut buf).unwrap_or_default();
    pod(&buf[..n])
}

fn pod(json: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
    value["pod"].as_str().unwrap_or_default().to_owned()
}

fn suite(pod: &str, tcp: u16) -> Echo {
    Echo::with(pod, &["--suite-tcp-port", &tcp.to_string()])
}

#[test]
fn the_tcp_and_udp_example() {
    let [first, second, dns, dns_tcp] = [(); 4].map(|()| free_port());
    let backends = [suite("first", first), suite("second", second)];
    let resolver =
        Echo::with("resolver", &["--suite-udp-port", &dns.to_string(), "--suite-tcp-port", &dns_tcp.to_string()]);
    let stage = Setup::example("tcp-and-udp")
        .args(&["--workers", "2"])
        .port(3001, first)
        .port(3002, second)
        .port(3053, dns)
        .port(3054, dns_tcp)
        .start();
    let mut counts = std::collections::BTreeMap::<String, u32>::new();
    for _ in 0..200 {
        *counts.entry(tcp_pod(&stage, 5432)).or_default() += 1;
    }
    assert!(counts["first"] + counts["second"] == 200 && (5..=40).contains(&counts["second"]), "{counts:?}");
    assert_eq!((udp_pod(&stage, 5300), tcp_pod(&stage, 5300)), ("resolver".into(), "resolver".into()));
    let line = stage.proxy.log_line("a connection", |line| line["route_name"] == "tcproute/default/dns/0");
    assert_eq!((&line["response_code"], &line["method"]), (&0.into(), &().into()));
    assert!(line["bytes_sent"].as_u64().is_some_and(|n| n > 20), "{line}");
    let output = stage.proxy.process.output();
    for row in ["TCPRoute default/postgres", "UDPRoute default/dns"] {
        let line = output.lines().find(|line| line.starts_with(row)).unwrap_or_else(|| panic!("{row} in {output}"));
        assert!(line.ends_with("Accepted ResolvedRefs"), "{line}");
    }
    let udp = stage
        .metric("fairlead_listener_connections_total{listener=\"gateway/default/dns/udp\",gateway=\"default/dns\"}");
    assert!(udp >= 1.0);
    drop((backends, resolver));
}

/// Half-close, and both directions at once, through the product.
#[test]
fn connections_end_as_their_sides_do() {
    let port = free_port();
    let echo = Echo::with("echo", &["--tcp-port", &port.to_string()]);
    let manifests =
        std::fs::read_to_string(fairlead_test_flow::repository().join("docs/examples/tcp-and-udp/tcp.yaml"));
    let stage = Setup::manifests(&manifests.expect("readable")).port(3001, port).port(3002, port).start();
    let mut stream = TcpStream::connect(stage.proxy.address(5432)).expect("connected");
    let sent: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let (mut writer, copy) = (stream.try_clone().expect("cloned"), sent.clone());
    let writing = std::thread::spawn(move || {
        writer.write_all(&copy).expect("written");
        writer.shutdown(Shutdown::Write).expect("ended");
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).expect("read");
    writing.join().expect("joined");
    assert!(received == sent);
    drop(echo);
}

#[test]
fn live_changes_of_tcp_and_udp() {
    let [one, two] = [(); 2].map(|()| free_port());
    let echoes = [
        Echo::with("one", &["--suite-tcp-port", &one.to_string(), "--suite-udp-port", &one.to_string()]),
        Echo::with("two", &["--suite-tcp-port", &two.to_string(), "--suite-udp-port", &two.to_string()]),
    ];
    let manifests = |backend: &str, routes: bool| {
        let mut text = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: fairlead
  listeners:
  - {name: tcp, protocol: TCP, port: 9000}
  - {name: udp, protocol: UDP, port: 9000}
---
apiVersion: fairlead.dev/v1alpha1
kind: Backend
metadata: {name: one}
spec: {endpoints: [{ip: {address: 127.0.0.1, port: 3001}}]}
---
apiVersion: fairlead.dev/v1alpha1
kind: Backend
metadata: {name: two}
spec: {endpoints: [{ip: {address: 127.0.0.1, port: 3002}}]}
"
        .to_owned();
        for kind in ["TCPRoute", "UDPRoute"].iter().filter(|_| routes) {
            text += &format!(
                "---\napiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: r}}\nspec:\n  parentRefs: [{{name: gw}}]\n  \
                 rules: [{{backendRefs: [{{group: fairlead.dev, kind: Backend, name: {backend}}}]}}]\n"
            );
        }
        text
    };
    let stage = Setup::manifests(&manifests("one", true)).port(3001, one).port(3002, two).start();
    let until = |who: &str| {
        wait_until(Duration::from_secs(10), &format!("{who:?} to answer"), || {
            (tcp_pod(&stage, 9000) == who && udp_pod(&stage, 9000) == who).then_some(())
        });
    };
    until("one");
    stage.update(&manifests("two", true));
    until("two");
    stage.update(&manifests("two", false));
    until("");
    stage.update(&manifests("one", true));
    until("one");
    drop(echoes);
}

#[test]
fn the_tls_routing_example() {
    let (ca, made) = (Ca::new(), TempDir::new());
    let tls_echo = |pod: &str, names: &[&str]| {
        let (pair, port) = (ca.issue(names), free_port());
        let file = |end: &str| made.path().join(format!("{pod}.{end}")).display().to_string();
        std::fs::write(file("crt"), &pair.cert).expect("written");
        std::fs::write(file("key"), &pair.key).expect("written");
        let port_text = port.to_string();
        let args = ["--suite-tls-port", &port_text, "--tls-cert", &file("crt"), "--tls-key", &file("key")];
        (Echo::with(pod, &args), port)
    };
    let (shop, shop_port) = tls_echo("shop", &["shop.example.com"]);
    let (others, others_port) = tls_echo("others", &["a.example.com", "b.c.example.com"]);
    let stage = Setup::example("tls-routing").port(3443, shop_port).port(3444, others_port).start();
    let ask = |name: &'static str| {
        runtime().block_on(async {
            let mut tls = Trust::in_ca(&ca).connect(stage.proxy.address(8443), name, &[]).await?;
            tls.write_all(b"TEST\n").await?;
            let mut text = Vec::new();
            while text.iter().filter(|byte| **byte == b'\n').count() < 2 {
                text.push(tls.read_u8().await?);
            }
            let json: serde_json::Value =
                serde_json::from_slice(text.split(|b| *b == b'\n').nth(1).unwrap_or_default())?;
            std::io::Result::Ok((json["pod"].clone(), json["tls"]["serverName"].clone()))
        })
    };
    for (name, pod) in [("shop.example.com", "shop"), ("a.example.com", "others"), ("b.c.example.com", "others")] {
        assert_eq!(ask(name).expect(name), (pod.into(), name.into()));
    }
    for name in ["example.org", "example.com"] {
        let error = ask(name).expect_err(name);
        let closed = [std::io::ErrorKind::UnexpectedEof, std::io::ErrorKind::ConnectionReset];
        assert!(closed.contains(&error.kind()), "{name}: {error}");
    }
    let line = stage.proxy.log_line("a refused connection", |line| line["requested_server_name"] == "example.org");
    assert_eq!(line["response_flags"], "NR");
    drop((shop, others));
}
