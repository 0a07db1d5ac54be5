//! What the access log says of exchanges over all pairs of protocols: times, sizes, our end of the connection to the backend.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use fairlead_testkit::frames::{Frame, Frames, flag, kind};
use fairlead_testkit::{Ask, Client, Content, Manifests, Proxy, Shared, Version, Wire, ask, free_port};
use serde_json::Value;

/// How long the backends think.
const PAUSE: Duration = Duration::from_millis(80);

const OPERATORS: &[&str] = &[
    "START_TIME(%s%3f)",
    "EMIT_TIME(%s%3f)",
    "UNIQUE_ID",
    "DURATION",
    "REQUEST_DURATION",
    "REQUEST_TX_DURATION",
    "RESPONSE_DURATION",
    "COMMON_DURATION(DS_RX_BEG:DS_RX_END:us)",
    "COMMON_DURATION(DS_RX_BEG:US_CX_BEG:us)",
    "COMMON_DURATION(US_CX_BEG:US_CX_END:ns)",
    "COMMON_DURATION(US_CX_END:US_HS_END:ns)",
    "COMMON_DURATION(US_TX_BEG:US_TX_END:us)",
    "COMMON_DURATION(US_TX_END:US_RX_BEG:us)",
    "COMMON_DURATION(US_RX_BEG:US_RX_BODY_BEG:us)",
    "COMMON_DURATION(US_RX_BODY_BEG:US_RX_END:us)",
    "COMMON_DURATION(US_RX_BEG:DS_TX_BEG:us)",
    "COMMON_DURATION(DS_TX_BEG:DS_TX_END:us)",
    "COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)",
    "RESP(X-PEER)",
    "UPSTREAM_LOCAL_ADDRESS",
    "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_LOCAL_PORT",
    "UPSTREAM_REMOTE_ADDRESS",
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_REMOTE_PORT",
    "UPSTREAM_TLS_VERSION",
    "DOWNSTREAM_PEER_SUBJECT",
    "REQUEST_HEADERS_BYTES",
    "RESPONSE_HEADERS_BYTES",
    "RESPONSE_TRAILERS_BYTES",
    "LOCAL_REPLY_BODY",
];

/// Answers each request after a pause, with the address that it came from; its body comes after another pause.
fn h1_backend() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let (peer, mut seen, mut buf) = (stream.peer_addr().unwrap(), Vec::new(), [0; 4096]);
                while let Ok(n @ 1..) = stream.read(&mut buf) {
                    seen.extend_from_slice(&buf[..n]);
                    let ended = if seen.starts_with(b"POST") {
                        seen.ends_with(b"content")
                    } else {
                        seen.ends_with(b"\r\n\r\n")
                    };
                    if ended {
                        seen.clear();
                        std::thread::sleep(PAUSE);
                        let _ = write!(stream, "HTTP/1.1 200 OK\r\nx-peer: {peer}\r\ncontent-length: 4\r\n\r\n");
                        std::thread::sleep(PAUSE);
                        let _ = stream.write_all(b"body");
                    }
                }
            });
        }
    });
    port
}

/// The same over HTTP/2, with trailers.
fn h2_backend() -> u16 {
    Frames::backend(|mut frames| {
        let peer = frames.stream().peer_addr().unwrap().to_string();
        while let Some(last) =
            frames.until(|f| matches!(f.kind, kind::HEADERS | kind::DATA) && f.flags & flag::END_STREAM != 0)
        {
            std::thread::sleep(PAUSE);
            frames.send(&Frame::headers(last.stream, 0, &[(":status", "200"), ("x-peer", &peer)]));
            std::thread::sleep(PAUSE);
            frames.send(&Frame::new(kind::DATA, 0, last.stream, *b"body"));
            frames.send(&Frame::headers(last.stream, flag::END_STREAM, &[("x-end", "yes")]));
        }
    })
}

static HOUSE: Shared<Proxy> = Shared::new(|| {
    let text = Manifests::new()
        .backend("h1.test", h1_backend(), Version::H1, "")
        .backend("h2.test", h2_backend(), Version::H2, "")
        .backend("dead.test", free_port(), Version::H1, "")
        .text();
    Proxy::builder(&text, &[80]).logging(OPERATORS).start()
});

const PAIRS: [(Version, &str); 4] =
    [(Version::H1, "h1.test"), (Version::H1, "h2.test"), (Version::H2, "h1.test"), (Version::H2, "h2.test")];

fn number(line: &Value, operator: &str) -> u64 {
    let text = line[operator].as_str().unwrap_or_else(|| panic!("{operator} in {line}"));
    text.parse().unwrap_or_else(|_| panic!("{operator}: {text} in {line}"))
}

fn between(line: &Value, from: &str, to: &str) -> Duration {
    Duration::from_micros(number(line, &format!("COMMON_DURATION({from}:{to}:us)")))
}

#[test]
fn times_of_a_get() {
    let proxy = HOUSE.take();
    for (version, host) in PAIRS {
        let path = format!("/times?{version:?}{host}");
        assert_eq!(ask(version, proxy.address(80), &Ask::get(&path).host(host)).whole().status, 200);
        let line = proxy.log_of(&path);
        assert_eq!(
            (&line["REQUEST_DURATION"], between(&line, "DS_RX_BEG", "DS_RX_END")),
            (&"0".into(), Duration::ZERO)
        );
        let (sent, thought) = (between(&line, "US_TX_BEG", "US_TX_END"), between(&line, "US_TX_END", "US_RX_BEG"));
        assert!(sent < PAUSE && thought >= PAUSE, "{line}");
        assert!(between(&line, "US_RX_BEG", "US_RX_BODY_BEG") >= PAUSE * 9 / 10, "{line}");
        assert!(between(&line, "US_RX_BEG", "DS_TX_BEG") < PAUSE, "the head does not wait for the body: {line}");
        assert!(between(&line, "DS_TX_BEG", "DS_TX_END") >= PAUSE * 9 / 10, "{line}");
        assert!(between(&line, "US_RX_BODY_BEG", "US_RX_END") < PAUSE, "{line}");
        let whole = between(&line, "DS_RX_BEG", "DS_TX_END");
        assert!(whole >= PAUSE * 19 / 10 && whole.as_millis() as u64 == number(&line, "DURATION"), "{line}");
        let emitted = number(&line, "EMIT_TIME(%s%3f)") - number(&line, "START_TIME(%s%3f)");
        assert!(emitted.abs_diff(number(&line, "DURATION")) <= 1, "{line}");
        assert!(number(&line, "REQUEST_TX_DURATION") <= number(&line, "RESPONSE_DURATION"), "{line}");
        assert!(number(&line, "COMMON_DURATION(US_CX_BEG:US_CX_END:ns)") > 0, "{line}");
        assert_eq!(line["COMMON_DURATION(US_CX_END:US_HS_END:ns)"], "-", "no TLS");
        assert_eq!(line["UNIQUE_ID"].as_str().unwrap().len(), 36);
    }
}

/// Of a request with content the last byte counts, which is 100 ms late here.
#[test]
fn a_request_lasts_until_its_last_byte() {
    let proxy = HOUSE.take();
    let late = Duration::from_millis(100);
    for host in ["h1.test", "h2.test"] {
        let path = format!("/late?h1{host}");
        let mut wire = Wire::connect(proxy.address(80));
        wire.send(format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 7\r\n\r\ncon"));
        std::thread::sleep(late);
        assert_eq!(wire.send("tent").response(false).unwrap().status, 200);
        let path2 = format!("/late?h2{host}");
        let mut frames = Frames::connect(proxy.address(80));
        let head = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", host),
            (":path", &path2),
            ("content-length", "7"),
        ];
        frames.send(&Frame::headers(1, 0, &head));
        frames.send(&Frame::new(kind::DATA, 0, 1, *b"con"));
        std::thread::sleep(late);
        frames.send(&Frame::new(kind::DATA, flag::END_STREAM, 1, *b"tent"));
        assert_eq!(frames.status(1), Some(200));
        drop(frames.until(|f| f.flags & flag::END_STREAM != 0));
        for path in [path, path2] {
            let line = proxy.log_of(&path);
            assert!(number(&line, "REQUEST_DURATION") >= 95, "{line}");
            assert!(between(&line, "DS_RX_BEG", "DS_RX_END") >= late * 95 / 100, "{line}");
            assert!(between(&line, "US_TX_BEG", "US_TX_END") >= late * 90 / 100, "{line}");
            assert!(between(&line, "US_TX_END", "US_RX_BEG") >= PAUSE * 9 / 10, "{line}");
        }
    }
}

/// The connection to the backend has two ends; the next request on it tells the same, though it began before.
#[test]
fn both_ends_of_the_connection_to_the_backend() {
    let proxy = HOUSE.take();
    for (version, host) in PAIRS {
        let mut client = Client::connect(version, proxy.address(80));
        let mut ends = Vec::new();
        for n in 0..2 {
            let path = format!("/ends?{version:?}{host}{n}");
            assert_eq!(client.ask(&Ask::get(&path).host(host)).whole().status, 200);
            let line = proxy.log_of(&path);
            let local = line["UPSTREAM_LOCAL_ADDRESS"].as_str().unwrap().to_owned();
            assert_eq!(line["RESP(X-PEER)"], local.as_str(), "as the backend sees it");
            assert_eq!(line["UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT"], "127.0.0.1");
            assert_eq!(local, format!("127.0.0.1:{}", number(&line, "UPSTREAM_LOCAL_PORT")));
            let remote = line["UPSTREAM_REMOTE_ADDRESS"].as_str().unwrap();
            assert_eq!(line["UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT"], "127.0.0.1");
            assert_eq!(remote, format!("127.0.0.1:{}", number(&line, "UPSTREAM_REMOTE_PORT")));
            assert_eq!((&line["UPSTREAM_TLS_VERSION"], &line["DOWNSTREAM_PEER_SUBJECT"]), (&"-".into(), &"-".into()));
            ends.push((local, line["COMMON_DURATION(US_CX_BEG:US_CX_END:ns)"].clone()));
            if n == 1 && ends[0].0 == ends[1].0 {
                assert_eq!(ends[0].1, ends[1].1, "of the connection, not of the request");
                assert_eq!(line["COMMON_DURATION(DS_RX_BEG:US_CX_BEG:us)"], "-", "it began before the request");
            }
        }
    }
}

/// Names and values without what a protocol adds: as Envoy counts them, the same over both.
#[test]
fn heads_have_their_sizes() {
    let proxy = HOUSE.take();
    let mut sizes = Vec::new();
    for (version, host) in PAIRS {
        let path = format!("/sizes?{version:?}{host}");
        let mut client = Client::connect(version, proxy.address(80));
        let mut size = |more: usize| {
            let path = format!("{path}{more}");
            let value = "v".repeat(more);
            let wanted =
                Ask::new("POST", &path).host(host).header("x-more", &value).content(Content::Sized("content".into()));
            assert_eq!(client.ask(&wanted).whole().status, 200);
            let line = proxy.log_of(&path);
            let trailers = if host == "h2.test" { "8" } else { "0" };
            assert_eq!(line["RESPONSE_TRAILERS_BYTES"], trailers, "{line}");
            assert!(number(&line, "RESPONSE_HEADERS_BYTES") >= ":status200x-peer127.0.0.1:1".len() as u64, "{line}");
            number(&line, "REQUEST_HEADERS_BYTES")
        };
        let (one, other) = (size(100), size(600));
        assert_eq!(other - one, 500, "{version:?} {host}");
        sizes.push(one);
    }
    assert!(sizes.iter().all(|size| *size == sizes[0]), "{sizes:?}");
}

#[test]
fn answers_of_the_proxy_itself() {
    let proxy = HOUSE.take();
    for version in [Version::H1, Version::H2] {
        let path = format!("/own?{version:?}");
        let answer = ask(version, proxy.address(80), &Ask::get(&path).host("dead.test")).whole();
        let line = proxy.log_of(&path);
        assert_eq!((answer.status, line["LOCAL_REPLY_BODY"].as_str()), (503, Some(answer.text().as_str())));
        assert!(answer.text().contains("remote connection failure"));
        assert_eq!(line["UPSTREAM_LOCAL_ADDRESS"], "-");
        assert!(between(&line, "DS_TX_BEG", "DS_TX_END") < PAUSE, "{line}");
        // The next request on a worker has nothing of it.
        let path = format!("/after?{version:?}");
        assert_eq!(ask(version, proxy.address(80), &Ask::get(&path).host("h1.test")).whole().status, 200);
        assert_eq!(proxy.log_of(&path)["LOCAL_REPLY_BODY"], "-");
    }
    // A head that is refused was never received whole; its path is not known.
    let refused = fairlead_testkit::exchange(proxy.address(80), "GET /refused HTTP/1.1\r\n\r\n").unwrap();
    let line = proxy.log_line("the refused head", |line| line["x-envoy-origin-path"] == "-");
    assert_eq!((refused.status, &line["REQUEST_DURATION"]), (400, &"-".into()), "{line}");
}
