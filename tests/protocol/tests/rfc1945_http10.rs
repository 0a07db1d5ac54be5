//! HTTP/1.0 clients (RFC 1945, and what RFC 9112 says of them): served, and never to a backend as such.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use fairlead_testkit::{Act, Backend, Manifests, Proxy, Request, Shared, Version, Wire};

struct House {
    proxy: Proxy,
    script: Backend,
}

static HOUSE: Shared<House> = Shared::new(|| {
    let script = Backend::start(act);
    let manifests = Manifests::new().backend("script.test", script.address.port(), Version::H1, "").and(ANY_HOST);
    House { proxy: Proxy::serve(&manifests.text(), &[80, 8080]), script }
});

/// A listener of its own for a route that asks for no host.
const ANY_HOST: &str = "---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: any}
spec:
  gatewayClassName: fairlead
  listeners: [{name: http, protocol: HTTP, port: 8080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: any}
spec:
  parentRefs: [{name: any}]
  rules: [{backendRefs: [{group: fairlead.dev, kind: Backend, name: script-test}]}]
";

fn act(request: &Request) -> Act {
    match request.path() {
        "/chunked" => Act::Answer(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-t: v\r\n\r\n".to_vec(),
        ),
        "/interim" => Act::Answer(
            b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec(),
        ),
        _ => Act::ok(&format!("{} {}", request.method(), request.path())),
    }
}

#[test]
fn the_connection_ends_unless_the_client_asks() {
    let house = HOUSE.take();
    let mut wire = Wire::connect(house.proxy.address(80));
    wire.send("GET /a HTTP/1.0\r\nHost: script.test\r\n\r\n");
    assert_eq!(wire.response(false).unwrap().text(), "GET /a");
    assert!(wire.is_closed_within(Duration::from_secs(1)));

    let mut wire = Wire::connect(house.proxy.address(80));
    for path in ["/a", "/b"] {
        wire.send(format!("GET {path} HTTP/1.0\r\nHost: script.test\r\nConnection: keep-alive\r\n\r\n"));
        let answer = wire.response(false).unwrap();
        assert_eq!((answer.text(), answer.header("connection")), (format!("GET {path}"), Some("keep-alive")));
    }
    // Chunks would not be understood: the end of the connection ends the content.
    wire.send("GET /chunked HTTP/1.0\r\nHost: script.test\r\nConnection: keep-alive\r\n\r\n");
    let answer = wire.response(false).unwrap();
    assert_eq!(
        (answer.header("transfer-encoding"), answer.header("connection"), answer.text()),
        (None, Some("close"), "hello".into())
    );
}

/// RFC 9112 §3.2 asks clients of HTTP/1.1 for a host, not these.
#[test]
fn a_host_is_not_asked_for() {
    let house = HOUSE.take();
    let mut wire = Wire::connect(house.proxy.address(80));
    wire.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(wire.response(false).unwrap().status, 404, "a route for a host does not take it");

    let mut wire = Wire::connect(house.proxy.address(8080));
    wire.send("GET /without-host HTTP/1.0\r\n\r\n");
    assert_eq!(wire.response(false).unwrap().text(), "GET /without-host");
    let seen = house.script.seen().requests.into_iter().find(|r| r.path() == "/without-host").unwrap();
    assert_eq!(seen.headers("host"), ["127.0.0.1:8080"], "the backend is told where the client came to");

    // With one it is as good as any other.
    for (port, host, status) in [(80, "script.test", 200), (80, "nobody.test", 404), (8080, "nobody.test", 200)] {
        let mut wire = Wire::connect(house.proxy.address(port));
        wire.send(format!("GET /with-host HTTP/1.0\r\nHost: {host}\r\n\r\n"));
        assert_eq!(wire.response(false).unwrap().status, status, "{port} {host}");
    }
    for bad in ["Host: a b\r\n", "Host: script.test\r\nHost: script.test\r\n"] {
        let mut wire = Wire::connect(house.proxy.address(8080));
        wire.send(format!("GET / HTTP/1.0\r\n{bad}\r\n"));
        assert_eq!(wire.response(false).unwrap().status, 400, "{bad:?}");
    }
}

#[test]
fn backends_get_http11() {
    let house = HOUSE.take();
    let mut wire = Wire::connect(house.proxy.address(80));
    wire.send("POST /upload HTTP/1.0\r\nHost: script.test\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(wire.response(false).unwrap().status, 200);
    let seen = house.script.seen().requests.into_iter().find(|r| r.path() == "/upload").unwrap();
    assert!(seen.head.starts_with("POST /upload HTTP/1.1\r\n") && seen.body == b"abc", "{seen:?}");
}

/// What HTTP/1.0 does not know is not sent to its clients, nor believed of them.
#[test]
fn what_came_with_http11_stays_there() {
    let house = HOUSE.take();
    let mut wire = Wire::connect(house.proxy.address(80));
    wire.send("GET /interim HTTP/1.0\r\nHost: script.test\r\n\r\n");
    let all = String::from_utf8(wire.read_to_end(Duration::from_secs(2)).unwrap()).unwrap();
    assert!(all.starts_with("HTTP/1.1 200 OK\r\n") && !all.contains("103"), "{all}");

    // An expectation is ignored (RFC 9110 §10.1.1), an upgrade too (§7.8).
    let mut wire = Wire::connect(house.proxy.address(80));
    wire.send("POST /expect HTTP/1.0\r\nHost: script.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(wire.response(false).unwrap().text(), "POST /expect");
    let mut wire = Wire::connect(house.proxy.address(80));
    wire.send("GET /switch HTTP/1.0\r\nHost: script.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(wire.response(false).unwrap().text(), "GET /switch");
    for request in house.script.seen().requests {
        let (expect, upgrade) = (request.headers("expect"), request.headers("upgrade"));
        assert!(expect.is_empty() && upgrade.is_empty(), "{request:?}");
    }
}
