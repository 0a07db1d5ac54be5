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
    poll_fn(|cx| server.poll_request(cx, head, &Limits { max_headers: 5, max_target_bytes: 30, ..Limits::default() })).await
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
    let reset = "Err(Some(PROTOCOL_ERROR))";
    for (name, request, expected) in [
        ("plain", get("http://a:8080/x?y", &[("x-a", "b")]), "GET a:8080 /x?y [x-a: b] Empty"),
        ("same host", get("http://a/", &[("host", "A:80")]), "GET a / [] Empty"),
        ("crumbs", get("http://a/", &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")]), "GET a / [x: y, cookie: a=1; b=2] Empty"),
        ("te", get("http://a/", &[("te", "trailers")]), "GET a / [te: trailers] Empty"),
        ("length 0", get("http://a/", &[("content-length", "0")]), "GET a / [content-length: 0] Length(0)"),
        ("other host", get("http://a/", &[("host", "b")]), "400 http2.host_mismatch"),
        ("two hosts", get("http://a/", &[("host", "a"), ("host", "a")]), "400 http2.several_hosts"),
        ("user", get("http://u@a/", &[]), "400 http2.invalid_authority"),
        ("odd host", get("http://a;b/", &[]), "400 http2.invalid_authority"),
        ("underscore", get("http://a/", &[("x_y", "z")]), "400 http2.unexpected_underscore"),
        ("space around a value", get("http://a/", &[("x", " y")]), "400 http2.invalid_header_value"),
        ("expectation", get("http://a/", &[("expect", "x")]), "417 http2.invalid_expectation"),
        ("too many", get("http://a/", &[("a", ""), ("b", ""), ("c", ""), ("d", ""), ("e", ""), ("f", "")]), "431 http2.too_many_headers"),
        ("long target", get("http://a/0123456789012345678901234567890", &[]), "414 http2.target_too_long"),
        ("backslash", get("http://a/b\\c", &[]), "400 http2.invalid_path"),
        ("two equal lengths", get("http://a/", &[("content-length", "0"), ("content-length", "0")]), "400 http.invalid_content_length"),
        ("length without content", get("http://a/", &[("content-length", "5")]), reset),
        ("two lengths", get("http://a/", &[("content-length", "0"), ("content-length", "5")]), reset),
        ("odd length", get("http://a/", &[("content-length", "+5")]), reset),
        ("connection", get("http://a/", &[("connection", "close")]), reset),
        ("transfer-encoding", get("http://a/", &[("transfer-encoding", "chunked")]), reset),
        ("upgrade", get("http://a/", &[("upgrade", "websocket")]), reset),
        ("keep-alive", get("http://a/", &[("keep-alive", "5")]), reset),
        ("proxy-connection", get("http://a/", &[("proxy-connection", "x")]), reset),
        ("te other", get("http://a/", &[("te", "gzip")]), reset),
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
