//! HTTP/2 floods, frame by frame: the connection is ended (GOAWAY, or closed), memory stays bounded, and everybody else is served.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod cases;
mod memory;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cases::{CASES, Case, Fate};
use fairlead_test_security::manifests;
use fairlead_testkit::frames::{Ended, Frame, Frames, flag, kind};
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
            let mut waits = Vec::new();
            let mut wire = Wire::connect(address);
            while !done.load(Ordering::SeqCst) {
                let start = Instant::now();
                assert_eq!(wire.get("test", "/other").status, 200);
                assert_eq!(ask(Version::H2, address, &Ask::get("/other")).whole().status, 200);
                waits.push(start.elapsed());
                std::thread::sleep(Duration::from_millis(10));
            }
            waits.sort();
            waits
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
        let waits = others.join().unwrap();
        // About one each ten milliseconds for as long as the floods last. A busy machine makes one of them wait, a flood that gets in the
        // way all of them.
        assert!(waits.len() > 10, "{waits:?}");
        let (usual, slowest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
        assert!(usual < Duration::from_secs(1) && slowest < Duration::from_secs(10), "{usual:?}, at most {slowest:?}");
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

/// The budget for frames that only cost grows with traffic, but not so fast that requests in between buy a flood (CVE-2019-9513, and the
/// budgets that streams coming and going reset).
#[test]
fn requests_in_between_buy_no_flood() {
    let house = house();
    for frame in [Frame::new(kind::PRIORITY, 0, 999_999, [0, 0, 0, 0, 1]), Frame::new(kind::PING, 0, 0, [0; 8])] {
        let mut frames = Frames::connect(house.proxy.address(80));
        let flood = frame.bytes().repeat(200);
        // 100,000 of them, which take far less than the hundred seconds that they would be borne in.
        let served = (0..500).take_while(|n| frames.get(2 * n + 1, "/") && frames.bytes(&flood)).count();
        assert_ne!(frames.ended(Duration::from_secs(3)), Ended::Open, "{frame:?}, {served} rounds");
    }
}
