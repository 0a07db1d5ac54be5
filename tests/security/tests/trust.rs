//! What clients may say about themselves, and what they may not; and what must not be told to anybody.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use fairlead_test_security::{manifests, recorded};
use fairlead_testkit::tls::Ca;
use fairlead_testkit::{Act, Ask, Backend, Proxy, Request, Version, Wire, ask, exchange};

fn through(proxy: &Proxy, backend: &Backend, version: Version, wanted: Ask) -> Request {
    assert_eq!(ask(version, proxy.address(80), &wanted).whole().status, 200);
    backend.seen().requests.pop().expect("a request")
}

#[test]
fn clients_do_not_say_where_they_come_from() {
    let (proxy, backend) = recorded();
    for version in [Version::H1, Version::H2] {
        let spoofed = Ask::get("/")
            .header("x-forwarded-for", "10.0.0.1")
            .header("x-forwarded-for", "10.0.0.2, 10.0.0.3")
            .header("x-forwarded-proto", "https")
            .header("x-request-id", "mine");
        let request = through(&proxy, &backend, version, spoofed);
        let addresses = request.headers("x-forwarded-for").join(", ");
        assert!(addresses.ends_with("127.0.0.1"), "{version:?}: the address that is true is the last: {addresses}");
        assert_eq!(
            request.headers("x-forwarded-for").len(),
            1,
            "{version:?}: readers of only the first or last field see all: {addresses}"
        );
        assert_eq!(request.headers("x-forwarded-proto"), ["http"], "{version:?}");
        let id = request.headers("x-request-id");
        assert!(id.len() == 1 && id[0] != "mine" && id[0].len() == 36, "{version:?} {id:?}");
    }
    // :scheme is the client's claim, too.
    let request = through(&proxy, &backend, Version::H2, Ask::get("/scheme"));
    assert_eq!(request.headers("x-forwarded-proto"), ["http"]);
}

/// Commands to an Envoy behind us (a mesh's sidecar) are not the client's to give.
#[test]
fn commands_to_proxies_behind_are_removed() {
    let (proxy, backend) = recorded();
    for version in [Version::H1, Version::H2] {
        let commands = [
            "x-envoy-retry-on",
            "x-envoy-max-retries",
            "x-envoy-upstream-rq-timeout-ms",
            "x-envoy-upstream-alt-stat-name",
            "x-envoy-original-path",
            "x-envoy-internal",
            "x-envoy-external-address",
            "x-envoy-force-trace",
            "x-envoy-decorator-operation",
            "x-envoy-ip-tags",
            "x-envoy-expected-rq-timeout-ms",
        ];
        let spoofed =
            commands.iter().fold(Ask::get("/"), |ask, name| ask.header(name, "1")).header("x-envoyage", "stays");
        let request = through(&proxy, &backend, version, spoofed);
        for name in commands {
            assert_eq!(request.headers(name), [] as [&str; 0], "{version:?} {name}");
        }
        assert_eq!(request.headers("x-envoyage"), ["stays"], "{version:?}");
    }
}

/// A `Connection` header must not take away what others rely on (and not only here: CVE-2021-33193, hop-by-hop abuse).
#[test]
fn clients_do_not_remove_fields_that_are_relied_on() {
    let (proxy, backend) = recorded();
    for name in [
        "x-forwarded-for",
        "X-Forwarded-Proto",
        "x-request-id",
        "authorization",
        "cookie",
        "host",
        "content-length",
        "x-real-ip",
        "forwarded",
    ] {
        let answer = exchange(
            proxy.address(80),
            format!("GET / HTTP/1.1\r\nHost: test\r\nAuthorization: x\r\nCookie: a=b\r\nConnection: {name}\r\n\r\n"),
        );
        assert_eq!(answer.unwrap().status, 400, "{name}");
    }
    let many = (0..20).map(|n| format!("x-{n}")).collect::<Vec<_>>().join(", ");
    let answer = exchange(proxy.address(80), format!("GET / HTTP/1.1\r\nHost: test\r\nConnection: {many}\r\n\r\n"));
    assert_eq!(answer.unwrap().status, 400, "many nominations");
    assert_eq!(backend.seen().requests.len(), 0);
}

#[test]
fn names_with_underscores_are_refused() {
    let (proxy, backend) = recorded();
    let answer = exchange(proxy.address(80), "GET / HTTP/1.1\r\nHost: test\r\nX_Forwarded_For: 10.0.0.1\r\n\r\n");
    assert_eq!(answer.unwrap().status, 400);
    assert_eq!(
        ask(Version::H2, proxy.address(80), &Ask::get("/").header("x_forwarded_for", "10.0.0.1")).answer.status,
        400
    );
    assert_eq!(backend.seen().requests.len(), 0);
}

const SECRETS: [&str; 2] = ["s3cret-token-in-a-header", "s3cret-cookie"];

/// Keys stay out of what the admin interface shows and of the log, at its most talkative; so do credentials of requests.
#[test]
fn secrets_are_told_to_nobody() {
    let backend = Backend::start(|_| {
        Act::Answer(b"HTTP/1.1 200 OK\r\nset-cookie: s3cret-cookie\r\ncontent-length: 0\r\n\r\n".to_vec())
    });
    let ca = Ca::new();
    let pair = ca.issue(&["a.test"]);
    let listener = "    - {name: https, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: pair}]}}\n---\n";
    let text = manifests(backend.address.port(), false).replacen("---\n", listener, 1) + &pair.secret("pair");
    let proxy = Proxy::builder(&text, &[80, 443]).args(&["--log-level", "trace"]).start();
    for version in [Version::H1, Version::H2] {
        let wanted = Ask::get("/").header("authorization", SECRETS[0]).header("cookie", SECRETS[1]);
        assert_eq!(ask(version, proxy.address(80), &wanted).whole().status, 200);
    }
    // A bad request is told about, its bytes are not.
    exchange(proxy.address(80), format!("GET / HTTP/1.1\r\nAuthorization: {}\r\nbad\r\n\r\n", SECRETS[0]));
    // And a broken pair: the problem is told, the key is not.
    let other = ca.issue(&["b.test"]);
    let broken = fairlead_testkit::tls::Pair { cert: pair.cert.clone(), key: other.key.clone() };
    proxy.update(&(text.clone() + &broken.secret("broken") + &manifest_of_broken()));
    std::thread::sleep(std::time::Duration::from_millis(800));
    let mut told = proxy.process.output();
    for path in ["/config", "/routes", "/clusters", "/listeners", "/metrics", "/ready", "/"] {
        told += &proxy.admin_get(path);
    }
    told += &proxy.log().iter().map(ToString::to_string).collect::<String>();
    assert!(told.contains("a.test") || told.contains("pair"), "the listener is shown");
    let encoded = |pem: &str| pem.lines().nth(1).unwrap().to_owned();
    let base64_of_pem = |secret: String| {
        let line =
            secret.lines().find(|l| l.contains("tls.key")).unwrap().trim().trim_start_matches("tls.key: ").to_owned();
        line[60..100].to_owned()
    };
    let keys =
        [encoded(&pair.key), encoded(&other.key), base64_of_pem(pair.secret("x")), base64_of_pem(other.secret("x"))];
    for secret in SECRETS.map(str::to_owned).into_iter().chain(keys).chain(["PRIVATE KEY".to_owned()]) {
        assert!(!told.contains(&secret), "{secret:?} is told: {:?}", told.lines().find(|l| l.contains(&secret)));
    }
}

fn manifest_of_broken() -> String {
    "---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: broken}
spec:
  gatewayClassName: fairlead
  listeners:
    - {name: https, protocol: HTTPS, port: 443, hostname: b.test, tls: {certificateRefs: [{name: broken}]}}
"
    .to_owned()
}

/// Whatever a client sends, a line of the access log is one JSON object (CVE-2024-45808 is the same with SNI).
#[test]
fn log_lines_can_not_be_forged() {
    let (proxy, _backend) = recorded();
    let evil = "\\\",\"response_code\":999,\"x\":\"";
    for (path, agent) in [
        ("/quote\"}{\"a\":\"b".to_owned(), "x"),
        ("/backslash?\\".to_owned(), evil),
        ("/high".to_owned(), "\u{e9}\u{2028}\u{85}"),
        ("/%0d%0a%22".to_owned(), "\t"),
    ] {
        let mut wire = Wire::connect(proxy.address(80));
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\nUser-Agent: {agent}\r\n\r\n"));
        assert_eq!(wire.response(false).unwrap().status, 200, "{path}");
        let line = proxy
            .log_line(&path, |line| line["x-envoy-origin-path"].as_str().is_some_and(|p| p.starts_with(&path[..5])));
        assert_eq!(line["response_code"], 200, "{path}");
        let got = line["user-agent"].as_str().unwrap_or_default();
        assert_eq!(got.trim(), agent.trim(), "{path}");
    }
    assert_eq!(proxy.log().len(), 4);
}

/// The admin interface is not reachable by a page in a browser (DNS rebinding), nor through the proxy's own listeners.
#[test]
fn the_admin_interface_is_for_local_names_only() {
    let (proxy, _backend) = recorded();
    let answer = exchange(proxy.admin(), "GET /config HTTP/1.1\r\nHost: evil.test\r\n\r\n").unwrap();
    assert_eq!(answer.status, 403);
    let answer =
        exchange(proxy.admin(), "POST /drain HTTP/1.1\r\nHost: evil.test\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(answer.status, 403);
    let answer = exchange(proxy.admin(), format!("GET /drain HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.admin())).unwrap();
    assert!(answer.status >= 400, "a GET changes nothing");
    assert_eq!(proxy.admin_get("/ready").trim(), "LIVE");
}
