//! Exchanges through real workers and real sockets, from hand-made IR.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use fairlead_ir as ir;
use fairlead_testkit::{House, Wire, config, read_response};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A proxy with one listener and one route to `backends`.
fn proxy(change: impl FnOnce(&mut ir::Route), backends: &[SocketAddr]) -> House {
    let mut rule = config::route("r", &[("c", 1)]);
    change(&mut rule);
    let mut all = config::reaching("c", backends);
    all.extend([rule.into(), config::listener("l").into()]);
    House::start(all)
}

/// A backend that answers each request on a connection by `answer(request text, number)`; `None` closes.
fn backend(answer: impl Fn(&str, usize) -> Option<String> + Send + Sync + 'static) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let (counter, answer) = (count.clone(), Arc::new(answer));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (counter, answer) = (counter.clone(), answer.clone());
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut ahead = Vec::new();
                while let Some(request) = read_request(&mut stream, &mut ahead) {
                    let n = counter.fetch_add(1, Ordering::SeqCst);
                    match answer(&request, n) {
                        Some(text) => stream.write_all(text.as_bytes()).unwrap_or_default(),
                        None => return,
                    }
                }
            });
        }
    });
    (address, count)
}

/// Head and body of a request, as text.
fn read_request(stream: &mut impl Read, ahead: &mut Vec<u8>) -> Option<String> {
    let mut buf = [0; 65536];
    loop {
        if let Some(end) = ahead.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&ahead[..end + 4]).into_owned();
            let length =
                head.lines().find_map(|l| l.strip_prefix("content-length: ")).map_or(0, |v| v.parse().unwrap());
            let whole = if head.contains("transfer-encoding: chunked") {
                ahead[end..].windows(5).position(|w| w == b"0\r\n\r\n").map(|at| end + at + 5)
            } else {
                Some(end + 4 + length).filter(|n| ahead.len() >= *n)
            };
            if let Some(whole) = whole {
                return Some(String::from_utf8_lossy(&ahead.drain(..whole).collect::<Vec<_>>()).into_owned());
            }
        }
        let n = stream.read(&mut buf).ok().filter(|n| *n > 0)?;
        ahead.extend_from_slice(&buf[..n]);
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn keep_alive_requests_share_connections_on_both_sides() {
    let (address, _) = backend(|request, n| Some(ok(&format!("{n} {}", request.lines().next().unwrap()))));
    let proxy = proxy(|_| {}, &[address]);
    let mut wire = Wire::connect(proxy.address);
    for n in 0..100 {
        let answer = wire.get("example.com", &format!("/{n}"));
        assert_eq!((answer.status, answer.text()), (200, format!("{n} GET /{n} HTTP/1.1")));
    }
}

#[test]
fn the_backend_sees_who_asked() {
    let (address, _) = backend(|request, _| Some(ok(request)));
    let proxy = proxy(|_| {}, &[address]);
    let mut wire = Wire::connect(proxy.address);
    wire.send("GET /a?b=c HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\nConnection: close, x-gone\r\nX-Gone: 1\r\nX-Stays: 2\r\n\r\n");
    let text = wire.response(false).unwrap().text();
    assert!(text.starts_with("GET /a?b=c HTTP/1.1\r\nhost: example.com\r\n"), "{text}");
    assert!(
        text.contains("x-forwarded-for: 9.9.9.9,127.0.0.1\r\n")
            || text.contains("x-forwarded-for: 9.9.9.9, 127.0.0.1\r\n"),
        "{text}"
    );
    assert!(text.contains("x-forwarded-proto: http\r\n"), "{text}");
    assert!(text.contains("x-request-id: ") && text.contains("x-stays: 2"), "{text}");
    assert!(!text.contains("x-gone") && !text.contains("connection"), "{text}");
    assert!(wire.is_closed_within(Duration::from_secs(2)));
}

#[test]
fn bodies_of_all_sizes_pass_both_ways() {
    let (address, _) = backend(|request, _| Some(ok(request.split_once("\r\n\r\n").unwrap().1)));
    let proxy = proxy(|_| {}, &[address]);
    let mut wire = Wire::connect(proxy.address);
    for size in [0, 1, 4000, 70_000, 3_000_000] {
        let body = "x".repeat(size);
        wire.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n{body}"));
        let answer = wire.response(false).unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, size));
    }
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    let text = wire.response(false).unwrap().text();
    assert!(text.contains("abc") && text.contains("de") && text.ends_with("0\r\n\r\n"), "{text}");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (address, _) = backend(|request, _| Some(ok(request.split(' ').nth(1).unwrap())));
    let proxy = proxy(|_| {}, &[address]);
    let mut wire = Wire::connect(proxy.address);
    wire.send((0..50).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect::<String>());
    for n in 0..50 {
        assert_eq!(wire.response(false).unwrap().text(), format!("/{n}"));
    }
}

#[test]
fn failures_have_envoys_statuses() {
    let dead = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    assert_eq!(Wire::connect(proxy(|_| {}, &[dead]).address).get("a", "/").status, 503);
    assert_eq!(Wire::connect(proxy(|_| {}, &[]).address).get("a", "/").text(), "no healthy upstream");
    let (closing, _) = backend(|_, _| None);
    let answer = Wire::connect(proxy(|_| {}, &[closing]).address).get("a", "/");
    assert_eq!(answer.status, 503);
    assert!(answer.text().ends_with("connection termination"), "{}", answer.text());
    let (broken, _) =
        backend(|_, _| Some("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc".into()));
    assert_eq!(Wire::connect(proxy(|_| {}, &[broken]).address).get("a", "/").status, 502);
    let (slow, _) = backend(|_, _| {
        std::thread::sleep(Duration::from_secs(2));
        Some(ok(""))
    });
    let timeouts = ir::Timeouts { request: Some(ir::Millis(100)), ..ir::Timeouts::default() };
    let answer = Wire::connect(proxy(|route| route.timeouts = timeouts, &[slow]).address).get("a", "/");
    assert_eq!((answer.status, answer.text().as_str()), (504, "upstream request timeout"));
    let nowhere = proxy(|route| route.hostnames = vec!["other.example".into()], &[dead]);
    assert_eq!(Wire::connect(nowhere.address).get("a", "/").status, 404);
    let none = proxy(|route| route.backends.clear(), &[dead]);
    assert_eq!(Wire::connect(none.address).get("a", "/").status, 500);
}

#[test]
fn retries_repeat_the_body_and_stop_at_their_limit() {
    let (address, count) = backend(|request, n| {
        if n < 2 {
            Some("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n".into())
        } else {
            Some(ok(request.split_once("\r\n\r\n").unwrap().1))
        }
    });
    let retry = ir::Retry { codes: vec![503], attempts: 3, backoff: Some(ir::Millis(1)) };
    let proxy = proxy(|route| route.retry = Some(retry), &[address]);
    let mut wire = Wire::connect(proxy.address);
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(wire.response(false).unwrap().text(), "hello");
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

#[test]
fn expectations_are_met_when_the_body_is_wanted() {
    let (address, _) = backend(|request, _| Some(ok(request.split_once("\r\n\r\n").unwrap().1)));
    let proxy = proxy(|_| {}, &[address]);
    let mut wire = Wire::connect(proxy.address);
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(wire.response(false).unwrap().status, 100);
    wire.send("hello");
    assert_eq!(wire.response(false).unwrap().text(), "hello");
}

#[test]
fn websockets_become_tunnels() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = read_request(&mut stream, &mut Vec::new()).unwrap();
        assert!(request.to_lowercase().contains("upgrade: websocket"), "{request}");
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhi")
            .unwrap();
        let mut buf = [0; 5];
        stream.read_exact(&mut buf).unwrap();
        stream.write_all(&buf).unwrap();
    });
    let proxy = proxy(|_| {}, &[address]);
    let mut wire = Wire::connect(proxy.address);
    wire.send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
    let mut ahead = Vec::new();
    let mut stream = wire.stream();
    assert_eq!(read_response(&mut stream, &mut ahead, false).unwrap().status, 101);
    wire.send("12345");
    let rest = wire.read_to_end(Duration::from_secs(5)).unwrap();
    assert_eq!([ahead, rest].concat(), b"hi12345");
}

#[test]
fn bad_requests_are_refused_and_the_connection_closes() {
    let (address, count) = backend(|_, _| Some(ok("")));
    let proxy = proxy(|_| {}, &[address]);
    for bad in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET /\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let mut wire = Wire::connect(proxy.address);
        wire.send(bad);
        assert_eq!(wire.response(false).map(|a| a.status), Some(400), "{bad:?}");
        assert!(wire.is_closed_within(Duration::from_secs(3)), "{bad:?}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
}
