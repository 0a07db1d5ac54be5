//! RFC 9113: HTTP/2 with clients and with backends.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fairlead_test_protocol::{House, Way, pattern};
use fairlead_testkit::frames::{Ended, Frame, Frames, flag, get, hpack, kind};
use fairlead_testkit::{Ask, Content, Echo, End, Manifests, Proxy, Shared, Version, ask, h2, runtime, tool};

static HOUSE: Shared<House> = Shared::new(House::start);

/// Cases of h2spec that fail, and why they may.
const EXCEPTIONS: &[(&str, &str)] = &[(
    "Sends invalid connection preface",
    "the port speaks HTTP/1.1, too: what is no HTTP/2 preface is answered as a bad HTTP/1.1 request (400), then closed",
)];

#[test]
fn h2spec_passes() {
    let echo = Echo::start("one");
    // A route that takes every host: h2spec wants content to come back, slowly enough for streams to be open together.
    let text = Manifests::new()
        .backend("any.test", echo.port(), Version::H1, "")
        .text()
        .replace("  hostnames: [any.test]\n", "");
    let proxy = Proxy::serve(&text, &[80]);
    let port = proxy.address(80).port().to_string();
    let output = Command::new(tool("h2spec"))
        .args(["generic", "http2", "hpack", "-h", "127.0.0.1", "-p", &port, "-P", "/?delay=20ms&size=64", "-o", "2"])
        .output()
        .expect("h2spec: tests/install test");
    let text = String::from_utf8_lossy(&output.stdout);
    let failures = text.split_once("Failures:").map_or("", |(_, failures)| failures);
    assert!(text.contains("145 tests, 144 passed, 0 skipped"), "{text}");
    let failed: BTreeSet<&str> = failures
        .lines()
        .filter_map(|line| line.trim().strip_prefix("× ")?.split_once(": "))
        .map(|(_, name)| name)
        .collect();
    let allowed: BTreeSet<&str> = EXCEPTIONS.iter().map(|(name, _)| *name).collect();
    assert_eq!(failed, allowed, "{text}");
}

fn way(up: Version) -> Way {
    Way { down: Version::H2, up: Some(up) }
}

#[test]
fn streams_run_at_the_same_time() {
    let house = HOUSE.take();
    for up in [Version::H1, Version::H2] {
        let address = house.proxy.address(80);
        let host = House::host(way(up));
        let start = Instant::now();
        runtime().block_on(async {
            let connection = h2::Connection::connect(address).await;
            let slow = (0..100).map(|n| Ask::get(&format!("/{n}?delay=300ms")).host(host)).collect::<Vec<_>>();
            let replies = slow.iter().map(|ask| connection.ask(ask));
            for (n, reply) in futures_util::future::join_all(replies).await.into_iter().enumerate() {
                assert_eq!(reply.whole().json()["path"], format!("/{n}?delay=300ms"), "{up:?}");
            }
        });
        assert!(start.elapsed() < Duration::from_secs(8), "{up:?}: 100 requests of 300 ms took {:?}", start.elapsed());
    }
}

#[test]
fn streams_of_one_connection_carry_large_content_side_by_side() {
    let house = HOUSE.take();
    for up in [Version::H1, Version::H2] {
        let host = House::host(way(up));
        runtime().block_on(async {
            let connection = h2::Connection::connect(house.proxy.address(80)).await;
            let data = pattern(1_000_000);
            let ask = |n| {
                Ask::new("POST", &format!("/{n}/echo-body")).host(host).content(Content::Streamed(data.clone(), 33_333))
            };
            let asks: Vec<Ask> = (0..10).map(ask).collect();
            for reply in futures_util::future::join_all(asks.iter().map(|ask| connection.ask(ask))).await {
                assert!(reply.whole().body == data, "{up:?}");
            }
        });
    }
}

/// One stream that is not read does not hold up the others, nor fill the proxy.
#[test]
fn flow_control_is_by_stream() {
    let house = HOUSE.take();
    for up in [Version::H1, Version::H2] {
        let host = House::host(way(up));
        let before = house.proxy.process.memory();
        runtime().block_on(async {
            let connection = h2::Connection::connect(house.proxy.address(80)).await;
            let mut stuck = Vec::new();
            for _ in 0..10 {
                let ask = Ask::get("/?size=100m").host(host);
                let mut sender = connection.sender.clone().ready().await.unwrap();
                let (response, _) = sender.send_request(h2::request(&ask), true).unwrap();
                // The window of 64 KiB is never given back.
                stuck.push(response.await.unwrap().into_body());
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
            // The connection's window is used up by ten of them, another connection's is not.
            let other = h2::Connection::connect(house.proxy.address(80)).await;
            assert_eq!(other.ask(&Ask::get("/?size=1000").host(host)).await.whole().body.len(), 1000, "{up:?}");
            drop(stuck);
            assert_eq!(connection.ask(&Ask::get("/?size=1000").host(host)).await.whole().body.len(), 1000, "{up:?}");
        });
        let grown = house.proxy.process.memory().saturating_sub(before);
        assert!(grown < 32 << 10, "{up:?}: the proxy grew by {grown} KiB");
    }
}

#[test]
fn a_client_is_held_back_by_a_backend_that_does_not_read() {
    for up in [Version::H1, Version::H2] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = Manifests::new().backend("stuck.test", listener.local_addr().unwrap().port(), up, "").text();
        let proxy = Proxy::serve(&text, &[80]);
        let (done, wait) = std::sync::mpsc::channel::<()>();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            // Shakes hands, gives no more window than the initial 64 KiB.
            let frames = (up == Version::H2).then(|| Frames::accept(stream.try_clone().unwrap()));
            let _ = wait.recv();
            drop((stream, frames));
        });
        let sent = runtime().block_on(async {
            let connection = h2::Connection::connect(proxy.address(80)).await;
            let mut sender = connection.sender.clone().ready().await.unwrap();
            let ask = Ask::new("POST", "/").host("stuck.test").content(Content::Streamed(Bytes::new(), 1));
            let (_response, mut send) = sender.send_request(h2::request(&ask), false).unwrap();
            let mut sent = 0usize;
            let piece = Bytes::from(vec![b'x'; 16 * 1024]);
            while let Ok(Ok(())) =
                tokio::time::timeout(Duration::from_millis(500), h2::send_all(&mut send, piece.clone())).await
            {
                sent += piece.len();
                assert!(sent < 64 << 20, "{up:?}");
            }
            sent
        });
        // H1: socket buffers on the way. H2: our stream window and the backend's.
        assert!(sent < if up == Version::H2 { 2 << 20 } else { 16 << 20 }, "{up:?}: {sent}");
        drop(done);
    }
}

#[test]
fn a_reset_reaches_the_backend() {
    for up in [Version::H1, Version::H2] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = Manifests::new().backend("slow.test", listener.local_addr().unwrap().port(), up, "").text();
        let proxy = Proxy::serve(&text, &[80]);
        let mut client = Frames::connect(proxy.address(80));
        let head = [(":method", "GET"), (":scheme", "http"), (":authority", "slow.test"), (":path", "/wait")];
        client.send(&Frame::headers(1, flag::END_STREAM, &head));
        let (stream, _) = listener.accept().unwrap();
        match up {
            Version::H1 => {
                use std::io::Read as _;
                let mut stream = stream;
                stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
                client.send(&Frame::reset(1, 8));
                let end = stream.read(&mut [0; 4096]);
                assert!(matches!(end, Ok(0)) || end.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset));
            }
            Version::H2 => {
                let mut backend = Frames::accept(stream).unwrap();
                let stream = backend.until(|f| f.kind == kind::HEADERS).unwrap().stream;
                client.send(&Frame::reset(1, 8));
                let reset = backend.until(|f| f.kind == kind::RST_STREAM).unwrap();
                assert_eq!((reset.stream, reset.code()), (stream, Some(8)), "CANCEL");
            }
        }
        let line = proxy.log_of("/wait");
        assert_eq!(line["response_code"], 0, "{up:?}");
    }
}

#[test]
fn more_streams_than_allowed_are_refused() {
    let house = HOUSE.take();
    let mut client = Frames::connect(house.proxy.address(80));
    for n in 0..101 {
        client.send(&Frame::headers(
            2 * n + 1,
            flag::END_STREAM,
            &[(":method", "GET"), (":scheme", "http"), (":authority", "h1.test"), (":path", "/?delay=500ms")],
        ));
    }
    let refused = client.until(|f| f.kind == kind::RST_STREAM).unwrap();
    assert_eq!((refused.stream, refused.code()), (201, Some(7)), "REFUSED_STREAM");
    for _ in 0..100 {
        assert!(client.until(|f| f.kind == kind::HEADERS).is_some(), "the others are served");
    }
}

#[test]
fn odd_but_valid_frames_are_understood() {
    let house = HOUSE.take();
    let mut client = Frames::connect(house.proxy.address(80));
    let block =
        hpack(&[(":method", "POST"), (":scheme", "http"), (":authority", "h1.test"), (":path", "/x/echo-body")]);
    // HEADERS with priority and padding, in three frames; unknown frames between streams; padded and empty DATA.
    let mut first = vec![3, 0, 0, 0, 0, 15];
    first.extend(&block[..10]);
    first.extend([0; 3]);
    client.send(&Frame::new(kind::HEADERS, flag::PADDED | flag::PRIORITY, 1, first));
    client.send(&Frame::new(kind::CONTINUATION, 0, 1, &block[10..20]));
    client.send(&Frame::new(kind::CONTINUATION, flag::END_HEADERS, 1, &block[20..]));
    client.send(&Frame::new(0xbe, 0xff, 1, *b"unknown"));
    client.send(&Frame::new(kind::DATA, flag::PADDED, 1, *b"\x02hello\0\0"));
    client.send(&Frame::new(kind::DATA, 0, 1, []));
    client.send(&Frame::new(kind::DATA, flag::END_STREAM, 1, *b" world"));
    assert_eq!(client.status(1), Some(200));
    let mut body = Vec::<u8>::new();
    while let Some(frame) = client.until(|f| f.kind == kind::DATA) {
        body.extend(&frame.payload);
        if frame.flags & flag::END_STREAM != 0 {
            break;
        }
    }
    assert_eq!(body, b"hello world");
}

#[test]
fn a_drain_announces_the_end_and_finishes_what_runs() {
    let echo = Echo::start("one");
    let text = Manifests::new().backend("h1.test", echo.port(), Version::H1, "").text();
    let mut proxy = Proxy::serve(&text, &[80]);
    let address = proxy.address(80);
    let mut client = Frames::connect(address);
    let head = |path| [(":method", "GET"), (":scheme", "http"), (":authority", "h1.test"), (":path", path)];
    client.send(&Frame::headers(1, flag::END_STREAM, &head("/?delay=2s")));
    std::thread::sleep(Duration::from_millis(200));
    proxy.process.signal("TERM");
    let goaway = client.until(|f| f.kind == kind::GOAWAY).unwrap();
    assert_eq!(goaway.code(), Some(0), "NO_ERROR");
    assert_eq!(client.status(1), Some(200), "what runs is finished");
    assert_ne!(client.ended(Duration::from_secs(5)), Ended::Open);
    assert_eq!(proxy.process.wait(Duration::from_secs(5)), Some(0));
}

fn ask_frames(serve: impl Fn(Frames) + Send + Sync + 'static, path: &str) -> (Proxy, fairlead_testkit::Reply) {
    let text = Manifests::new().backend("own.test", Frames::backend(serve), Version::H2, "").text();
    let proxy = Proxy::serve(&text, &[80]);
    let reply = ask(Version::H2, proxy.address(80), &Ask::get(path).host("own.test"));
    (proxy, reply)
}

fn answer(frames: &mut Frames, stream: u32, fields: &[(&str, &str)], body: &[u8]) {
    let end = if body.is_empty() { flag::END_STREAM } else { 0 };
    frames.send(&Frame::headers(stream, end, fields));
    if !body.is_empty() {
        frames.send(&Frame::new(kind::DATA, flag::END_STREAM, stream, body));
    }
}

#[test]
fn a_reset_by_the_backend_is_a_503() {
    let (proxy, reply) = ask_frames(
        |mut frames| {
            while let Some(head) = frames.until(|f| f.kind == kind::HEADERS) {
                frames.send(&Frame::reset(head.stream, 2));
            }
        },
        "/reset",
    );
    assert_eq!(reply.whole().status, 503);
    let line = proxy.log_of("/reset");
    assert_eq!(line["response_flags"], "UR");
    assert_eq!(line["response_code_details"], "upstream_reset_before_response_started{remote_reset}");
}

#[test]
fn a_reset_within_the_content_is_passed_on() {
    let (proxy, reply) = ask_frames(
        |mut frames| {
            let head = frames.until(|f| f.kind == kind::HEADERS).unwrap();
            frames.send(&Frame::headers(head.stream, 0, &[(":status", "200")]));
            frames.send(&Frame::new(kind::DATA, 0, head.stream, *b"half"));
            // What is read together with a reset goes with it.
            std::thread::sleep(Duration::from_millis(500));
            frames.send(&Frame::reset(head.stream, 2));
            frames.read();
        },
        "/half",
    );
    assert_eq!((reply.answer.status, reply.answer.text()), (200, "half".into()));
    assert!(matches!(reply.end, End::Reset(code) if code != 0), "{:?}", reply.end);
    let line = proxy.log_of("/half");
    assert_eq!((line["response_flags"].as_str(), line["response_code"].as_u64()), (Some("UR"), Some(200)));
}

#[test]
fn a_backend_that_says_goodbye_is_replaced_without_harm() {
    // Each connection serves one request, then says GOAWAY with its stream as the last.
    let (proxy, reply) = ask_frames(
        |mut frames| {
            let head = frames.until(|f| f.kind == kind::HEADERS).unwrap();
            let mut last = head.stream.to_be_bytes().to_vec();
            last.extend([0; 4]);
            frames.send(&Frame::new(kind::GOAWAY, 0, 0, last));
            answer(&mut frames, head.stream, &[(":status", "200")], b"ok");
            frames.ended(Duration::from_secs(2));
        },
        "/",
    );
    assert_eq!(reply.whole().text(), "ok");
    for n in 0..10 {
        let reply = ask(Version::H2, proxy.address(80), &Ask::get(&format!("/{n}")).host("own.test"));
        assert_eq!(reply.whole().text(), "ok", "{n}");
    }
}

#[test]
fn a_response_whose_length_is_wrong_is_never_complete() {
    for (length, body) in [("10", &b"short"[..]), ("3", b"longer")] {
        let (_proxy, reply) = ask_frames(
            move |mut frames| {
                let head = frames.until(|f| f.kind == kind::HEADERS).unwrap();
                answer(&mut frames, head.stream, &[(":status", "200"), ("content-length", length)], body);
                frames.read();
                frames.ended(Duration::from_secs(1));
            },
            "/",
        );
        assert!(reply.end != End::Complete || reply.answer.status == 502, "content-length {length}: {reply:?}");
    }
}

#[test]
fn stream_limits_of_the_backend_are_kept() {
    let most = Arc::new(AtomicUsize::new(0));
    let seen = most.clone();
    let port = Frames::backend(move |mut frames| {
        frames.send(&Frame::new(kind::SETTINGS, 0, 0, [0, 3, 0, 0, 0, 2]));
        frames.stream().set_read_timeout(Some(Duration::from_millis(30))).unwrap();
        // Streams that were opened before our limit was known may be more than it.
        let (mut settings, mut early, mut open) = (0, 0, Vec::new());
        for _ in 0..100 {
            match frames.until(|f| f.kind == kind::HEADERS || (f.kind == kind::SETTINGS && f.flags == flag::ACK)) {
                Some(frame) if frame.kind == kind::HEADERS => open.push(frame.stream),
                Some(_) => (settings, early) = (settings + 1, open.len()),
                // Nothing more comes for now.
                None => {
                    if settings == 2 {
                        seen.fetch_max(open.len() - early, Ordering::SeqCst);
                    }
                    early = 0;
                    for stream in open.drain(..) {
                        answer(&mut frames, stream, &[(":status", "200")], b"ok");
                    }
                }
            }
        }
    });
    let proxy = Proxy::serve(&Manifests::new().backend("own.test", port, Version::H2, "").text(), &[80]);
    runtime().block_on(async {
        let connection = h2::Connection::connect(proxy.address(80)).await;
        // The backend's limit is known after this.
        connection.ask(&Ask::get("/first").host("own.test")).await.whole();
        let asks: Vec<Ask> = (0..20).map(|n| Ask::get(&format!("/{n}")).host("own.test")).collect();
        for reply in futures_util::future::join_all(asks.iter().map(|ask| connection.ask(ask))).await {
            assert_eq!(reply.whole().text(), "ok");
        }
    });
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

#[test]
fn prior_knowledge_and_http1_share_the_port() {
    let house = HOUSE.take();
    let address: SocketAddr = house.proxy.address(80);
    for version in [Version::H1, Version::H2, Version::H1, Version::H2] {
        assert_eq!(ask(version, address, &Ask::get("/").host("h1.test")).whole().status, 200, "{version:?}");
    }
    // The preface in pieces.
    use fairlead_testkit::frames::PREFACE;
    let mut slow = Frames::raw(address);
    for byte in PREFACE {
        slow.bytes(&[*byte]);
        std::thread::sleep(Duration::from_millis(1));
    }
    slow.send(&Frame::new(kind::SETTINGS, 0, 0, []));
    slow.send(&Frame::headers(1, flag::END_STREAM, &get("/")));
    assert_eq!(slow.status(1), Some(404), "host test has no route");
}
