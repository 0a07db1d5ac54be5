//! Heads, targets and framing that are too large, too many or without end: refused early, with bounded memory.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::io::Write as _;
use std::time::{Duration, Instant};

use fairlead_test_security::recorded;
use fairlead_testkit::frames::{Ended, Frame, Frames, flag, get, hpack, hpack_field, kind};
use fairlead_testkit::{Ask, Version, Wire, ask};

/// Envoy's `max_request_headers_kb`.
const HEAD: usize = 60 * 1024;

/// A head of exactly `n` bytes.
fn head(n: usize) -> String {
    let (start, end) = ("GET / HTTP/1.1\r\nHost: test\r\nX: ", "\r\n\r\n");
    format!("{start}{}{end}", "v".repeat(n - start.len() - end.len()))
}

#[test]
fn heads_up_to_the_limit_pass() {
    let (proxy, backend) = recorded();
    for (bytes, status) in [(head(HEAD), 200), (head(HEAD + 1), 431), (head(HEAD + 3000), 431)] {
        let mut wire = Wire::connect(proxy.address(80));
        assert_eq!(wire.send(&bytes).response(false).unwrap().status, status, "{} bytes", bytes.len());
        assert!(status == 200 || wire.is_closed_within(Duration::from_secs(3)));
    }
    // 100 fields, Host among them.
    for (n, status) in [(99, 200), (100, 431), (5000, 431)] {
        let fields: String = (0..n).map(|i| format!("x-{i}: v\r\n")).collect();
        let mut wire = Wire::connect(proxy.address(80));
        wire.send(format!("GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
        assert_eq!(wire.response(false).unwrap().status, status, "{n} fields");
    }
    for (n, status) in [(32 * 1024, 200), (32 * 1024 + 1, 414), (50_000, 414)] {
        let mut wire = Wire::connect(proxy.address(80));
        wire.send(format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "p".repeat(n - 1)));
        assert_eq!(wire.response(false).unwrap().status, status, "a target of {n} bytes");
    }
    assert_eq!(backend.seen().requests.len(), 3);
}

/// What never ends is refused as soon as it is over the limit: the client is still sending.
#[test]
fn what_has_no_end_is_refused_early() {
    let (proxy, backend) = recorded();
    let before = proxy.process.memory();
    let chunked = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";
    let endless = [
        ("request line", "GET /".to_owned(), "x", &[414][..]),
        ("method", String::new(), "GET", &[400, 431]),
        ("field", "GET / HTTP/1.1\r\nHost: test\r\nX: ".into(), "x", &[431]),
        ("field name", "GET / HTTP/1.1\r\nHost: test\r\n".into(), "x", &[431]),
        ("fields", "GET / HTTP/1.1\r\nHost: test\r\n".into(), "x: y\r\n", &[431]),
        ("empty lines", String::new(), "\r\n", &[400]),
        ("chunk size", chunked.into(), "0", &[400]),
        ("chunk extension", format!("{chunked}5;"), "x", &[400]),
        ("chunk extensions", chunked.into(), "1;a=b\r\nx\r\n", &[400]),
        ("trailer", format!("{chunked}0\r\nx: "), "y", &[400, 431]),
        ("trailers", format!("{chunked}0\r\n"), "x: y\r\n", &[400, 431]),
    ];
    let address = proxy.address(80);
    let floods = endless.map(|(name, start, more, statuses)| {
        std::thread::spawn(move || {
            let mut wire = Wire::connect(address);
            wire.send(start);
            let piece = more.repeat(64 * 1024 / more.len());
            let mut stream = wire.stream().try_clone().unwrap();
            stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
            let start = Instant::now();
            while stream.write_all(piece.as_bytes()).is_ok() {
                // What is refused is read and dropped for a second, so that the answer is not lost to a reset.
                assert!(start.elapsed() < Duration::from_secs(4), "{name}: the connection stays open");
            }
            let status = wire.response(false).map(|a| a.status);
            // A client that goes on sending may lose the answer to the reset.
            assert!(status.is_none_or(|status| statuses.contains(&status)), "{name}: {status:?}");
        })
    });
    for flood in floods {
        flood.join().unwrap();
    }
    let grown = proxy.process.memory().saturating_sub(before);
    assert!(grown < 16 << 10, "the proxy has grown by {grown} KiB");
    assert_eq!(backend.seen().requests.len(), 0);
    assert_eq!(ask(Version::H1, proxy.address(80), &Ask::get("/")).whole().status, 200);
}

#[test]
fn heads_of_http2_have_the_same_limits() {
    let (proxy, _backend) = recorded();
    let (address, h2) = (proxy.address(80), Version::H2);
    assert_eq!(ask(h2, address, &Ask::get("/").header("x", &"v".repeat(55_000))).whole().status, 200);
    assert_eq!(ask(h2, address, &Ask::get("/").header("x", &"v".repeat(61_500))).answer.status, 431);
    let many =
        |n: usize, name: &str| (0..n).fold(Ask::get("/"), |ask, i| ask.header(&name.replace('#', &i.to_string()), "v"));
    assert_eq!(ask(h2, address, &many(100, "x-#")).whole().status, 200);
    assert_eq!(ask(h2, address, &many(101, "x-#")).answer.status, 431);
    // Crumbs of cookies count (CVE-2026-47774).
    assert_eq!(ask(h2, address, &many(100, "cookie")).whole().status, 200);
    assert_eq!(ask(h2, address, &many(101, "cookie")).answer.status, 431);
    assert_eq!(ask(h2, address, &Ask::get(&format!("/{}", "p".repeat(33_000)))).answer.status, 414);
}

/// A head that goes on in CONTINUATION frames far beyond the limit ends the connection.
#[test]
fn heads_without_end_on_http2() {
    let (proxy, _backend) = recorded();
    let before = proxy.process.memory();
    let mut frames = Frames::connect(proxy.address(80));
    frames.send(&Frame::new(kind::HEADERS, flag::END_STREAM, 1, hpack(&get("/"))));
    let more = Frame::new(kind::CONTINUATION, 0, 1, hpack_field(b"x", &[b'v'; 16_000])).bytes();
    let sent = (0..4096).take_while(|_| frames.bytes(&more)).count();
    assert!(sent < 4096);
    assert_ne!(frames.ended(Duration::from_secs(2)), Ended::Open);
    let grown = proxy.process.memory().saturating_sub(before);
    assert!(grown < 8 << 10, "the proxy has grown by {grown} KiB");
}

/// Upgrades to HTTP/2 from within HTTP/1.1 (h2c by Upgrade) are not served, the fields do not reach the backend.
#[test]
fn upgrades_to_h2c_are_ignored() {
    let (proxy, backend) = recorded();
    let mut wire = Wire::connect(proxy.address(80));
    wire.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n");
    assert_eq!(wire.response(false).unwrap().status, 200);
    let request = backend.seen().requests.pop().unwrap();
    for gone in ["upgrade", "connection", "http2-settings"] {
        assert_eq!(request.headers(gone), [] as [&str; 0], "{gone}");
    }
}

/// A client that pipelines without end and reads nothing is held back, not buffered (Envoy's `http1.response_flood`).
#[test]
fn pipelines_without_end_are_held_back() {
    let (proxy, _backend) = recorded();
    let before = proxy.process.memory();
    let wire = Wire::connect(proxy.address(80));
    let mut stream = wire.stream().try_clone().unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let piece = "GET /pipelined HTTP/1.1\r\nHost: test\r\n\r\n".repeat(1000);
    let sent = (0..3000).take_while(|_| stream.write_all(piece.as_bytes()).is_ok()).count();
    assert!(sent < 3000, "100 MB were taken");
    let grown = proxy.process.memory().saturating_sub(before);
    assert!(grown < 8 << 10, "the proxy has grown by {grown} KiB");
}

/// Out of file descriptors (CVE-2020-8663): connections that are open are served, and new ones again once there are descriptors.
#[test]
fn a_lack_of_descriptors_is_survived() {
    let (proxy, _backend) = recorded();
    let mut open = Wire::connect(proxy.address(80));
    assert_eq!(open.get("test", "/").status, 200);
    let id = proxy.process.id().to_string();
    let descriptors = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count() + 20;
    let status =
        std::process::Command::new("prlimit").args(["--pid", &id, &format!("--nofile={descriptors}")]).status();
    assert!(status.expect("prlimit of util-linux").success());
    let many: Vec<Wire> = (0..100).map(|_| Wire::connect(proxy.address(80))).collect();
    std::thread::sleep(Duration::from_millis(300));
    for n in 0..20 {
        assert_eq!(open.get("test", &format!("/{n}")).status, 200, "{n}");
    }
    drop(many);
    fairlead_testkit::wait_until(Duration::from_secs(5), "a new connection to be served", || {
        let mut wire = Wire::connect(proxy.address(80));
        wire.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        wire.response(false).filter(|answer| answer.status == 200)
    });
}
