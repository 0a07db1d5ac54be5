//! RFC 9112: HTTP/1.1 on the wire, byte by byte.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use fairlead_test_protocol::pattern;
use fairlead_testkit::frames::{Frame, Frames, kind};
use fairlead_testkit::{
    Act, Ask, Backend, Content, Echo, End, Manifests, Proxy, Request, Shared, Version, Wire, ask, wait_until,
};

struct House {
    proxy: Proxy,
    script: Backend,
    _echo: Echo,
}

static HOUSE: Shared<House> = Shared::new(|| {
    let echo = Echo::start("one");
    let script = Backend::start(act);
    let manifests = Manifests::new().backend("echo.test", echo.port(), Version::H1, "").backend(
        "script.test",
        script.address.port(),
        Version::H1,
        "",
    );
    House { proxy: Proxy::serve(&manifests.text(), &[80]), script, _echo: echo }
});

/// Responses as backends of all ages send them.
fn act(request: &Request) -> Act {
    let path = request.path().split('?').next().unwrap_or_default();
    match path {
        "/until-close" => Act::Close(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nuntil the end".to_vec()),
        "/http10" => Act::Close(b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello".to_vec()),
        "/http10-until-close" => Act::Close(b"HTTP/1.0 200 OK\r\n\r\nhello".to_vec()),
        "/close" => Act::Close(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello".to_vec()),
        "/chunked" => Act::Answer(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n003\r\nllo\r\n0\r\nx-t: v\r\n\r\n".to_vec()),
        "/no-reason" => Act::Answer(b"HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok".to_vec()),
        "/many-interim" => Act::Answer(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec(),
        ),
        "/304-length" => Act::Answer(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 1234\r\netag: \"x\"\r\n\r\n".to_vec()),
        _ => Act::ok(&format!("{} {}", request.method(), request.path())),
    }
}

fn get(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

#[test]
fn responses_of_all_ages_arrive() {
    let house = HOUSE.take();
    for version in [Version::H1, Version::H2] {
        for (path, body) in [
            ("/until-close", "until the end"),
            ("/http10", "hello"),
            ("/http10-until-close", "hello"),
            ("/close", "hello"),
            ("/chunked", "hello"),
            ("/no-reason", "ok"),
            ("/many-interim", "ok"),
        ] {
            let reply = ask(version, house.proxy.address(80), &Ask::get(path).host("script.test"));
            assert_eq!(reply.end, End::Complete, "{version:?} {path}");
            assert_eq!((reply.answer.status, reply.answer.text()), (200, body.to_owned()), "{version:?} {path}");
            assert_eq!(reply.answer.header("connection"), None, "{version:?} {path}: the client's connection lives on");
        }
        let reply = ask(version, house.proxy.address(80), &Ask::get("/304-length").host("script.test"));
        assert_eq!((reply.answer.status, reply.answer.header("content-length")), (304, Some("1234")), "{version:?}");
    }
}

#[test]
fn interim_responses_pass_in_order_and_only_what_was_asked_for() {
    let house = HOUSE.take();
    for version in [Version::H1, Version::H2] {
        let reply = ask(version, house.proxy.address(80), &Ask::get("/many-interim").host("script.test"));
        let statuses: Vec<u16> = reply.interim.iter().map(|a| a.status).collect();
        assert_eq!(statuses, [100, 103, 102], "{version:?}");
        assert_eq!(reply.interim[1].header("link"), Some("</a>"), "{version:?}");
    }
    let mut old = Wire::connect(house.proxy.address(80));
    old.send("GET /many-interim HTTP/1.0\r\nHost: script.test\r\n\r\n");
    assert_eq!(old.response(false).unwrap().status, 200, "HTTP/1.0 knows no interim responses");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let house = HOUSE.take();
    let mut wire = Wire::connect(house.proxy.address(80));
    let mut all = String::new();
    for n in 0..50 {
        let body = "x".repeat(n);
        all += &format!("POST /{n} HTTP/1.1\r\nHost: script.test\r\nContent-Length: {n}\r\n\r\n{body}");
        all += &format!(
            "PUT /c{n} HTTP/1.1\r\nHost: script.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        );
        all += &get("script.test", &format!("/g{n}"));
    }
    wire.send(all);
    for n in 0..50 {
        for expected in [format!("POST /{n}"), format!("PUT /c{n}"), format!("GET /g{n}")] {
            assert_eq!(wire.response(false).expect(&expected).text(), expected);
        }
    }
}

#[test]
fn pipelining_survives_slow_answers() {
    let house = HOUSE.take();
    let mut wire = Wire::connect(house.proxy.address(80));
    wire.send(get("echo.test", "/a?delay=200ms") + &get("echo.test", "/b") + &get("echo.test", "/c?delay=50ms"));
    for path in ["/a?delay=200ms", "/b", "/c?delay=50ms"] {
        assert_eq!(wire.response(false).unwrap().json()["path"], path);
    }
}

#[test]
fn requests_in_single_bytes() {
    let house = HOUSE.take();
    let mut wire = Wire::connect(house.proxy.address(80));
    for byte in "POST /x/echo-body HTTP/1.1\r\nHost: echo.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\nA;e=\"q\"\r\n0123456789\r\n0\r\nx: y\r\n\r\n".bytes() {
        wire.send([byte]);
        std::thread::sleep(Duration::from_micros(200));
    }
    assert_eq!(wire.response(false).unwrap().text(), "abcd0123456789");
}

#[test]
fn connection_close_is_honoured_and_announced() {
    let house = HOUSE.take();
    for value in ["close", "Close", "x, close", "keep-alive, close"] {
        let mut wire = Wire::connect(house.proxy.address(80));
        wire.send(format!(
            "GET / HTTP/1.1\r\nHost: script.test\r\nConnection: {value}\r\n\r\n{}",
            get("script.test", "/never")
        ));
        let answer = wire.response(false).unwrap();
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "{value}");
        assert!(wire.is_closed_within(Duration::from_secs(2)), "{value}");
    }
    assert!(house.script.seen().requests.iter().all(|r| r.path() != "/never"));
}

#[test]
fn absolute_targets_name_the_host() {
    let house = HOUSE.take();
    let mut wire = Wire::connect(house.proxy.address(80));
    wire.send("GET http://echo.test/abs?x=1 HTTP/1.1\r\nHost: echo.test\r\n\r\n");
    let json = wire.response(false).unwrap().json();
    assert_eq!((json["path"].as_str(), json["host"].as_str()), (Some("/abs?x=1"), Some("echo.test")));
    wire.send("GET http://ECHO.test HTTP/1.1\r\nHost: echo.test:80\r\n\r\n");
    assert_eq!(wire.response(false).unwrap().json()["path"], "/");
}

#[test]
fn expect_is_answered_when_the_content_is_wanted() {
    let house = HOUSE.take();
    let host = "echo.test";
    let mut wire = Wire::connect(house.proxy.address(80));
    wire.send(format!(
        "POST /x/echo-body HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    ));
    assert_eq!(wire.response(false).unwrap().status, 100, "{host}");
    wire.send("hello");
    assert_eq!(wire.response(false).unwrap().text(), "hello", "{host}");
    // And the connection goes on.
    assert_eq!(wire.get(host, "/").status, 200, "{host}");
    // The content may come without waiting.
    let mut wire = Wire::connect(house.proxy.address(80));
    wire.send(
        "POST /x/echo-body HTTP/1.1\r\nHost: echo.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    );
    let first = wire.response(false).unwrap();
    let answer = if first.status == 100 { wire.response(false).unwrap() } else { first };
    assert_eq!(answer.text(), "hello");
}

#[test]
fn expect_without_a_route_gets_the_final_answer_and_no_continue() {
    let house = HOUSE.take();
    let mut wire = Wire::connect(house.proxy.address(80));
    wire.send("POST / HTTP/1.1\r\nHost: nobody.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let answer = wire.response(false).unwrap();
    assert_eq!((answer.status, answer.header("connection")), (404, Some("close")));
    let mut wire = Wire::connect(house.proxy.address(80));
    wire.send("POST / HTTP/1.1\r\nHost: echo.test\r\nExpect: a-miracle\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(wire.response(false).unwrap().status, 417);
}

#[test]
fn an_answer_before_the_end_of_the_request_ends_the_connection() {
    let house = HOUSE.take();
    let mut wire = Wire::connect(house.proxy.address(80));
    wire.send("POST / HTTP/1.1\r\nHost: nobody.test\r\nContent-Length: 5\r\n\r\nhe");
    let answer = wire.response(false).unwrap();
    assert_eq!((answer.status, answer.header("connection")), (404, Some("close")));
}

#[test]
fn upstream_connections_are_reused_when_they_may() {
    let script = Backend::start(|request| match request.path() {
        "/close" => Act::Close(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec()),
        _ => Act::ok("ok"),
    });
    let text = Manifests::new().backend("own.test", script.address.port(), Version::H1, "").text();
    let proxy = Proxy::serve(&text, &[80]);
    let mut wire = Wire::connect(proxy.address(80));
    for n in 0..20 {
        assert_eq!(wire.get("own.test", &format!("/{n}")).status, 200);
    }
    assert_eq!(script.seen().connections, 1);
    assert_eq!(wire.get("own.test", "/close").status, 200);
    assert_eq!(wire.get("own.test", "/after").status, 200);
    assert_eq!(script.seen().connections, 2);
}

#[test]
fn a_client_that_goes_away_takes_its_backend_request_along() {
    // A backend that tells when its connection ends.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = Proxy::serve(&Manifests::new().backend("slow.test", port, Version::H1, "").text(), &[80]);
    for half in [false, true] {
        let mut client = Wire::connect(proxy.address(80));
        client.send(get("slow.test", "/wait"));
        let (mut upstream, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        assert!(upstream.read(&mut head).unwrap() > 0);
        let start = Instant::now();
        // A client that ends its direction counts as gone, as with Envoy.
        if half {
            client.finish();
        } else {
            drop(client);
        }
        upstream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let end = upstream.read(&mut head);
        assert!(
            matches!(end, Ok(0)) || end.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset),
            "half {half}"
        );
        assert!(start.elapsed() < Duration::from_secs(2), "half {half}");
    }
    let line = proxy.log_of("/wait");
    assert_eq!((line["response_code"].as_u64(), line["response_flags"].as_str()), (Some(0), Some("DC")));
    assert_eq!(line["response_code_details"], "downstream_remote_disconnect");
}

#[test]
fn a_client_that_breaks_off_its_content_leaves_no_complete_request() {
    let script = Backend::answering();
    let proxy =
        Proxy::serve(&Manifests::new().backend("own.test", script.address.port(), Version::H1, "").text(), &[80]);
    for (n, head) in [
        "Content-Length: 100\r\n\r\n12345",
        "Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
        "Transfer-Encoding: chunked\r\n\r\nff\r\n12345",
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = Wire::connect(proxy.address(80));
        client.send(format!("POST /broken HTTP/1.1\r\nHost: own.test\r\n{head}"));
        wait_until(Duration::from_secs(5), "a connection", || (script.seen().connections > n).then_some(()));
        std::thread::sleep(Duration::from_millis(100));
        drop(client);
    }
    wait_until(Duration::from_secs(5), "three broken requests", || (script.seen().partial.len() == 3).then_some(()));
    let seen = script.seen();
    assert_eq!((seen.requests.len(), seen.malformed.len()), (0, 0), "{seen:?}");
}

/// A response of 1 GiB to a client that reads nothing: the proxy's memory stays where it is.
#[test]
fn a_slow_reader_holds_the_backend_back() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = Proxy::serve(&Manifests::new().backend("flood.test", port, Version::H1, "").text(), &[80]);
    let before = proxy.process.memory();
    let mut client = Wire::connect(proxy.address(80));
    client.send(get("flood.test", "/"));
    let (mut upstream, _) = listener.accept().unwrap();
    upstream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    upstream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n").unwrap();
    let piece = vec![b'x'; 1 << 20];
    let mut sent = 0usize;
    while sent < 1 << 30 {
        match upstream.write(&piece) {
            Ok(n) => sent += n,
            Err(_) => break,
        }
    }
    assert!(sent < 64 << 20, "the backend could send {sent} bytes");
    let grown = proxy.process.memory().saturating_sub(before);
    assert!(grown < 8 << 10, "the proxy grew by {grown} KiB");
}

/// The same the other way: a backend that does not read.
#[test]
fn a_slow_backend_holds_the_client_back() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = Proxy::serve(&Manifests::new().backend("flood.test", port, Version::H1, "").text(), &[80]);
    let before = proxy.process.memory();
    let mut client = Wire::connect(proxy.address(80));
    client.send("POST / HTTP/1.1\r\nHost: flood.test\r\nContent-Length: 1073741824\r\n\r\n");
    let (_upstream, _) = listener.accept().unwrap();
    let mut stream = client.stream().try_clone().unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let piece = vec![b'x'; 1 << 20];
    let mut sent = 0usize;
    while sent < 1 << 30 {
        match stream.write(&piece) {
            Ok(n) => sent += n,
            Err(_) => break,
        }
    }
    assert!(sent < 64 << 20, "the client could send {sent} bytes");
    let grown = proxy.process.memory().saturating_sub(before);
    assert!(grown < 8 << 10, "the proxy grew by {grown} KiB");
}

#[test]
fn large_content_passes_in_both_directions_at_once() {
    let house = HOUSE.take();
    let data = pattern(20_000_000);
    let reply = ask(
        Version::H1,
        house.proxy.address(80),
        &Ask::new("POST", "/x/echo-body").host("echo.test").content(Content::Sized(data.clone())),
    );
    assert!(reply.whole().body == data);
}

/// The default timeout of 15 s is one for answers: a slow upload may take longer.
#[test]
fn a_slow_upload_is_no_timeout() {
    let house = HOUSE.take();
    let uploads = [Version::H1, Version::H2].map(|version| {
        let address = house.proxy.address(80);
        std::thread::spawn(move || match version {
            Version::H1 => {
                let mut wire = Wire::connect(address);
                wire.send("POST /x/sink HTTP/1.1\r\nHost: echo.test\r\nContent-Length: 17\r\n\r\n");
                for _ in 0..17 {
                    std::thread::sleep(Duration::from_secs(1));
                    wire.send("x");
                }
                wire.response(false).map_or(0, |answer| answer.status)
            }
            Version::H2 => {
                let mut frames = Frames::connect(address);
                let head =
                    [(":method", "POST"), (":scheme", "http"), (":authority", "echo.test"), (":path", "/x/sink")];
                frames.send(&Frame::headers(1, 0, &head));
                for n in 1..18 {
                    std::thread::sleep(Duration::from_secs(1));
                    frames.send(&Frame::new(kind::DATA, u8::from(n == 17), 1, *b"x"));
                }
                frames.status(1).unwrap_or(0)
            }
        })
    });
    assert_eq!(uploads.map(|upload| upload.join().unwrap()), [200, 200]);
}
