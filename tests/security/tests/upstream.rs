//! Hostile backends: responses that could be split, smuggled or read in two ways never reach a client as if they were good, and what a
//! backend sends too much is never taken for the answer to somebody else's request.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::io::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use fairlead_test_security::manifests;
use fairlead_testkit::frames::{Frame, Frames, flag, hpack_field, kind};
use fairlead_testkit::{Act, Ask, Backend, Client, End, Proxy, Version, Wire, ask};

/// What a client must see of a response.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    /// 502: nothing of it.
    Refused,
    /// A response that is visibly cut off, or 502.
    Cut,
    /// This status and content.
    Whole(u16, &'static str),
}

use Seen::{Cut, Refused, Whole};

/// `~` is the status line.
#[rustfmt::skip]
const CASES: &[(&str, &str, Seen)] = &[
    // Heads.
    ("no status line", "hello\r\n\r\n", Refused),
    ("HTTP/0.9", "<html>hello</html>", Refused),
    ("HTTP/2.0", "HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n", Refused),
    ("HTTP/1.2", "HTTP/1.2 200 OK\r\ncontent-length: 0\r\n\r\n", Refused),
    ("status of two digits", "HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n", Refused),
    ("status of four digits", "HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n", Refused),
    ("status 099", "HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n", Refused),
    ("status with letters", "HTTP/1.1 2oo OK\r\ncontent-length: 0\r\n\r\n", Refused),
    ("status -20", "HTTP/1.1 -20 OK\r\ncontent-length: 0\r\n\r\n", Refused),
    ("two spaces before the status", "HTTP/1.1  200 OK\r\ncontent-length: 0\r\n\r\n", Refused),
    ("status line ended by LF", "HTTP/1.1 200 OK\ncontent-length: 0\r\n\r\n", Refused),
    ("all lines ended by LF", "HTTP/1.1 200 OK\ncontent-length: 0\n\n", Refused),
    ("head ended by LF", "~content-length: 0\r\n\n", Refused),
    ("empty line first", "\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Refused),
    ("control in the reason", "HTTP/1.1 200 O\x01K\r\ncontent-length: 0\r\n\r\n", Refused),
    ("CR in the reason", "HTTP/1.1 200 O\rK\r\ncontent-length: 0\r\n\r\n", Refused),
    ("NUL in a value", "~x: a\0b\r\ncontent-length: 0\r\n\r\n", Refused),
    ("CR in a value", "~x: a\rb\r\ncontent-length: 0\r\n\r\n", Refused),
    ("LF in a value", "~x: a\nset-cookie: evil=1\r\ncontent-length: 0\r\n\r\n", Refused),
    ("control in a value", "~x: \x02\r\ncontent-length: 0\r\n\r\n", Refused),
    ("obs-fold", "~x: a\r\n b\r\ncontent-length: 0\r\n\r\n", Refused),
    ("space before colon", "~content-length : 0\r\n\r\n", Refused),
    ("name with space", "~x y: z\r\ncontent-length: 0\r\n\r\n", Refused),
    ("empty name", "~: z\r\ncontent-length: 0\r\n\r\n", Refused),
    ("no colon", "~xyz\r\ncontent-length: 0\r\n\r\n", Refused),
    // Framing.
    ("CL and TE", "~content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", Refused),
    ("TE and CL", "~transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n", Refused),
    ("two CL", "~content-length: 5\r\ncontent-length: 6\r\n\r\nhello", Refused),
    ("two equal CL", "~content-length: 5\r\ncontent-length: 5\r\n\r\nhello", Refused),
    ("CL list", "~content-length: 5, 5\r\n\r\nhello", Refused),
    ("CL plus", "~content-length: +5\r\n\r\nhello", Refused),
    ("CL minus", "~content-length: -5\r\n\r\nhello", Refused),
    ("CL words", "~content-length: five\r\n\r\nhello", Refused),
    ("CL empty", "~content-length:\r\n\r\nhello", Refused),
    ("CL over u64", "~content-length: 18446744073709551621\r\n\r\nhello", Refused),
    ("TE unknown", "~transfer-encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Refused),
    ("TE gzip, chunked", "~transfer-encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Refused),
    ("TE identity", "~transfer-encoding: identity\r\n\r\nhello", Refused),
    ("TE twice", "~transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", Refused),
    ("TE on HTTP/1.0", "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", Refused),
    ("204 with TE", "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Refused),
    ("204 with CL", "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello", Refused),
    ("100 with CL", "HTTP/1.1 100 Continue\r\ncontent-length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Refused),
    ("101 unasked", "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nraw", Refused),
    // Chunks, after the head went on.
    ("chunk size no number", "~transfer-encoding: chunked\r\n\r\nx\r\nhello\r\n0\r\n\r\n", Cut),
    ("chunk size 0x5", "~transfer-encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", Cut),
    ("chunk size over u64", "~transfer-encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n", Cut),
    ("chunk size ended by LF", "~transfer-encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n", Cut),
    ("chunk longer than its size", "~transfer-encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n", Cut),
    ("chunk extension with LF", "~transfer-encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n", Cut),
    ("last chunk ended by LF", "~transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\n\n", Cut),
    ("trailer without colon", "~transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx\r\n\r\n", Cut),
    ("trailer with LF", "~transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: y\nset-cookie: evil\r\n\r\n", Cut),
    ("no last chunk", "~transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", Cut),
    ("content shorter than CL", "~content-length: 10\r\n\r\nhello", Cut),
    // What is good, and surplus.
    ("surplus after CL", "~content-length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", Whole(200, "hello")),
    ("surplus after chunks", "~transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", Whole(200, "hello")),
    ("surplus after 304", "HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", Whole(304, "")),
    ("surplus after 204", "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", Whole(204, "")),
    ("forbidden trailers", "~transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nset-cookie: evil\r\ncontent-length: 3\r\n\r\n", Whole(200, "hello")),
    ("until the end", "~\r\nhello", Whole(200, "hello")),
];

fn script(request: &fairlead_testkit::Request) -> Act {
    let number = request.path().trim_start_matches("/case-").parse::<usize>();
    match number.ok().and_then(|n| CASES.get(n)) {
        // Without an end of the connection where it does not belong to the case: surplus must be found without.
        Some((name, text, _)) if name.starts_with("surplus") => Act::Answer(status_line(text)),
        Some((_, text, _)) => Act::Close(status_line(text)),
        None => Act::ok("good"),
    }
}

fn status_line(text: &str) -> Vec<u8> {
    match text.strip_prefix('~') {
        Some(rest) => [b"HTTP/1.1 200 OK\r\n", rest.as_bytes()].concat(),
        None => text.as_bytes().to_vec(),
    }
}

#[test]
fn bad_responses_are_not_passed_on() {
    let backend = Backend::start(script);
    let proxy = Proxy::serve(&manifests(backend.address.port(), false), &[80]);
    let mut wrong = Vec::new();
    for version in [Version::H1, Version::H2] {
        let mut client = Client::connect(version, proxy.address(80));
        for (n, (name, _, expected)) in CASES.iter().enumerate() {
            let reply = ask(version, proxy.address(80), &Ask::get(&format!("/case-{n}")));
            let answer = &reply.answer;
            let right = match (*expected, reply.end) {
                (Refused, End::Complete) => answer.status == 502 && answer.header("set-cookie").is_none(),
                (Cut, End::Complete) => answer.status == 502,
                (Cut, end) => end != End::Silent,
                (Whole(status, text), End::Complete) => {
                    answer.status == status && answer.text() == text && answer.trailers.is_empty()
                }
                _ => false,
            };
            if !right {
                wrong.push(format!("{version:?} {name}: {reply:?}"));
            }
            // The next request gets its own answer.
            let reply = client.ask(&Ask::get("/good"));
            if reply.answer.text() != "good" {
                wrong.push(format!("{version:?} after {name}: {reply:?}"));
                client = Client::connect(version, proxy.address(80));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// A response before any request: the connection is not used.
#[test]
fn unasked_responses_are_nobodys() {
    let backend = Backend::start(|request| match request.path() {
        // The surplus comes later, while the connection waits in the pool.
        "/poison" => Act::Answer(
            b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngoodHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"
                .to_vec(),
        ),
        _ => Act::ok("good"),
    });
    let proxy = Proxy::serve(&manifests(backend.address.port(), false), &[80]);
    let mut wire = Wire::connect(proxy.address(80));
    for n in 0..20 {
        assert_eq!(wire.get("test", "/poison").text(), "good", "{n}");
        assert_eq!(wire.get("test", &format!("/{n}")).text(), "good", "{n}");
    }
}

#[test]
fn large_and_many_fields_are_refused() {
    let fields: String = (0..200).map(|n| format!("x-{n}: v\r\n")).collect();
    let large = format!("x: {}\r\n", "v".repeat(70_000));
    let endless = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".repeat(1000);
    let trailers = format!("x: {}\r\n", "v".repeat(20_000));
    let backend = Backend::start(move |request| {
        Act::Close(match request.path() {
            "/many" => format!("HTTP/1.1 200 OK\r\n{fields}content-length: 0\r\n\r\n").into_bytes(),
            "/large" => format!("HTTP/1.1 200 OK\r\n{large}content-length: 0\r\n\r\n").into_bytes(),
            "/interim" => endless.clone().into_bytes(),
            _ => format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n{trailers}\r\n").into_bytes(),
        })
    });
    let proxy = Proxy::serve(&manifests(backend.address.port(), false), &[80]);
    for version in [Version::H1, Version::H2] {
        for path in ["/many", "/large", "/interim"] {
            let reply = ask(version, proxy.address(80), &Ask::get(path));
            assert_eq!((reply.answer.status, reply.end), (502, End::Complete), "{version:?} {path}");
        }
        let reply = ask(version, proxy.address(80), &Ask::get("/trailers"));
        assert!(reply.end != End::Complete || reply.answer.status == 502, "{version:?} {reply:?}");
    }
}

/// A backend of HTTP/2 frames; `serve` gets the connection and the stream of the first request.
fn frames(serve: impl Fn(&mut Frames, u32) + Send + Sync + 'static) -> Proxy {
    let port = Frames::backend(move |mut frames| {
        while let Some(head) = frames.until(|f| f.kind == kind::HEADERS) {
            serve(&mut frames, head.stream);
        }
    });
    Proxy::serve(&manifests(port, true), &[80])
}

/// What is let through today, and why.
const KNOWN: &[(&str, &str)] = &[(
    "pseudo field of requests",
    "the h2 crate drops :path from a response instead of calling it malformed (RFC 9113 §8.3.2); nothing of it is passed on",
)];

#[test]
fn bad_responses_of_http2_are_not_passed_on() {
    type Block = Vec<u8>;
    let status = || hpack_field(b":status", b"200");
    let cases: Vec<(&str, Block)> = vec![
        ("no status", hpack_field(b"x", b"y")),
        ("two statuses", [status(), status()].concat()),
        ("status with letters", hpack_field(b":status", b"2oo")),
        ("status 99", hpack_field(b":status", b"099")),
        ("pseudo field of requests", [status(), hpack_field(b":path", b"/")].concat()),
        ("unknown pseudo field", [status(), hpack_field(b":x", b"y")].concat()),
        ("CR LF in a value", [status(), hpack_field(b"x", b"y\r\nset-cookie: evil")].concat()),
        ("LF in a value", [status(), hpack_field(b"x", b"y\nset-cookie: evil")].concat()),
        ("NUL in a value", [status(), hpack_field(b"x", b"\0")].concat()),
        ("CR LF in a name", [status(), hpack_field(b"x\r\nset-cookie", b"evil")].concat()),
        ("colon in a name", [status(), hpack_field(b"x:y", b"z")].concat()),
        ("upper-case name", [status(), hpack_field(b"X", b"y")].concat()),
        ("transfer-encoding", [status(), hpack_field(b"transfer-encoding", b"chunked")].concat()),
        ("connection", [status(), hpack_field(b"connection", b"close")].concat()),
        ("odd length", [status(), hpack_field(b"content-length", b"+5")].concat()),
        (
            "two lengths",
            [status(), hpack_field(b"content-length", b"5"), hpack_field(b"content-length", b"6")].concat(),
        ),
        ("101", hpack_field(b":status", b"101")),
    ];
    let mut wrong = Vec::new();
    for (name, block) in cases {
        let proxy = frames(move |frames, stream| {
            frames.send(&Frame::new(kind::HEADERS, flag::END_HEADERS, stream, block.clone()));
            frames.send(&Frame::new(kind::DATA, flag::END_STREAM, stream, *b"hello"));
        });
        for version in [Version::H1, Version::H2] {
            let reply = ask(version, proxy.address(80), &Ask::get("/"));
            let refused = matches!(reply.answer.status, 502 | 503) || reply.end != End::Complete;
            let wrong_now = !refused || reply.end == End::Silent || reply.answer.header("set-cookie").is_some();
            let known = KNOWN.iter().any(|(known, _)| *known == name);
            if wrong_now != known {
                wrong.push(format!(
                    "{version:?} {name}{}: {reply:?}",
                    if known { ", fixed: take it out of KNOWN" } else { "" }
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Floods from a backend end its connection, or are borne; the proxy goes on, and does not grow.
#[test]
fn floods_of_a_backend_are_bounded() {
    let trailers = Frame::new(kind::HEADERS, flag::END_STREAM, 1, hpack_field(b"x", b"y")).bytes();
    let goaway = [0, 0, 0, 1, 0, 0, 0, 0];
    let cases: Vec<(&str, Vec<u8>, Frame)> = vec![
        ("ping", vec![], Frame::new(kind::PING, 0, 0, [0; 8])),
        ("settings", vec![], Frame::new(kind::SETTINGS, 0, 0, [])),
        ("empty data", vec![], Frame::new(kind::DATA, 0, 1, [])),
        ("data of one byte", vec![], Frame::new(kind::DATA, 0, 1, *b"x")),
        ("window update", vec![], Frame::window(0, 1)),
        ("priority", vec![], Frame::new(kind::PRIORITY, 0, 1, [0, 0, 0, 3, 0])),
        ("goaway", vec![], Frame::new(kind::GOAWAY, 0, 0, goaway)),
        ("resets of nothing", vec![], Frame::reset(1, 8)),
        ("trailers without end", trailers, Frame::new(kind::CONTINUATION, 0, 1, hpack_field(b"x", b"y"))),
        ("unknown", vec![], Frame::new(0xee, 0, 1, [0; 64])),
    ];
    for (name, first, frame) in cases {
        let flood = frame.bytes().repeat(1000);
        let proxy = frames(move |frames, stream| {
            frames.send(&Frame::headers(stream, 0, &[(":status", "200")]));
            frames.bytes(&first);
            for _ in 0..200 {
                if !frames.bytes(&flood) {
                    break;
                }
            }
            frames.send(&Frame::new(kind::DATA, flag::END_STREAM, stream, *b"hello"));
        });
        let before = proxy.process.memory();
        let start = Instant::now();
        let reply = ask(Version::H2, proxy.address(80), &Ask::get("/"));
        assert!(reply.end != End::Silent, "{name}");
        assert!(start.elapsed() < Duration::from_secs(14), "{name}");
        let grown = proxy.process.memory().saturating_sub(before);
        assert!(grown < 20 << 10, "{name}: the proxy grew by {grown} KiB");
        assert_eq!(proxy.admin_get("/ready").trim(), "LIVE", "{name}");
    }
}

#[test]
fn pushes_are_refused() {
    let proxy = frames(|frames, stream| {
        let mut promise = 2u32.to_be_bytes().to_vec();
        promise.extend(fairlead_testkit::frames::hpack(&fairlead_testkit::frames::get("/pushed")));
        frames.send(&Frame::new(kind::PUSH_PROMISE, flag::END_HEADERS, stream, promise));
        frames.send(&Frame::headers(stream, flag::END_STREAM, &[(":status", "200")]));
    });
    let reply = ask(Version::H2, proxy.address(80), &Ask::get("/"));
    assert!(matches!(reply.answer.status, 502 | 503), "we said that we take none: {reply:?}");
}

/// Answers to copies of requests are dropped as they come, however long they are (CVE-2024-34364).
#[test]
fn mirrors_without_end_are_not_collected() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000000\r\n\r\n");
                while stream.write_all(&[b'x'; 1 << 16]).is_ok() {}
            });
        }
    });
    let backend = Backend::answering();
    let filter = "    - filters: [{type: RequestMirror, requestMirror: {backendRef: {group: fairlead.dev, kind: Backend, name: mirror}}}]\n      \
                  backendRefs";
    let text = manifests(backend.address.port(), false).replace("    - backendRefs", filter);
    let mirror = format!(
        "---\napiVersion: fairlead.dev/v1alpha1\nkind: Backend\nmetadata: {{name: mirror}}\nspec:\n  \
         endpoints: [{{ip: {{address: 127.0.0.1, port: {port}}}}}]\n"
    );
    let proxy = Proxy::serve(&(text + &mirror), &[80]);
    let mut wire = Wire::connect(proxy.address(80));
    assert_eq!(wire.get("test", "/").text(), "ok");
    let before = proxy.process.memory();
    for n in 0..5 {
        let start = Instant::now();
        assert_eq!(wire.get("test", &format!("/{n}")).text(), "ok");
        assert!(start.elapsed() < Duration::from_secs(2), "{n}: {:?}", start.elapsed());
        std::thread::sleep(Duration::from_millis(200));
    }
    let grown = proxy.process.memory().saturating_sub(before);
    assert!(grown < 16 << 10, "the proxy has grown by {grown} KiB");
}
