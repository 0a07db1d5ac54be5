use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::task::spawn_local;

use super::*;
use crate::leg::harness::{content, finish, pair, read_all, request, response, run, write_all};
use crate::{Error, ErrorKind, Framing, Known, Leg, Limits, RequestHead};

type RawSender = ::h2::client::SendRequest<Bytes>;

async fn raw_client(stream: TcpStream) -> RawSender {
    let (sender, connection) = ::h2::client::handshake(stream).await.unwrap();
    spawn_local(connection);
    sender
}

async fn accept(server: &mut Server, head: &mut RequestHead) -> Option<Result<server::Accepted, Error>> {
    poll_fn(|cx| server.poll_request(cx, head, &Limits { max_headers: 5, max_target_bytes: 30, ..Limits::default() }))
        .await
}

/// What a server makes of a request: one line, or status and details, or how the stream ends.
fn verdict(request: http::Request<()>) -> String {
    let mut verdict = String::new();
    run(async {
        let (client, server) = pair().await;
        let mut server = spawn_server(server);
        let mut sender = raw_client(client).await;
        let (response, _stream) = sender.send_request(request, true).unwrap();
        verdict = tokio::select! {
            biased;
            v = server.recv() => v.unwrap(),
            r = response => format!("{:?}", r.map(|r| r.status()).map_err(|e| e.reason())),
        };
    });
    verdict
}

fn spawn_server(stream: TcpStream) -> tokio::sync::mpsc::Receiver<String> {
    let (tell, told) = tokio::sync::mpsc::channel(1);
    spawn_local(async move {
        let mut server = serve(stream.into(), &ServerSettings::default()).await.unwrap();
        let mut head = RequestHead::new();
        while let Some(Ok(accepted)) = accept(&mut server, &mut head).await {
            let text = |b: &[u8]| b.escape_ascii().to_string();
            let line = match accepted.framing {
                Err(r) => format!("{} {}", r.status, r.details),
                Ok(framing) => format!(
                    "{} {} {} {:?} {framing:?}{}",
                    text(head.method_bytes()),
                    text(head.authority()),
                    text(head.path_and_query()),
                    head.fields,
                    if head.upgrade.is_some() { " upgrade" } else { "" }
                ),
            };
            let _ = tell.send(line).await;
        }
    });
    told
}

fn get(uri: &str, list: &[(&'static str, &str)]) -> http::Request<()> {
    let mut builder = http::Request::builder().uri(uri).version(http::Version::HTTP_2);
    for (n, v) in list {
        builder = builder.header(*n, *v);
    }
    builder.body(()).unwrap()
}

#[test]
fn requests() {
    for (name, request, expected) in [
        ("plain", get("http://a:8080/x?y", &[("x-a", "b")]), "GET a:8080 /x?y [x-a: b] Empty"),
        ("same host", get("http://a/", &[("host", "A:80")]), "GET a / [] Empty"),
        (
            "crumbs",
            get("http://a/", &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")]),
            "GET a / [x: y, cookie: a=1; b=2] Empty",
        ),
        ("te", get("http://a/", &[("te", "trailers")]), "GET a / [te: trailers] Empty"),
        ("length 0", get("http://a/", &[("content-length", "0")]), "GET a / [content-length: 0] Length(0)"),
        ("other host", get("http://a/", &[("host", "b")]), "400 http2.host_mismatch"),
        ("two hosts", get("http://a/", &[("host", "a"), ("host", "a")]), "400 http2.several_hosts"),
        ("user", get("http://u@a/", &[]), "400 http2.invalid_authority"),
        ("odd host", get("http://a;b/", &[]), "400 http2.invalid_authority"),
        ("underscore", get("http://a/", &[("x_y", "z")]), "400 http2.unexpected_underscore"),
        (
            "underscore in gRPC's metadata",
            get("http://a/", &[("x_y", "z"), ("content-type", "application/grpc+proto")]),
            "GET a / [x_y: z, content-type: application/grpc+proto] Empty",
        ),
        (
            "underscore in what looks like gRPC",
            get("http://a/", &[("x_y", "z"), ("content-type", "application/grpc-web")]),
            "400 http2.unexpected_underscore",
        ),
        ("space around a value", get("http://a/", &[("x", " y")]), "400 http2.invalid_header_value"),
        ("expectation", get("http://a/", &[("expect", "x")]), "417 http2.invalid_expectation"),
        (
            "too many",
            get("http://a/", &[("a", ""), ("b", ""), ("c", ""), ("d", ""), ("e", ""), ("f", "")]),
            "431 http2.too_many_headers",
        ),
        ("long target", get("http://a/0123456789012345678901234567890", &[]), "414 http2.target_too_long"),
        ("backslash", get("http://a/b\\c", &[]), "400 http2.invalid_path"),
        (
            "two equal lengths",
            get("http://a/", &[("content-length", "0"), ("content-length", "0")]),
            "400 http.invalid_content_length",
        ),
    ] {
        assert_eq!(verdict(request), expected, "{name}");
    }
    let mut connect = get("http://a:80", &[]);
    *connect.method_mut() = http::Method::CONNECT;
    assert_eq!(verdict(connect), "501 http.connect_not_supported");
    let mut ws = get("http://a/chat", &[]);
    *ws.method_mut() = http::Method::CONNECT;
    ws.extensions_mut().insert(::h2::ext::Protocol::from_static("ftp"));
    assert_eq!(verdict(ws), "501 http.connect_not_supported");
    let mut options = http::Request::new(());
    *options.method_mut() = http::Method::OPTIONS;
    *options.uri_mut() = "*".parse().unwrap();
    assert_eq!(verdict(options), "400 missing_host_header");
}

/// Sends a head that no library would send, and says what became of it: what the server took it for, or the frame that ended it.
fn raw_verdict(list: &[(&str, &str)]) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut block = Vec::new();
    for (name, value) in list {
        block.push(0); // literal, not indexed
        for text in [name, value] {
            match text.len() {
                short @ 0..127 => block.push(short as u8),
                long => block.extend([127, (long - 127) as u8 & 127 | 128, ((long - 127) >> 7) as u8]),
            }
            block.extend(text.as_bytes());
        }
    }
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    let len = block.len() as u32;
    bytes.extend([(len >> 16) as u8, (len >> 8) as u8, len as u8, 1, 5, 0, 0, 0, 1]);
    bytes.extend(block);
    let mut verdict = String::new();
    run(async {
        let (mut client, server) = pair().await;
        let mut server = spawn_server(server);
        client.write_all(&bytes).await.unwrap();
        let answer = async {
            loop {
                let mut head = [0u8; 9];
                client.read_exact(&mut head).await.unwrap();
                let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
                client.read_exact(&mut payload).await.unwrap();
                match head[3] {
                    3 => break format!("RST {}", payload[3]),
                    7 => break format!("GOAWAY {}", payload[7]),
                    _ => {}
                }
            }
        };
        verdict = tokio::select! {
            biased;
            Some(v) = server.recv() => v,
            v = answer => v,
        };
    });
    verdict
}

#[test]
fn malformed_requests() {
    // What HPACK yields but HTTP forbids outright ends the connection, in the library; the rest ends the stream.
    let (protocol_error, connection_error) = ("RST 1", "GOAWAY 1");
    let (m, s, a, p) = ((":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/x"));
    for (name, list, expected) in [
        ("plain", &[m, s, a, p, ("x", "y")][..], "GET a /x [x: y] Empty"),
        ("host only", &[m, s, p, ("host", "b")], "GET b /x [] Empty"),
        ("no authority", &[m, s, p], "400 missing_host_header"),
        ("upper-case name", &[m, s, a, p, ("X", "y")], connection_error),
        ("length without content", &[m, s, a, p, ("content-length", "5")], protocol_error),
        ("two lengths", &[m, s, a, p, ("content-length", "0"), ("content-length", "5")], protocol_error),
        (
            "two equal lengths",
            &[m, s, a, p, ("content-length", "0"), ("content-length", "0")],
            "400 http.invalid_content_length",
        ),
        ("odd length", &[m, s, a, p, ("content-length", "+5")], protocol_error),
        ("list of lengths", &[m, s, a, p, ("content-length", "0, 0")], protocol_error),
        ("connection", &[m, s, a, p, ("connection", "close")], protocol_error),
        ("transfer-encoding", &[m, s, a, p, ("transfer-encoding", "chunked")], protocol_error),
        ("upgrade", &[m, s, a, p, ("upgrade", "websocket")], protocol_error),
        ("keep-alive", &[m, s, a, p, ("keep-alive", "5")], protocol_error),
        ("proxy-connection", &[m, s, a, p, ("proxy-connection", "x")], protocol_error),
        ("te other", &[m, s, a, p, ("te", "gzip")], protocol_error),
        ("no method", &[s, a, p], protocol_error),
        ("no scheme", &[m, a, p], protocol_error),
        ("no path", &[m, s, a], protocol_error),
        ("empty path", &[m, s, a, (":path", "")], protocol_error),
        ("two methods", &[m, m, s, a, p], protocol_error),
        ("two authorities", &[m, s, a, a, p], protocol_error),
        ("two paths", &[m, s, a, p, p], protocol_error),
        ("status", &[m, s, a, p, (":status", "200")], protocol_error),
        ("unknown pseudo field", &[m, s, a, p, (":x", "y")], connection_error),
        ("pseudo field after others", &[m, s, a, ("x", "y"), p], protocol_error),
        ("relative path", &[m, s, a, (":path", "x")], protocol_error),
        ("asterisk of GET", &[m, s, a, (":path", "*")], "400 http2.invalid_path"),
        ("absolute path", &[m, s, a, (":path", "http://b/x")], protocol_error),
        ("path with space", &[m, s, a, (":path", "/a b")], protocol_error),
        ("path with line end", &[m, s, a, (":path", "/ HTTP/1.1\r\nx: y")], protocol_error),
        ("path with NUL", &[m, s, a, (":path", "/\0")], protocol_error),
        ("path with high bytes", &[m, s, a, (":path", "/é")], "400 http2.invalid_path"),
        ("method with space", &[(":method", "GET /"), s, a, p], connection_error),
        ("method with line end", &[(":method", "GET\r\n"), s, a, p], connection_error),
        ("authority with line end", &[m, s, (":authority", "a\r\nx"), p], protocol_error),
        ("authority with path", &[m, s, (":authority", "a/b"), p], protocol_error),
        ("other scheme", &[m, (":scheme", "ftp"), a, p], "400 http2.invalid_scheme"),
        ("value with line end", &[m, s, a, p, ("x", "y\r\nz: q")], connection_error),
        ("value with LF", &[m, s, a, p, ("x", "y\nz: q")], connection_error),
        ("value with NUL", &[m, s, a, p, ("x", "\0")], connection_error),
        ("name with line end", &[m, s, a, p, ("x\r\n", "y")], connection_error),
        ("name with space", &[m, s, a, p, ("x y", "z")], connection_error),
        ("name with colon", &[m, s, a, p, ("x:", "z")], connection_error),
        ("empty name", &[m, s, a, p, ("", "z")], connection_error),
        ("protocol without CONNECT", &[m, s, a, p, (":protocol", "websocket")], protocol_error),
        (
            "websocket that is over",
            &[(":method", "CONNECT"), s, a, p, (":protocol", "websocket")],
            "400 http2.body_disallowed",
        ),
    ] {
        assert_eq!(raw_verdict(list), expected, "{name}");
    }
    // A fragment is cut off by the library: neither rules nor backends see it.
    assert_eq!(raw_verdict(&[m, s, a, (":path", "/a#b")]), "GET a /a [] Empty");
    let long = "v".repeat(3000);
    assert!(raw_verdict(&[m, s, a, p, ("x", &long)]).starts_with("GET a /x [x: vvv"));
}

#[test]
fn content_must_have_its_declared_length() {
    for (declared, sent, fits) in [("5", "hello", true), ("4", "hello", false), ("6", "hello", false)] {
        run(async move {
            let (client, server) = pair().await;
            let task = spawn_local(async move {
                let mut server = serve(server.into(), &ServerSettings::default()).await.unwrap();
                let mut head = RequestHead::new();
                let accepted = accept(&mut server, &mut head).await.unwrap().unwrap();
                assert_eq!(accepted.framing, Ok(Framing::Length(declared.parse().unwrap())));
                let mut leg = accepted.leg;
                tokio::select! {
                    r = read_all(&mut leg) => r,
                    _ = accept(&mut server, &mut head) => panic!("ended"),
                }
            });
            let mut sender = raw_client(client).await;
            let mut post = get("http://a/", &[("content-length", declared)]);
            *post.method_mut() = http::Method::POST;
            let (_response, mut body) = sender.send_request(post, false).unwrap();
            body.send_data(Bytes::from_static(sent.as_bytes()), true).unwrap();
            match task.await.unwrap() {
                Ok(message) => assert!(fits && message == content(sent), "{declared}"),
                Err(e) => assert!(!fits && e.is_protocol(), "{declared} {e:?}"),
            }
        });
    }
}

#[test]
fn nothing_more_is_taken_than_is_consumed() {
    run(async {
        let (client, server) = pair().await;
        spawn_local(async move {
            let mut server = serve(server.into(), &ServerSettings::default()).await.unwrap();
            let mut head = RequestHead::new();
            let mut legs = Vec::new();
            while let Some(Ok(a)) = accept(&mut server, &mut head).await {
                legs.push(a.leg);
            }
        });
        let (sender, driver) = connect(client.into(), &ClientSettings::default()).await.unwrap();
        spawn_local(driver);
        let mut leg = sender.leg();
        leg.send_request(&request("POST", "/", &[]), Framing::Streamed).unwrap();
        let mut sent = 0;
        let stuck = tokio::time::timeout(Duration::from_millis(200), async {
            loop {
                sent += poll_fn(|cx| leg.poll_write(cx, &[0; 10_000])).await.unwrap();
            }
        });
        stuck.await.unwrap_err();
        assert!((256 * 1024..=512 * 1024).contains(&sent), "{sent}");
    });
}

#[test]
fn rapid_resets_end_the_connection() {
    run(async {
        let (client, server) = pair().await;
        let outcome = spawn_local(async move {
            let settings = ServerSettings { premature_resets: 50, ..ServerSettings::default() };
            let mut server = serve(server.into(), &settings).await.unwrap();
            let mut head = RequestHead::new();
            loop {
                match accept(&mut server, &mut head).await {
                    Some(Ok(accepted)) => {
                        let mut leg = accepted.leg;
                        spawn_local(async move { poll_fn(|cx| leg.poll_gone(cx)).await });
                    }
                    end => return (end.map(|e| e.err()), server.closed_streams()),
                }
            }
        });
        let mut sender = raw_client(client).await;
        for _ in 0..500 {
            let Ok(ready) = poll_fn(|cx| sender.poll_ready(cx)).await.map(|()| &mut sender) else { break };
            let Ok((_, mut stream)) = ready.send_request(get("http://a/", &[]), false) else { break };
            tokio::task::yield_now().await;
            stream.send_reset(::h2::Reason::CANCEL);
            tokio::task::yield_now().await;
        }
        drop(sender);
        let (end, closed) = outcome.await.unwrap();
        assert!((50..200).contains(&closed), "{closed} {end:?}");
    });
}

/// What a raw client gets that sends its preface and then `frames`, as long as they are taken: types of frames, and GOAWAY's code.
fn raw_client_gets(frames: Vec<u8>, then: Duration) -> (Vec<u8>, Option<u8>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut got = Vec::new();
    run(async {
        let (client, server) = pair().await;
        spawn_local(async move {
            let mut server = serve(server.into(), &ServerSettings::default()).await.unwrap();
            let mut head = RequestHead::new();
            while let Some(Ok(_)) = accept(&mut server, &mut head).await {}
        });
        let (mut read, mut write) = client.into_split();
        let written = spawn_local(async move {
            let _ = write.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
            let _ = write.write_all(&frames).await;
            tokio::time::sleep(then).await;
        });
        let _ = read.read_to_end(&mut got).await;
        written.abort();
    });
    let (mut kinds, mut code, mut rest) = (Vec::new(), None, &got[..]);
    while let Some(([a, b, c, kind, ..], more)) = rest.split_first_chunk::<9>() {
        let (payload, after) = more.split_at(u32::from_be_bytes([0, *a, *b, *c]) as usize);
        kinds.push(*kind);
        code = if *kind == 7 { Some(payload[7]) } else { code };
        rest = after;
    }
    (kinds, code)
}

#[test]
fn frames_that_only_cost_end_the_connection() {
    const CALM: u8 = 11;
    for (name, frame) in [
        ("ping", &b"\0\0\x08\x06\0\0\0\0\0........"[..]),
        ("answer to no ping", b"\0\0\x08\x06\x01\0\0\0\0........"),
        ("settings", b"\0\0\0\x04\0\0\0\0\0"),
        ("priority", b"\0\0\x05\x02\0\0\0\0\x03\0\0\0\0\0"),
    ] {
        let (_, code) = raw_client_gets(frame.repeat(100_000), Duration::from_secs(5));
        // What is not read when the connection ends may cost the client the GOAWAY.
        assert!(matches!(code, Some(CALM) | None), "{name}: {code:?}");
        let (kinds, code) = raw_client_gets(frame.repeat(900), Duration::from_millis(200));
        assert_eq!(code, None, "{name}");
        let answers = kinds.iter().filter(|kind| **kind == frame[3]).count();
        assert!(name.starts_with("answer") || name == "priority" || answers >= 900, "{name}: {answers}");
    }
}

#[test]
fn a_flood_is_told() {
    run(async {
        use tokio::io::AsyncWriteExt as _;
        let (mut client, server) = pair().await;
        spawn_local(async move {
            let ping = b"\0\0\x08\x06\0\0\0\0\0........";
            client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
            while client.write_all(ping).await.is_ok() {}
        });
        let mut server = serve(server.into(), &ServerSettings::default()).await.unwrap();
        let end = accept(&mut server, &mut RequestHead::new()).await;
        assert_eq!(end.unwrap().unwrap_err(), Server::FLOOD);
    });
}

#[test]
fn a_head_that_stops_is_noticed() {
    run(async {
        use tokio::io::AsyncWriteExt as _;
        let (mut client, server) = pair().await;
        client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let mut server = serve(server.into(), &ServerSettings::default()).await.unwrap();
        let mut head = RequestHead::new();
        let mut turn = async |server: &mut Server| {
            let _ = tokio::time::timeout(Duration::from_millis(50), accept(server, &mut head)).await;
            server.head_since()
        };
        assert_eq!(turn(&mut server).await, None);
        client.write_all(b"\0\0\x01\x01\x01\0\0\0\x01\x82").await.unwrap();
        let since = turn(&mut server).await.expect("a head has begun");
        client.write_all(b"\0\0\x01\x09\0\0\0\0\x01\x84").await.unwrap();
        assert_eq!(turn(&mut server).await, Some(since), "a CONTINUATION is no new begin");
        client.write_all(b"\0\0\x04\x09\x04\0\0\0\x01\x86\x41\x01a").await.unwrap();
        assert_eq!(turn(&mut server).await, None);
    });
}

#[test]
fn answered_streams_are_no_flood() {
    run(async {
        let (client, server) = pair().await;
        spawn_local(async move {
            let settings = ServerSettings { premature_resets: 10, ..ServerSettings::default() };
            let mut server = serve(server.into(), &settings).await.unwrap();
            let mut head = RequestHead::new();
            while let Some(Ok(accepted)) = accept(&mut server, &mut head).await {
                let mut leg = accepted.leg;
                leg.send_response(&response(200, &[]), Framing::Length(2)).unwrap();
                write_all(&mut leg, b"ok").await.unwrap();
                finish(&mut leg, &[]).await.unwrap();
            }
        });
        let mut sender = raw_client(client).await;
        for _ in 0..100 {
            poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
            let (response, _) = sender.send_request(get("http://a/", &[]), true).unwrap();
            assert_eq!(response.await.unwrap().status(), 200);
        }
    });
}

#[test]
fn shutdown_lets_streams_finish() {
    run(async {
        let (client, server) = pair().await;
        let (tell, mut told) = tokio::sync::mpsc::channel::<()>(1);
        let task = spawn_local(async move {
            let mut server = serve(server.into(), &ServerSettings::default()).await.unwrap();
            let mut head = RequestHead::new();
            let mut leg = accept(&mut server, &mut head).await.unwrap().unwrap().leg;
            server.graceful_shutdown();
            spawn_local(async move {
                told.recv().await;
                leg.send_response(&response(200, &[]), Framing::Length(4)).unwrap();
                write_all(&mut leg, b"late").await.unwrap();
                finish(&mut leg, &[]).await.unwrap();
            });
            assert!(accept(&mut server, &mut head).await.is_none());
        });
        let (sender, driver) = connect(client.into(), &ClientSettings::default()).await.unwrap();
        spawn_local(driver);
        let mut leg = sender.leg();
        leg.send_request(&request("GET", "/", &[]), Framing::Empty).unwrap();
        while !sender.is_closed() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut refused = sender.leg();
        assert!(refused.send_request(&request("GET", "/", &[]), Framing::Empty).is_err());
        tell.send(()).await.unwrap();
        let (_, head) = crate::leg::harness::next_response(&mut leg).await.unwrap();
        assert_eq!((head.status, head.fields.get(Known::ContentLength)), (200, Some(&b"4"[..])));
        assert_eq!(read_all(&mut leg).await.unwrap(), content("late"));
        drop((leg, refused, sender));
        task.await.unwrap();
    });
}

#[test]
fn resets_are_told_apart() {
    for (reason, expected) in [
        (::h2::Reason::REFUSED_STREAM, ErrorKind::Refused),
        (::h2::Reason::CANCEL, ErrorKind::Reset(::h2::Reason::CANCEL)),
    ] {
        run(async move {
            let (client, server) = pair().await;
            spawn_local(async move {
                let mut server = ::h2::server::handshake(server).await.unwrap();
                while let Some(Ok((_, mut respond))) = server.accept().await {
                    respond.send_reset(reason);
                }
            });
            let (sender, driver) = connect(client.into(), &ClientSettings::default()).await.unwrap();
            spawn_local(driver);
            let mut leg = sender.leg();
            leg.send_request(&request("GET", "/", &[]), Framing::Empty).unwrap();
            let e = crate::leg::harness::next_response(&mut leg).await.expect_err("reset");
            assert_eq!(e.kind, expected);
        });
    }
}

#[test]
fn paths_that_the_library_does_not_take_are_encoded() {
    run(async {
        let (client, server) = pair().await;
        let mut told = spawn_server(server);
        let (sender, driver) = connect(client.into(), &ClientSettings::default()).await.unwrap();
        spawn_local(driver);
        let mut leg = sender.leg();
        leg.send_request(&request("GET", "/<a>`{|}^\"?<", &[]), Framing::Empty).unwrap();
        assert_eq!(told.recv().await.unwrap(), "GET a.example /%3Ca%3E%60{|}^\\\"?%3C [] Empty");
    });
}

#[test]
fn a_connection_that_ends_early() {
    run(async {
        let (client, server) = pair().await;
        let (sender, driver) = connect(client.into(), &ClientSettings::default()).await.unwrap();
        let driven = spawn_local(driver);
        let mut leg = sender.leg();
        leg.send_request(&request("GET", "/", &[]), Framing::Empty).unwrap();
        drop(server);
        let e = crate::leg::harness::next_response(&mut leg).await.expect_err("closed");
        assert!(matches!(e.kind, ErrorKind::Closed | ErrorKind::Io(_)), "{e:?}");
        let _ = driven.await.unwrap();
        assert!(sender.is_closed());
        let mut another: Leg = sender.leg();
        assert!(another.send_request(&request("GET", "/", &[]), Framing::Empty).is_err());
        let _ = poll_fn(|cx| Poll::Ready(another.poll_data(cx).is_ready())).await;
    });
}
