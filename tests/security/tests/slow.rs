//! Clients and backends that take their time: heads, content, reading, idling. Timers are short here, on workers of this process; the
//! defaults are tried with the real process at the end.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use fairlead_test_security::{manifests, recorded};
use fairlead_testkit::frames::{Ended, Frame, Frames, PREFACE, flag, get, hpack, hpack_field, kind};
use fairlead_testkit::tls::Ca;
use fairlead_testkit::{Act, Backend, House, Proxy, Wire, config, wait_until};

const HEADER: Duration = Duration::from_millis(400);
const IDLE: Duration = Duration::from_secs(1);
const STREAM_IDLE: Duration = Duration::from_secs(1);
/// Within this time after a timer everything must be over.
const SLACK: Duration = Duration::from_secs(6);

/// One worker with short timers in front of a backend.
fn short(backend: SocketAddr) -> House {
    let mut listener = config::listener("l");
    listener.http.header_timeout = HEADER.into();
    listener.http.idle_timeout = IDLE.into();
    listener.http.stream_idle_timeout = STREAM_IDLE.into();
    let mut all = config::reaching("c", &[backend]);
    all.extend([config::route("r", &[("c", 1)]).into(), listener.into()]);
    House::start(all)
}

fn script() -> Backend {
    Backend::start(|request| match request.path() {
        "/hold" => Act::Hold(Vec::new()),
        "/half" => Act::Hold(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec()),
        _ => Act::ok("ok"),
    })
}

/// Sends a byte now and then until the other side ends the connection; the time that took.
fn drip(wire: &mut Wire, bytes: &[u8], pause: Duration) -> Duration {
    let start = Instant::now();
    for byte in bytes {
        if wire.stream().try_clone().unwrap().write_all(&[*byte]).is_err() {
            break;
        }
        std::thread::sleep(pause);
        if start.elapsed() > HEADER + SLACK {
            break;
        }
    }
    start.elapsed()
}

#[test]
fn a_head_must_be_there_in_time() {
    let backend = script();
    let proxy = short(backend.address);
    let mut wire = Wire::connect(proxy.address);
    let long = format!("GET / HTTP/1.1\r\nHost: test\r\nX: {}", "x".repeat(1000));
    let start = Instant::now();
    // Each byte is progress, the head as a whole is not there in time.
    drip(&mut wire, &long.as_bytes()[..60], Duration::from_millis(10));
    assert_eq!(wire.response(false).unwrap().status, 408);
    assert!(wire.is_closed_within(SLACK));
    assert!(start.elapsed() > HEADER && start.elapsed() < HEADER + SLACK);
    // The same for what follows on a connection that was used.
    let mut wire = Wire::connect(proxy.address);
    assert_eq!(wire.get("test", "/").status, 200);
    wire.send("GET /slow HT");
    assert_eq!(wire.response(false).unwrap().status, 408);
    assert!(wire.is_closed_within(SLACK));
    assert!(backend.seen().requests.iter().all(|r| r.path() == "/"));
}

/// A head in many frames, each of them progress: the whole of it must be there in time all the same.
#[test]
fn a_head_in_many_frames_must_be_there_in_time() {
    let backend = script();
    let proxy = short(backend.address);
    let field = Frame::new(kind::CONTINUATION, 0, 3, hpack_field(b"x", b"v")).bytes();
    let bytes = field.iter().map(|byte| vec![*byte]).collect();
    // Many small frames would end the connection for being many.
    for (pieces, pause) in [(vec![field.clone()], HEADER / 3), (bytes, HEADER / 20)] {
        let mut frames = Frames::connect(proxy.address);
        frames.get(1, "/");
        assert_eq!(frames.status(1), Some(200));
        let start = Instant::now();
        frames.send(&Frame::new(kind::HEADERS, flag::END_STREAM, 3, hpack(&get("/never-whole"))));
        let mut pieces = pieces.iter().cycle();
        while start.elapsed() < HEADER + SLACK && pieces.next().is_some_and(|piece| frames.bytes(piece)) {
            std::thread::sleep(pause);
        }
        let took = start.elapsed();
        assert!(took > HEADER && took < HEADER + SLACK, "{took:?}");
        assert_ne!(frames.ended(SLACK), Ended::Open);
    }
    assert!(backend.seen().requests.iter().all(|r| r.path() == "/"));
}

#[test]
fn connections_without_requests_are_closed() {
    let backend = script();
    let proxy = short(backend.address);
    let start = Instant::now();
    let mut unused = Wire::connect(proxy.address);
    let mut used = Wire::connect(proxy.address);
    assert_eq!(used.get("test", "/").status, 200);
    let mut http2 = Frames::connect(proxy.address);
    http2.get(1, "/");
    assert_eq!(http2.status(1), Some(200));
    // HTTP/2 that never asks, and one that begins to ask and goes no further.
    let mut silent = Frames::connect(proxy.address);
    let mut begun = Frames::connect(proxy.address);
    begun.send(&Frame::new(kind::HEADERS, flag::END_STREAM, 1, hpack(&[(":method", "GET")])));
    assert!(unused.is_closed_within(IDLE + SLACK));
    assert!(used.is_closed_within(IDLE + SLACK), "without a word");
    for (name, frames) in [("used", &mut http2), ("silent", &mut silent), ("begun", &mut begun)] {
        assert_ne!(frames.ended(IDLE + SLACK), Ended::Open, "{name}");
    }
    assert!(start.elapsed() > IDLE && start.elapsed() < IDLE + SLACK, "{:?}", start.elapsed());
}

#[test]
fn pings_do_not_keep_a_connection() {
    let backend = script();
    let proxy = short(backend.address);
    let mut frames = Frames::connect(proxy.address);
    let start = Instant::now();
    // It is told of the end, does not react, and is left five seconds later.
    let limit = IDLE + Duration::from_secs(5) + SLACK;
    while frames.send(&Frame::new(kind::PING, 0, 0, [0; 8])) && start.elapsed() < limit {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(start.elapsed() < limit, "it is kept");
}

#[test]
fn content_that_stops_is_given_up() {
    let backend = script();
    let proxy = short(backend.address);
    for framing in [
        "Content-Length: 100\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "Transfer-Encoding: chunked\r\n\r\nff\r\nhalf",
    ] {
        let mut wire = Wire::connect(proxy.address);
        let start = Instant::now();
        wire.send(format!("POST / HTTP/1.1\r\nHost: test\r\n{framing}"));
        assert_eq!(wire.response(false).unwrap().status, 408, "{framing:?}");
        assert!(wire.is_closed_within(SLACK), "{framing:?}");
        assert!(start.elapsed() > STREAM_IDLE && start.elapsed() < STREAM_IDLE + SLACK);
    }
    let mut frames = Frames::connect(proxy.address);
    frames.send(&Frame::headers(
        1,
        0,
        &[(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", "/")],
    ));
    frames.send(&Frame::new(kind::DATA, 0, 1, *b"half"));
    assert_eq!(frames.status(1), Some(408));
    wait_until(Duration::from_secs(5), "the backend to be told", || (backend.seen().partial.len() == 4).then_some(()));
    assert!(backend.seen().requests.is_empty(), "{:?}", backend.seen());
}

#[test]
fn content_that_comes_slowly_is_taken() {
    let backend = script();
    let proxy = short(backend.address);
    let mut wire = Wire::connect(proxy.address);
    wire.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 20\r\n\r\n");
    let start = Instant::now();
    for _ in 0..20 {
        std::thread::sleep(STREAM_IDLE / 8);
        wire.send("x");
    }
    assert!(start.elapsed() > 2 * STREAM_IDLE);
    assert_eq!(wire.response(false).unwrap().status, 200);
}

#[test]
fn backends_that_stop_are_given_up() {
    let backend = script();
    let proxy = short(backend.address);
    let mut wire = Wire::connect(proxy.address);
    assert_eq!(wire.get("test", "/hold").status, 504, "before the head");
    let mut wire = Wire::connect(proxy.address);
    wire.send("GET /half HTTP/1.1\r\nHost: test\r\n\r\n");
    let all = wire.read_to_end(STREAM_IDLE + SLACK).expect("the end");
    assert!(all.ends_with(b"half"), "within the content: {}", all.escape_ascii());
    let mut frames = Frames::connect(proxy.address);
    frames.get(1, "/half");
    assert_eq!(frames.status(1), Some(200));
    assert!(frames.until(|f| f.kind == kind::RST_STREAM).is_some());
}

/// A response without end to a client that reads nothing: given up, and the backend is let go.
#[test]
fn clients_that_do_not_read_are_given_up() {
    for http2 in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = short(listener.local_addr().unwrap());
        let mut wire = Wire::connect(proxy.address);
        let mut frames = Frames::connect(proxy.address);
        if http2 {
            frames.get(1, "/");
        } else {
            wire.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        }
        let (mut upstream, _) = listener.accept().unwrap();
        assert!(upstream.read(&mut [0; 4096]).unwrap() > 0);
        upstream.set_write_timeout(Some(STREAM_IDLE + SLACK)).unwrap();
        let start = Instant::now();
        let piece = vec![b'x'; 1 << 16];
        let mut result = upstream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n");
        while result.is_ok() {
            result = upstream.write_all(&piece);
        }
        let kind = result.unwrap_err().kind();
        assert!(
            matches!(kind, std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe),
            "HTTP/2 {http2}: {kind:?}"
        );
        assert!(start.elapsed() < STREAM_IDLE + SLACK, "HTTP/2 {http2}");
    }
}

/// The defaults, with the real process: ten seconds for a head and for a TLS handshake.
#[test]
fn ten_seconds_are_enough() {
    let (plain, _backend) = recorded();
    let ca = Ca::new();
    let listener = "    - {name: https, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: pair}]}}\n---\n";
    let text = manifests(1, false).replacen("---\n", listener, 1) + &ca.issue(&["a.test"]).secret("pair");
    let tls = Proxy::serve(&text, &[80, 443]);
    let start = Instant::now();
    let drip = |address: SocketAddr, bytes: &'static [u8]| {
        std::thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            for byte in bytes {
                if stream.write_all(&[*byte]).is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(500));
            }
            let mut got = Vec::new();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let end = stream.read_to_end(&mut got);
            (got, end.is_ok() || end.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset))
        })
    };
    let head = drip(plain.address(80), b"GET / HTTP/1.1\r\nHost: test\r\nX: ");
    // The start of a ClientHello of 512 bytes.
    let hello = drip(tls.address(443), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaa");
    let preface = drip(plain.address(80), &PREFACE[..10]);
    for (name, dripping, start_of_answer) in
        [("head", head, &b"HTTP/1.1 408 "[..]), ("hello", hello, b""), ("preface", preface, b"HTTP/1.1 408 ")]
    {
        let (got, ended) = dripping.join().unwrap();
        assert!(ended && got.starts_with(start_of_answer), "{name}: {}", got.escape_ascii());
    }
    assert!((9..16).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    let line = plain.log_line("a slow head", |line| line["response_code"] == 408);
    assert_eq!(line["response_code_details"], "request_header_timeout");
}
