//! File descriptors: clients of one kind leave some to those of others.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use fairlead_testkit::{Backend, Manifests, Proxy, Version, Wire};

const DATAGRAMS: &str = "---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: datagrams}
spec: {gatewayClassName: fairlead, listeners: [{name: udp, protocol: UDP, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {name: datagrams}
spec: {parentRefs: [{name: datagrams}], rules: [{backendRefs: [{name: datagrams, port: 53}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: datagrams}
spec: {ports: [{protocol: UDP, port: 53}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: datagrams, labels: {kubernetes.io/service-name: datagrams}}
addressType: IPv4
ports: [{protocol: UDP, port: PORT}]
endpoints: [{addresses: [127.0.0.1]}]
";

/// Each pair of addresses is a session with a socket of its own, and a client can forge as many as it likes.
#[test]
fn datagrams_of_many_addresses_keep_no_connection_out() {
    // The proxy inherits it; nobody else is in this process.
    let own = std::process::id().to_string();
    let status = Command::new("prlimit").args(["--pid", &own, "--nofile=600"]).status();
    assert!(status.expect("prlimit of util-linux").success());
    let backend = Backend::answering();
    let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
    let text = Manifests::new()
        .only("all", backend.address.port(), Version::H1)
        .and(&DATAGRAMS.replace("PORT", &sink.local_addr().unwrap().port().to_string()))
        .text();
    let proxy = Proxy::serve(&text, &[80]);
    for n in 0..1200 {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"x", proxy.address(80)).unwrap();
        if n % 50 == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    std::thread::sleep(Duration::from_millis(300));
    let open = std::fs::read_dir(format!("/proc/{}/fd", proxy.process.id())).unwrap().count();
    assert!((250..400).contains(&open), "{open} descriptors");
    let mut wires: Vec<Wire> = (0..60).map(|_| Wire::connect(proxy.address(80))).collect();
    for wire in &mut wires {
        assert_eq!(wire.get("test", "/").text(), "ok");
    }
}
