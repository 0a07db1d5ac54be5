//! HTTP/2 floods, frame by frame: the connection is ended (GOAWAY, or closed), memory stays bounded, and everybody else is served.
//!
//! Envoy's `http2_flood_integration_test`, one case per row of `CASES`, and what came after it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fairlead_test_security::manifests;
use fairlead_testkit::frames::{Ended, Frame, Frames, PREFACE, flag, get, hpack, hpack_field, kind};
use fairlead_testkit::{Act, Ask, Backend, Proxy, Version, Wire, ask};

struct House {
    proxy: Proxy,
    _backend: Backend,
}

/// Each test has its own: it looks at the proxy's memory.
fn house() -> House {
    let backend = Backend::start(|request| match request.path() {
        "/never" => Act::Hold(Vec::new()),
        "/large" => Act::Answer(
            format!("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{}", "x".repeat(1_000_000)).into_bytes(),
        ),
        _ => Act::ok("ok"),
    });
    House { proxy: Proxy::serve(&manifests(backend.address.port(), false), &[80]), _backend: backend }
}

/// What must become of a flood.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// The connection is ended: GOAWAY with an error, or closed.
    Ended,
    /// It costs no more than the same bytes of any other request: it is borne, and the connection works afterwards.
    Borne,
}

struct Case {
    name: &'static str,
    fate: Fate,
    /// What is sent, in pieces, until the proxy has had enough.
    pieces: fn() -> Box<dyn Iterator<Item = Vec<u8>>>,
}

const ROUNDS: u32 = 200;
const PER_ROUND: usize = 500;

/// The same frame, 100,000 times.
fn same(frame: Frame) -> Box<dyn Iterator<Item = Vec<u8>>> {
    let piece = frame.bytes().repeat(PER_ROUND);
    Box::new((0..ROUNDS).map(move |_| piece.clone()))
}

/// Something for each of 50,000 streams.
fn streams(frames: impl Fn(u32) -> Vec<Frame> + 'static) -> Box<dyn Iterator<Item = Vec<u8>>> {
    Box::new(
        (0..500).map(move |round| {
            (0..100).flat_map(|n| frames(2 * (100 * round + n) + 1)).flat_map(|f| f.bytes()).collect()
        }),
    )
}

/// Something once, and then more of it.
fn first(frames: Vec<Frame>, then: Box<dyn Iterator<Item = Vec<u8>>>) -> Box<dyn Iterator<Item = Vec<u8>>> {
    Box::new(std::iter::once(frames.iter().flat_map(Frame::bytes).collect()).chain(then))
}

fn waiting() -> Frame {
    Frame::headers(1, flag::END_STREAM, &get("/never"))
}

fn post() -> Frame {
    Frame::headers(1, 0, &[(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", "/never")])
}

const CASES: &[Case] = &[
    // More of these than any client needs end the connection (CVE-2019-9512, CVE-2019-9515).
    Case { name: "ping", fate: Fate::Ended, pieces: || same(Frame::new(kind::PING, 0, 0, [0; 8])) },
    Case { name: "settings", fate: Fate::Ended, pieces: || same(Frame::new(kind::SETTINGS, 0, 0, [])) },
    Case {
        name: "settings that change the window of open streams",
        fate: Fate::Ended,
        pieces: || first(vec![waiting()], same(Frame::new(kind::SETTINGS, 0, 0, [0, 4, 0, 0, 0xff, 0xff]))),
    },
    Case {
        name: "rapid reset (CVE-2023-44487)",
        fate: Fate::Ended,
        pieces: || streams(|n| vec![Frame::headers(n, flag::END_STREAM, &get("/never")), Frame::reset(n, 8)]),
    },
    Case {
        name: "rapid reset of requests with content",
        fate: Fate::Ended,
        pieces: || {
            streams(|n| {
                let head = [(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", "/never")];
                vec![Frame::headers(n, 0, &head), Frame::new(kind::DATA, 0, n, *b"x"), Frame::reset(n, 8)]
            })
        },
    },
    Case {
        name: "provoked reset by a window of 0 (MadeYouReset, CVE-2025-8671)",
        fate: Fate::Ended,
        pieces: || streams(|n| vec![Frame::headers(n, flag::END_STREAM, &get("/never")), Frame::window(n, 0)]),
    },
    Case {
        name: "provoked reset by a window too large",
        fate: Fate::Ended,
        pieces: || {
            streams(|n| vec![Frame::headers(n, flag::END_STREAM, &get("/never")), Frame::window(n, 0x7fff_ffff)])
        },
    },
    Case {
        name: "provoked reset by DATA after the end",
        fate: Fate::Ended,
        pieces: || {
            streams(|n| vec![Frame::headers(n, flag::END_STREAM, &get("/never")), Frame::new(kind::DATA, 0, n, *b"x")])
        },
    },
    Case {
        name: "provoked reset by HEADERS after the end",
        fate: Fate::Ended,
        pieces: || {
            streams(|n| {
                let head = Frame::headers(n, flag::END_STREAM, &get("/never"));
                vec![head.clone(), head]
            })
        },
    },
    Case {
        name: "provoked reset by a PRIORITY on itself",
        fate: Fate::Ended,
        pieces: || {
            streams(|n| {
                vec![Frame::headers(n, flag::END_STREAM, &get("/never")), {
                    let mut payload = n.to_be_bytes().to_vec();
                    payload.push(0);
                    Frame::new(kind::PRIORITY, 0, n, payload)
                }]
            })
        },
    },
    Case {
        name: "malformed requests",
        fate: Fate::Ended,
        pieces: || streams(|n| vec![Frame::headers(n, flag::END_STREAM, &[(":method", "GET"), (":scheme", "http")])]),
    },
    Case {
        name: "streams beyond the limit",
        fate: Fate::Ended,
        pieces: || streams(|n| vec![Frame::headers(n, flag::END_STREAM, &get("/never"))]),
    },
    Case {
        name: "CONTINUATION without end (CVE-2024-27316)",
        fate: Fate::Ended,
        pieces: || {
            first(
                vec![Frame::new(kind::HEADERS, flag::END_STREAM, 1, hpack(&get("/")))],
                same(Frame::new(kind::CONTINUATION, 0, 1, hpack_field(b"x-flood", &[b'x'; 100]))),
            )
        },
    },
    Case {
        name: "empty CONTINUATION (CVE-2019-9518)",
        fate: Fate::Ended,
        pieces: || {
            first(
                vec![Frame::new(kind::HEADERS, flag::END_STREAM, 1, hpack(&get("/")))],
                same(Frame::new(kind::CONTINUATION, 0, 1, [])),
            )
        },
    },
    Case {
        name: "empty HEADERS (CVE-2019-9518)",
        fate: Fate::Ended,
        pieces: || streams(|n| vec![Frame::new(kind::HEADERS, flag::END_HEADERS, n, [])]),
    },
    Case {
        name: "fields without name (CVE-2019-9516)",
        fate: Fate::Ended,
        pieces: || {
            streams(|n| vec![Frame::new(kind::HEADERS, flag::END_HEADERS, n, hpack_field(b"", b"").repeat(100))])
        },
    },
    Case {
        name: "empty DATA (CVE-2019-9518)",
        fate: Fate::Ended,
        pieces: || first(vec![post()], same(Frame::new(kind::DATA, 0, 1, []))),
    },
    Case {
        name: "DATA of padding",
        fate: Fate::Ended,
        pieces: || {
            let mut padding = vec![255];
            padding.extend([0; 255]);
            first(vec![post()], same(Frame::new(kind::DATA, flag::PADDED, 1, padding)))
        },
    },
    Case {
        name: "PRIORITY of an open stream",
        fate: Fate::Ended,
        pieces: || {
            first(
                vec![Frame::headers(1, flag::END_STREAM, &get("/never"))],
                same(Frame::new(kind::PRIORITY, 0, 1, [0, 0, 0, 0, 1])),
            )
        },
    },
    Case {
        name: "PRIORITY of idle streams (CVE-2019-9513)",
        fate: Fate::Ended,
        pieces: || streams(|n| vec![Frame::new(kind::PRIORITY, 0, n + 10_000, [0, 0, 0, 0, 1])]),
    },
    Case { name: "WINDOW_UPDATE of the connection", fate: Fate::Borne, pieces: || same(Frame::window(0, 1)) },
    Case {
        name: "WINDOW_UPDATE of a stream",
        fate: Fate::Borne,
        pieces: || first(vec![waiting()], same(Frame::window(1, 1))),
    },
    Case { name: "unknown frames", fate: Fate::Borne, pieces: || same(Frame::new(0xbe, 0, 0, [0; 32])) },
    Case {
        name: "PING acknowledgements",
        fate: Fate::Borne,
        pieces: || same(Frame::new(kind::PING, flag::ACK, 0, [7; 8])),
    },
    Case {
        name: "resets of closed streams",
        fate: Fate::Borne,
        pieces: || first(vec![Frame::headers(1, flag::END_STREAM, &get("/"))], same(Frame::reset(1, 8))),
    },
];

/// Fates that differ today, and why; noticed when they change.
const KNOWN: &[(&str, &str)] = &[];

/// Sends a flood; reading or not reading what comes back.
fn flood(address: SocketAddr, case: &Case, reading: bool) -> Ended {
    let mut frames = Frames::connect(address);
    frames.stream().set_write_timeout(Some(Duration::from_secs(3))).unwrap();
    let reader = reading.then(|| {
        let mut stream = frames.stream().try_clone().unwrap();
        std::thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()))
    });
    for piece in (case.pieces)() {
        if !frames.bytes(&piece) {
            break;
        }
    }
    if reading {
        // The reader takes all: the end is seen by writing.
        let rounds = if case.fate == Fate::Ended { 60 } else { 2 };
        for _ in 0..rounds {
            std::thread::sleep(Duration::from_millis(25));
            if !frames.send(&Frame::new(kind::PING, flag::ACK, 0, [0; 8])) {
                return Ended::Closed;
            }
        }
        let _ = frames.stream().shutdown(std::net::Shutdown::Both);
        drop(reader);
        return Ended::Open;
    }
    frames.ended(if case.fate == Fate::Ended { Duration::from_secs(3) } else { Duration::from_millis(50) })
}

#[test]
fn each_flood_has_its_fate() {
    let house = house();
    let address = house.proxy.address(80);
    let before = house.proxy.process.memory();
    let done = AtomicBool::new(false);
    let mut wrong = Vec::new();
    std::thread::scope(|scope| {
        // Another client, on connections of both versions, all the time.
        let others = scope.spawn(|| {
            let (mut slowest, mut served) = (Duration::ZERO, 0);
            let mut wire = Wire::connect(address);
            while !done.load(Ordering::SeqCst) {
                let start = Instant::now();
                assert_eq!(wire.get("test", "/other").status, 200);
                assert_eq!(ask(Version::H2, address, &Ask::get("/other")).whole().status, 200);
                slowest = slowest.max(start.elapsed());
                served += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
            (slowest, served)
        });
        for reading in [false, true] {
            for case in CASES {
                let start = Instant::now();
                let ended = flood(address, case, reading);
                let right = match case.fate {
                    Fate::Ended => ended != Ended::Open,
                    // A client that does not read may be left waiting, or be given up.
                    Fate::Borne => true,
                };
                let known = KNOWN.iter().any(|(name, _)| *name == case.name);
                if right == known {
                    wrong.push(format!("{}, reading {reading}: {ended:?} after {:?}", case.name, start.elapsed()));
                }
                let grown = house.proxy.process.memory().saturating_sub(before);
                if grown > 24 << 10 {
                    wrong.push(format!("{}, reading {reading}: the proxy has grown by {grown} KiB", case.name));
                }
            }
        }
        done.store(true, Ordering::SeqCst);
        let (slowest, served) = others.join().unwrap();
        // About one each ten milliseconds for as long as the floods last.
        assert!(served > 10, "{served}");
        assert!(slowest < Duration::from_secs(2), "others waited {slowest:?}");
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Nothing that clients send fills the program's own log.
    let lines = house.proxy.process.output().lines().filter(|l| l.contains("WARN") || l.contains("ERROR")).count();
    assert_eq!(lines, 0, "{}", house.proxy.process.output());
}

/// What is borne leaves the connection in working order.
#[test]
fn what_is_borne_does_no_harm() {
    let house = house();
    for case in CASES.iter().filter(|case| case.fate == Fate::Borne) {
        let mut frames = Frames::connect(house.proxy.address(80));
        for piece in (case.pieces)().take(20) {
            frames.bytes(&piece);
        }
        frames.get(20_001, "/");
        // A window of 10,000 more, a priority more: the request is served, or the connection was ended.
        match frames.status(20_001) {
            Some(status) => assert_eq!(status, 200, "{}", case.name),
            None => assert_ne!(frames.ended(Duration::from_secs(1)), Ended::Open, "{}", case.name),
        }
    }
}

/// A client that asks for much and takes nothing: the connection's streams and windows bound what waits for it.
#[test]
fn responses_that_nobody_reads_are_bounded() {
    let house = house();
    let before = house.proxy.process.memory();
    let mut connections = Vec::new();
    for _ in 0..4 {
        let mut frames = Frames::raw(house.proxy.address(80));
        frames.bytes(PREFACE);
        // A huge initial window, and a tiny one for what is read: 100 responses of 1 MB each.
        frames.send(&Frame::new(kind::SETTINGS, 0, 0, [0, 4, 0x7f, 0xff, 0xff, 0xff]));
        frames.send(&Frame::window(0, 0x7fff_0000));
        for n in 0..100 {
            frames.get(2 * n + 1, "/large");
        }
        connections.push(frames);
    }
    std::thread::sleep(Duration::from_secs(1));
    let grown = house.proxy.process.memory().saturating_sub(before);
    // 400 MB are asked for. Each stream may hold 64 KiB here (max_send_buffer_size), and its upstream 64 KiB.
    assert!(grown < 160 << 10, "the proxy has grown by {grown} KiB");
    drop(connections);
}

/// HPACK bombs: one large value in the table, referred to again and again (CVE-2016-6581, CVE-2026-47774 for cookies).
#[test]
fn hpack_bombs_are_refused() {
    let house = house();
    let before = house.proxy.process.memory();
    for name in ["x-bomb", "cookie"] {
        for n in 0..3 {
            let mut frames = Frames::connect(house.proxy.address(80));
            let mut block = hpack(&get("/"));
            // Literal with incremental indexing, then index 62 as often as it fits.
            let mut field = hpack_field(name.as_bytes(), &[b'x'; 3500]);
            field[0] = 0x40;
            block.extend(field);
            block.extend(vec![0x80 | 62; 10_000]);
            for (i, piece) in block.chunks(16_000).enumerate() {
                let last = (i + 1) * 16_000 >= block.len();
                let (kind, flags) = if i == 0 { (kind::HEADERS, flag::END_STREAM) } else { (kind::CONTINUATION, 0) };
                frames.send(&Frame::new(kind, flags | if last { flag::END_HEADERS } else { 0 }, 1, piece));
            }
            let status = frames.status(1);
            assert!(matches!(status, Some(431) | None), "{name} {n}: {status:?}");
        }
    }
    let grown = house.proxy.process.memory().saturating_sub(before);
    assert!(grown < 16 << 10, "the proxy has grown by {grown} KiB");
}

/// A preface and then nothing, or nothing at all: such connections cost little.
#[test]
fn silent_connections_are_cheap() {
    let house = house();
    let before = house.proxy.process.memory();
    let mut silent = Vec::new();
    for n in 0..500 {
        let mut frames = Frames::raw(house.proxy.address(80));
        if n % 2 == 0 {
            frames.bytes(PREFACE);
            frames.send(&Frame::new(kind::SETTINGS, 0, 0, []));
        }
        silent.push(frames);
    }
    std::thread::sleep(Duration::from_millis(300));
    let grown = house.proxy.process.memory().saturating_sub(before);
    assert!(grown < 20 << 10, "500 connections cost {grown} KiB");
    assert_eq!(ask(Version::H2, house.proxy.address(80), &Ask::get("/")).whole().status, 200);
}
