//! What a connection may hold of what it sent, or does not read.

use std::net::TcpListener;
use std::time::Duration;

use fairlead_test_security::manifests;
use fairlead_testkit::frames::{Ended, Frame, Frames, PREFACE, flag, get, hpack, hpack_field, kind};
use fairlead_testkit::{Ask, Proxy, Version, ask};

use crate::house;

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

/// Content in frames of a few bytes costs many times its size while it waits (CVE-2020-12603), and windows count its size only.
#[test]
fn small_frames_that_wait_are_bounded() {
    for size in [1, 8, 64] {
        // Takes connections and reads nothing.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::serve(&manifests(listener.local_addr().unwrap().port(), false), &[80]);
        let before = proxy.process.memory();
        let mut frames = Frames::connect(proxy.address(80));
        frames.stream().set_write_timeout(Some(Duration::from_secs(3))).unwrap();
        let post = [(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", "/")];
        for n in 0..80 {
            let stream = 2 * n + 1;
            let data = Frame::new(kind::DATA, 0, stream, vec![b'x'; size]).bytes().repeat(1000);
            let mut sent = frames.send(&Frame::headers(stream, 0, &post));
            for _ in 0..60 {
                sent = sent && frames.bytes(&data);
            }
            if !sent {
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(300));
        let grown = proxy.process.memory().saturating_sub(before);
        assert!(grown < 24 << 10, "frames of {size}: the proxy has grown by {grown} KiB");
        assert_ne!(frames.ended(Duration::from_secs(3)), Ended::Open, "frames of {size}");
    }
}
