//! What clients and operators learn when something goes wrong: status, body, and in the access log Envoy's response flags and details.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::net::TcpStream;
use std::time::Duration;

use fairlead_testkit::frames::{Frame, Frames, flag, kind};
use fairlead_testkit::{
    Act, Ask, Backend, Echo, End, Manifests, Proxy, Request, Shared, Version, ask, free_port, wait_until,
};

/// A cause and what becomes of it.
struct Case {
    host: &'static str,
    path: &'static str,
    status: u16,
    body: &'static str,
    flags: &'static str,
    details: &'static str,
    complete: bool,
}

macro_rules! reset {
    ($reason:literal) => {
        concat!("upstream connect error or disconnect/reset before headers. reset reason: ", $reason)
    };
}

const fn case(
    host: &'static str,
    path: &'static str,
    status: u16,
    body: &'static str,
    flags: &'static str,
    details: &'static str,
) -> Case {
    Case { host, path, status, body, flags, details, complete: true }
}

/// Cut off after its head.
const fn cut(host: &'static str, path: &'static str, flags: &'static str, details: &'static str) -> Case {
    Case { host, path, status: 200, body: "", flags, details, complete: false }
}

const CASES: &[Case] = &[
    case("ok.test", "/fine", 200, "fine", "-", "via_upstream"),
    // No route.
    case("nobody.test", "/nr", 404, "", "NR", "route_not_found"),
    case("narrow.test", "/other", 404, "", "NR", "route_not_found"),
    // Routes that lead nowhere (HTTPRoute, backendRefs).
    case("missing.test", "/nc", 500, "no resolvable backend", "NC", "unresolved_reference"),
    case("weightless.test", "/zero", 500, "no backend", "NC", "no_backend"),
    case("empty.test", "/uh", 503, "no healthy upstream", "UH", "no_healthy_upstream"),
    // Connecting.
    case(
        "dead.test",
        "/uf",
        503,
        reset!("remote connection failure"),
        "UF",
        "upstream_reset_before_response_started{remote_connection_failure}",
    ),
    case(
        "dead-retry.test",
        "/uf-urx",
        503,
        reset!("remote connection failure"),
        "UF,URX",
        "upstream_reset_before_response_started{remote_connection_failure}",
    ),
    case(
        "full.test",
        "/uf-timeout",
        503,
        reset!("connection timeout"),
        "UF",
        "upstream_reset_before_response_started{connection_timeout}",
    ),
    // Before the response's head.
    case(
        "script.test",
        "/close",
        503,
        reset!("connection termination"),
        "UC",
        "upstream_reset_before_response_started{connection_termination}",
    ),
    case(
        "script.test",
        "/reset",
        503,
        reset!("connection termination"),
        "UC",
        "upstream_reset_before_response_started{connection_termination}",
    ),
    case(
        "script.test",
        "/half-head",
        503,
        reset!("connection termination"),
        "UC",
        "upstream_reset_before_response_started{connection_termination}",
    ),
    case("h2.test", "/ur", 503, reset!("remote reset"), "UR", "upstream_reset_before_response_started{remote_reset}"),
    case(
        "h2-refused.test",
        "/refused",
        503,
        reset!("remote reset"),
        "UR",
        "upstream_reset_before_response_started{remote_reset}",
    ),
    case(
        "script.test",
        "/garbage",
        502,
        reset!("protocol error"),
        "UPE",
        "upstream_reset_before_response_started{protocol_error}",
    ),
    case(
        "script.test",
        "/many-headers",
        502,
        reset!("protocol error"),
        "UPE",
        "upstream_reset_before_response_started{protocol_error}",
    ),
    case(
        "script.test",
        "/large-head",
        502,
        reset!("protocol error"),
        "UPE",
        "upstream_reset_before_response_started{protocol_error}",
    ),
    // Time.
    case("slow.test", "/ut", 504, "upstream request timeout", "UT", "upstream_response_timeout"),
    case("try.test", "/ut-try", 504, "upstream request timeout", "UT", "upstream_per_try_timeout"),
    case("try-retry.test", "/ut-urx", 504, "upstream request timeout", "UT,URX", "upstream_per_try_timeout"),
    // Retries.
    case("retry.test", "/status/503?urx", 503, "", "URX", "via_upstream"),
    case("retry.test", "/status/404?no-retry", 404, "", "-", "via_upstream"),
    // After the response's head.
    cut("script.test", "/cut-length", "UC", "upstream_reset_after_response_started{connection_termination}"),
    cut("script.test", "/cut-chunked", "UC", "upstream_reset_after_response_started{connection_termination}"),
    cut("script.test", "/bad-chunk", "UPE", "upstream_reset_after_response_started{protocol_error}"),
    cut("script.test", "/cut-reset", "UC", "upstream_reset_after_response_started{connection_termination}"),
    cut("h2-cut.test", "/cut-h2", "UR", "upstream_reset_after_response_started{remote_reset}"),
    cut("slow.test", "/slow-body", "UT", "upstream_response_timeout"),
    // What filters answer.
    case("redirect.test", "/there", 302, "", "-", "direct_response"),
];

fn act(request: &Request) -> Act {
    match request.path().split('?').next().unwrap_or_default() {
        "/close" => Act::Close(Vec::new()),
        "/reset" => Act::Reset(Vec::new()),
        "/half-head" => Act::Close(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec()),
        "/garbage" => Act::Close(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        "/many-headers" => {
            let fields: String = (0..500).map(|n| format!("x-{n}: v\r\n")).collect();
            Act::Answer(format!("HTTP/1.1 200 OK\r\n{fields}content-length: 0\r\n\r\n").into_bytes())
        }
        "/large-head" => Act::Answer(
            format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "v".repeat(100_000)).into_bytes(),
        ),
        "/ut" | "/ut-try" | "/ut-urx" | "/gone" => Act::Hold(Vec::new()),
        "/slow-body" => Act::Hold(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec()),
        "/cut-length" => Act::Close(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec()),
        "/cut-chunked" => Act::Close(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n".to_vec()),
        "/bad-chunk" => {
            Act::Close(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\n".to_vec())
        }
        "/cut-reset" => Act::Reset(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec()),
        path => Act::ok(path.trim_start_matches('/')),
    }
}

/// An HTTP/2 backend that resets each stream with this code, after a part of a response or before.
fn resetting(code: u32, cut: bool) -> u16 {
    Frames::backend(move |mut frames| {
        while let Some(head) = frames.until(|f| f.kind == kind::HEADERS) {
            if cut {
                frames.send(&Frame::headers(head.stream, 0, &[(":status", "200")]));
                frames.send(&Frame::new(kind::DATA, 0, head.stream, *b"half"));
                // What is read together with a reset goes with it.
                std::thread::sleep(Duration::from_millis(500));
            }
            frames.send(&Frame::reset(head.stream, code));
        }
    })
}

/// A port where connections are not accepted, because as many wait as may.
struct Full {
    port: u16,
    _waiting: Vec<TcpStream>,
    _listener: tokio::net::TcpListener,
    _runtime: tokio::runtime::Runtime,
}

impl Full {
    fn new() -> Full {
        let runtime = fairlead_testkit::runtime();
        let listener = {
            let _context = runtime.enter();
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            socket.listen(1).unwrap()
        };
        let address = listener.local_addr().unwrap();
        let wait = || TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        Full {
            port: address.port(),
            _waiting: std::iter::from_fn(wait).collect(),
            _listener: listener,
            _runtime: runtime,
        }
    }
}

struct House {
    proxy: Proxy,
    _echo: Echo,
    script: Backend,
    _full: Full,
}

static HOUSE: Shared<House> = Shared::new(|| {
    let (echo, script, dead) = (Echo::start("one"), Backend::start(act), free_port());
    let full = Full::new();
    let own = script.address.port();
    let text = Manifests::new()
        .backend("ok.test", own, Version::H1, "")
        .backend("script.test", own, Version::H1, "")
        .backend("narrow.test", own, Version::H1, "      matches: [{path: {value: /only}}]\n")
        .backend("dead.test", dead, Version::H1, "")
        .backend("dead-retry.test", dead, Version::H1, "      retry: {attempts: 2, backoff: 1ms}\n")
        .backend("slow.test", own, Version::H1, "      timeouts: {request: 1s}\n")
        .backend("try.test", own, Version::H1, "      timeouts: {backendRequest: 1s}\n")
        .backend("try-retry.test", own, Version::H1, "      timeouts: {request: 5s, backendRequest: 200ms}\n      retry: {attempts: 1, codes: [504], backoff: 1ms}\n")
        .backend("retry.test", echo.port(), Version::H1, "      retry: {attempts: 2, codes: [503], backoff: 1ms}\n")
        .backend("h2.test", resetting(2, false), Version::H2, "")
        .backend("h2-refused.test", resetting(7, false), Version::H2, "")
        .backend("h2-cut.test", resetting(2, true), Version::H2, "")
        .backend("full.test", full.port, Version::H1, "")
        .and(MORE)
        .text();
    House { proxy: Proxy::serve(&text, &[80]), _echo: echo, script, _full: full }
});

const MORE: &str = "---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: missing}
spec:
  parentRefs: [{name: gw}]
  hostnames: [missing.test]
  rules:
    - backendRefs: [{name: missing, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: weightless}
spec:
  parentRefs: [{name: gw}]
  hostnames: [weightless.test]
  rules:
    - backendRefs: [{group: fairlead.dev, kind: Backend, name: ok-test, weight: 0}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: redirect}
spec:
  parentRefs: [{name: gw}]
  hostnames: [redirect.test]
  rules:
    - filters: [{type: RequestRedirect, requestRedirect: {hostname: elsewhere.test}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: empty}
spec:
  parentRefs: [{name: gw}]
  hostnames: [empty.test]
  rules:
    - backendRefs: [{name: empty, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: empty}
spec:
  selector: {app: none}
  ports: [{port: 80}]
";

#[test]
fn each_cause_has_its_status_body_flags_and_details() {
    let house = HOUSE.take();
    let address = house.proxy.address(80);
    let asked: Vec<_> = [Version::H1, Version::H2]
        .into_iter()
        .flat_map(|version| CASES.iter().map(move |case| (version, case)))
        .map(|(version, case)| {
            let separator = if case.path.contains('?') { '&' } else { '?' };
            let path = format!("{}{separator}{version:?}", case.path);
            let wanted = Ask::get(&path).host(case.host);
            (version, case, path, std::thread::spawn(move || ask(version, address, &wanted)))
        })
        .collect();
    let mut wrong = Vec::new();
    for (version, case, path, reply) in asked {
        let reply = reply.join().unwrap();
        let line = house.proxy.log_of(&path);
        let got = (
            // What is cut off right behind its head may lose that, too.
            if case.complete { reply.answer.status } else { reply.answer.status.max(200) },
            if case.complete { reply.answer.text() } else { String::new() },
            line["response_flags"].as_str().unwrap_or_default(),
            line["response_code_details"].as_str().unwrap_or_default(),
            line["response_code"].as_u64().unwrap_or_default(),
            reply.end == End::Complete,
        );
        let expected =
            (case.status, case.body.to_owned(), case.flags, case.details, u64::from(case.status), case.complete);
        if got != expected {
            wrong.push(format!("{version:?} {}{}\n  got      {got:?}\n  expected {expected:?}", case.host, case.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn local_replies_say_what_they_are() {
    let house = HOUSE.take();
    for version in [Version::H1, Version::H2] {
        let answer = ask(version, house.proxy.address(80), &Ask::get("/").host("dead.test")).whole();
        assert_eq!(
            (answer.header("content-type"), answer.header("server")),
            (Some("text/plain"), Some("fairlead")),
            "{version:?}"
        );
        assert!(answer.header("date").is_some());
        let answer = ask(version, house.proxy.address(80), &Ask::new("HEAD", "/").host("dead.test")).whole();
        assert_eq!((answer.status, answer.body.len()), (503, 0), "{version:?}");
        let answer = ask(version, house.proxy.address(80), &Ask::get("/").host("nobody.test")).whole();
        assert_eq!((answer.header("content-type"), answer.body.len()), (None, 0), "{version:?}");
    }
}

/// A client that goes away is no error of ours: code 0, DC when its connection ends, DR when it resets a stream of HTTP/2.
#[test]
fn clients_that_go_away() {
    let house = HOUSE.take();
    let mut wire = fairlead_testkit::Wire::connect(house.proxy.address(80));
    wire.send("GET /gone?h1 HTTP/1.1\r\nHost: script.test\r\n\r\n");
    let head = |path| [(":method", "GET"), (":scheme", "http"), (":authority", "script.test"), (":path", path)];
    let mut reset = Frames::connect(house.proxy.address(80));
    reset.send(&Frame::headers(1, flag::END_STREAM, &head("/gone?reset")));
    let mut closed = Frames::connect(house.proxy.address(80));
    closed.send(&Frame::headers(1, flag::END_STREAM, &head("/gone?closed")));
    wait_until(Duration::from_secs(5), "the three to reach the backend", || {
        let seen = house.script.seen();
        (seen.requests.iter().filter(|request| request.path().starts_with("/gone?")).count() == 3).then_some(())
    });
    reset.send(&Frame::reset(1, 8));
    drop(wire);
    drop(closed);
    for (path, flags, details) in [
        ("/gone?h1", "DC", "downstream_remote_disconnect"),
        ("/gone?closed", "DC", "downstream_remote_disconnect"),
        ("/gone?reset", "DR", "http2.remote_reset"),
    ] {
        let line = house.proxy.log_of(path);
        let got =
            (line["response_code"].as_u64(), line["response_flags"].as_str(), line["response_code_details"].as_str());
        assert_eq!(got, (Some(0), Some(flags), Some(details)), "{path}");
    }
    drop(reset);
}

#[test]
fn bad_requests_are_logged_with_their_reason() {
    let house = HOUSE.take();
    for (bytes, status, details) in [
        ("GET / HTTP/1.1\r\n\r\n", 400, "missing_host_header"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400, "http.invalid_content_length"),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n", 501, "http1.invalid_transfer_encoding"),
        ("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "path_normalization_failed"),
        (
            "POST / HTTP/1.1\r\nHost: ok.test\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            400,
            "http1.invalid_chunk_size",
        ),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501, "http.connect_not_supported"),
    ] {
        let answer = fairlead_testkit::exchange(house.proxy.address(80), bytes).expect("an answer");
        assert_eq!(answer.status, status, "{bytes:?}");
        let line = house.proxy.log_line(details, |line| line["response_code_details"] == details);
        assert_eq!(
            (line["response_flags"].as_str(), line["response_code"].as_u64()),
            (Some("DPE"), Some(u64::from(status))),
            "{bytes:?}"
        );
    }
}

/// Whatever happened, no gauge is left behind.
#[test]
fn gauges_return_to_zero() {
    let house = HOUSE.take();
    for path in ["/fine", "/close", "/cut-length", "/garbage", "/ut"] {
        for version in [Version::H1, Version::H2] {
            let host = if path == "/ut" { "slow.test" } else { "script.test" };
            ask(version, house.proxy.address(80), &Ask::get(path).host(host));
        }
    }
    wait_until(Duration::from_secs(15), "active gauges to be zero but for those of other tests", || {
        let text = house.proxy.admin_get("/metrics");
        let active: Vec<&str> =
            text.lines().filter(|l| !l.starts_with('#') && l.contains("_active") && !l.ends_with(" 0")).collect();
        active.iter().all(|line| line.contains("upstream") || line.contains("connection")).then_some(())
    });
}
