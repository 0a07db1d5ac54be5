use std::future::poll_fn;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::leg::harness::{
    content, fields, finish, flush, next_response, pair, read_all, request, response, run, write_all,
};
use crate::{ErrorKind, Event, Framing, Incoming, Leg, RequestHead, Upgrade};

async fn next_request(conn: &mut Conn) -> Result<Option<(RequestHead, Framing)>, RequestError> {
    let mut head = RequestHead::new();
    let framing = poll_fn(|cx| conn.poll_request(cx, &mut head, &Limits::default())).await?;
    Ok(framing.map(|f| (head, f)))
}

async fn server() -> (TcpStream, Conn) {
    let (client, server) = pair().await;
    (client, Conn::new(server.into()))
}

async fn text(stream: &mut TcpStream, until: &str) -> String {
    let mut got = Vec::new();
    while !got.ends_with(until.as_bytes()) {
        assert_ne!(stream.read_buf(&mut got).await.unwrap(), 0, "closed after {}", got.escape_ascii());
    }
    String::from_utf8(got).unwrap()
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut got = String::new();
    stream.read_to_string(&mut got).await.unwrap();
    got
}

async fn answer(conn: Conn, status: u16, body: &str) -> Conn {
    let mut leg = Leg::H1(conn);
    leg.send_response(&response(status, &[]), Framing::Length(body.len() as u64)).unwrap();
    write_all(&mut leg, body.as_bytes()).await.unwrap();
    finish(&mut leg, &[]).await.unwrap();
    leg.into_h1().unwrap()
}

#[test]
fn pipelined_requests_are_served_in_turn() {
    run(async {
        let (mut client, mut conn) = server().await;
        client
            .write_all(
                b"POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhiGET /2 HTTP/1.1\r\nhost: a\r\n\r\nGET /3",
            )
            .await
            .unwrap();
        for (path, framing) in [("/1", Framing::Length(2)), ("/2", Framing::Empty)] {
            let (head, got) = next_request(&mut conn).await.unwrap().unwrap();
            assert_eq!((head.path(), got), (path.as_bytes(), framing));
            let mut leg = Leg::H1(conn);
            let body = read_all(&mut leg).await.unwrap();
            assert_eq!(body, content(if path == "/1" { "hi" } else { "" }));
            conn = answer(leg.into_h1().unwrap(), 200, path).await;
            assert!(conn.reusable());
        }
        assert!(!conn.is_idle(), "a part of a head waits");
        client.write_all(b" HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let (head, _) = next_request(&mut conn).await.unwrap().unwrap();
        assert_eq!(head.path(), b"/3");
        conn = answer(conn, 200, "").await;
        assert!(!conn.reusable());
        drop(conn);
        let all = rest(&mut client).await;
        let expected = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n/1HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n/2\
            HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        assert_eq!(all, expected);
    });
}

#[test]
fn a_head_in_single_bytes() {
    run(async {
        let (mut client, mut conn) = server().await;
        tokio::task::spawn_local(async move {
            for b in b"\r\nGET /slow HTTP/1.1\r\nhost: a\r\nx: y\r\n\r\n" {
                client.write_all(&[*b]).await.unwrap();
                tokio::task::yield_now().await;
            }
            client
        });
        let (head, _) = next_request(&mut conn).await.unwrap().unwrap();
        assert_eq!((head.path(), &head.fields), (&b"/slow"[..], &fields(&[("x", "y")])));
    });
}

#[test]
fn a_waiting_connection_owns_no_buffers() {
    run(async {
        let (mut client, mut conn) = server().await;
        for _ in 0..2 {
            client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
            next_request(&mut conn).await.unwrap().unwrap();
            let mut leg = Leg::H1(conn);
            read_all(&mut leg).await.unwrap();
            conn = answer(leg.into_h1().unwrap(), 200, "hello").await;
            text(&mut client, "hello").await;
            assert!(conn.input.is_released() && conn.output.is_released());
            let mut head = RequestHead::new();
            let waits =
                poll_fn(|cx| Poll::Ready(conn.poll_request(cx, &mut head, &Limits::default()).is_pending())).await;
            assert!(waits && conn.input.is_released());
        }
    });
}

#[test]
fn small_messages_leave_in_one_write() {
    run(async {
        let (_client, mut conn) = server().await;
        conn.facts.keep_alive = true;
        let mut leg = Leg::H1(conn);
        leg.send_response(&response(200, &[]), Framing::Streamed).unwrap();
        write_all(&mut leg, b"hello").await.unwrap();
        let Leg::H1(conn) = &leg else { unreachable!() };
        assert_eq!(conn.output.bytes(), b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n");
        finish(&mut leg, &[("a", "b"), ("content-length", "3")]).await.unwrap();
        let Leg::H1(conn) = &leg else { unreachable!() };
        assert!(conn.output.is_released());
    });
}

#[test]
fn ends_between_and_within_requests() {
    run(async {
        let (client, mut conn) = server().await;
        drop(client);
        assert!(next_request(&mut conn).await.unwrap().is_none());
        let (mut client, mut conn) = server().await;
        client.write_all(b"GET / HT").await.unwrap();
        drop(client);
        assert_eq!(next_request(&mut conn).await.err(), Some(RequestError::Closed(Error::CLOSED)));
        let (mut client, mut conn) = server().await;
        client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhi").await.unwrap();
        drop(client);
        next_request(&mut conn).await.unwrap().unwrap();
        let mut leg = Leg::H1(conn);
        assert_eq!(read_all(&mut leg).await.err(), Some(Error::CLOSED));
        assert!(!leg.reusable());
    });
}

#[test]
fn the_answer_to_a_bad_request_arrives_although_more_was_sent() {
    run(async {
        let (mut client, mut conn) = server().await;
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\n").await.unwrap();
        client.write_all(&[b'x'; 200_000]).await.unwrap();
        let Err(RequestError::Reject(reject)) = next_request(&mut conn).await else { panic!("accepted") };
        assert_eq!((reject.status, reject.details), (400, "http.invalid_content_length"));
        let mut conn = answer(conn, reject.status, "bad").await;
        assert!(!conn.reusable());
        let closed = tokio::task::spawn_local(async move { poll_fn(|cx| conn.poll_close(cx)).await });
        assert_eq!(
            rest(&mut client).await,
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbad"
        );
        drop(client);
        closed.await.unwrap();
    });
}

#[test]
fn old_clients() {
    run(async {
        let (mut client, mut conn) = server().await;
        client.write_all(b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").await.unwrap();
        next_request(&mut conn).await.unwrap().unwrap();
        let mut leg = Leg::H1(conn);
        leg.send_interim(&response(103, &[])).unwrap();
        let mut conn = answer(leg.into_h1().unwrap(), 200, "1").await;
        assert!(conn.reusable());
        assert_eq!(
            text(&mut client, "1").await,
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: keep-alive\r\n\r\n1"
        );
        client.write_all(b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n").await.unwrap();
        next_request(&mut conn).await.unwrap().unwrap();
        let mut leg = Leg::H1(conn);
        leg.send_response(&response(200, &[]), Framing::Streamed).unwrap();
        write_all(&mut leg, b"streamed").await.unwrap();
        finish(&mut leg, &[("x", "dropped")]).await.unwrap();
        assert!(!leg.reusable());
        drop(leg);
        assert_eq!(rest(&mut client).await, "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nstreamed");
    });
}

#[test]
fn who_was_not_told_to_continue_is_not_waited_for() {
    run(async {
        let (mut client, mut conn) = server().await;
        client
            .write_all(b"PUT / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n")
            .await
            .unwrap();
        next_request(&mut conn).await.unwrap().unwrap();
        let conn = answer(conn, 417, "").await;
        assert!(!conn.reusable());
        assert!(text(&mut client, "\r\n\r\n").await.contains("connection: close"));
    });
}

#[test]
fn closing_is_announced_when_asked_for() {
    run(async {
        let (mut client, mut conn) = server().await;
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        next_request(&mut conn).await.unwrap().unwrap();
        conn.set_close(true);
        let conn = answer(conn, 200, "").await;
        assert!(!conn.reusable());
        assert!(text(&mut client, "\r\n\r\n").await.contains("connection: close"));
    });
}

/// What a client makes of a server that answers with these bytes and then closes, or not.
async fn ask(answer: &'static [u8], close: bool) -> (Leg, TcpStream) {
    let (client, mut server) = pair().await;
    let mut leg = Leg::H1(Conn::new(client.into()));
    leg.send_request(&request("GET", "/", &[]), Framing::Empty).unwrap();
    finish(&mut leg, &[]).await.unwrap();
    text(&mut server, "\r\n\r\n").await;
    server.write_all(answer).await.unwrap();
    if close {
        server.shutdown().await.unwrap();
    }
    (leg, server)
}

#[test]
fn what_makes_a_connection_unusable() {
    for (name, answer, close, reusable) in [
        ("plain", &b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"[..], false, true),
        ("chunked", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", false, true),
        (
            "1.0 with keep-alive",
            b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
            false,
            true,
        ),
        ("1.0", b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", false, false),
        ("close", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok", false, false),
        ("until close", b"HTTP/1.1 200 OK\r\n\r\nok", true, false),
        ("surplus", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", false, false),
        ("surplus line end", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok\r\n", false, false),
    ] {
        run(async move {
            let (mut leg, _server) = ask(answer, close).await;
            assert!(!leg.reusable(), "{name}: not answered");
            next_response(&mut leg).await.unwrap();
            assert_eq!(read_all(&mut leg).await.unwrap(), content("ok"), "{name}");
            let mut conn = leg.into_h1().unwrap();
            assert_eq!(conn.reusable() && !conn.is_stale(), reusable, "{name}");
        });
    }
}

#[test]
fn idle_connections_go_stale() {
    run(async {
        let (mut leg, mut server) = ask(b"HTTP/1.1 204 No Content\r\n\r\n", false).await;
        next_response(&mut leg).await.unwrap();
        let mut conn = leg.into_h1().unwrap();
        assert!(conn.reusable() && !conn.is_stale());
        server.write_all(b"HTTP/1.1 408 x\r\n\r\n").await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        assert!(conn.is_stale(), "unasked bytes");
        let (mut leg, server) = ask(b"HTTP/1.1 204 No Content\r\n\r\n", false).await;
        next_response(&mut leg).await.unwrap();
        drop(server);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        assert!(leg.into_h1().unwrap().is_stale(), "closed");
    });
}

#[test]
fn bad_answers() {
    for (name, answer, expected) in [
        ("closed before", &b""[..], ErrorKind::Closed),
        ("closed within", b"HTTP/1.1 200 OK\r\ncontent-le", ErrorKind::Closed),
        ("no HTTP", b"SSH-2.0-OpenSSH_9.6\r\n", ErrorKind::Protocol("http1.invalid_status_line")),
        (
            "101 unasked",
            b"HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
            ErrorKind::Protocol("http1.unexpected_switch"),
        ),
        (
            "both lengths",
            b"HTTP/1.1 200 x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            ErrorKind::Protocol("http1.content_length_and_chunked_not_allowed"),
        ),
    ] {
        run(async move {
            let (mut leg, _server) = ask(answer, true).await;
            let e = next_response(&mut leg).await.expect_err(name);
            assert_eq!(e.kind, expected, "{name}");
            assert!(!leg.reusable());
        });
    }
    for (name, answer, expected) in [
        (
            "chunk",
            &b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x5\r\n"[..],
            ErrorKind::Protocol("http1.invalid_chunk_extension"),
        ),
        (
            "chunk end",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
            ErrorKind::Protocol("http1.invalid_chunk_end"),
        ),
    ] {
        run(async move {
            let (mut leg, _server) = ask(answer, false).await;
            next_response(&mut leg).await.unwrap();
            assert_eq!(read_all(&mut leg).await.expect_err(name).kind, expected);
            assert!(!leg.reusable());
        });
    }
}

#[test]
fn interim_responses_are_counted() {
    run(async {
        let many: &'static [u8] = b"HTTP/1.1 102 Processing\r\n\r\n".repeat(33).leak();
        let (mut leg, _server) = ask(many, false).await;
        for _ in 0..32 {
            assert_eq!(next_response(&mut leg).await.unwrap().0, Incoming::Interim);
        }
        let e = next_response(&mut leg).await.expect_err("too many");
        assert_eq!(e.details(), "http1.too_many_interim_responses");
    });
}

#[test]
fn a_switch_to_another_protocol_than_asked_for() {
    run(async {
        let (client, mut server) = pair().await;
        let mut leg = Leg::H1(Conn::new(client.into()));
        let mut head = request("GET", "/", &[]);
        head.upgrade = Some(Upgrade::WebSocket);
        leg.send_request(&head, Framing::Empty).unwrap();
        finish(&mut leg, &[]).await.unwrap();
        assert!(text(&mut server, "\r\n\r\n").await.ends_with("\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"));
        server.write_all(b"HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n").await.unwrap();
        assert_eq!(next_response(&mut leg).await.expect_err("other").details(), "http1.unexpected_switch");
    });
}

#[test]
fn nothing_is_tunnelled_before_101() {
    run(async {
        let (mut client, mut conn) = server().await;
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nGET /smuggled HTTP/1.1\r\n").await.unwrap();
        let (head, framing) = next_request(&mut conn).await.unwrap().unwrap();
        assert_eq!((head.upgrade, framing), (Some(Upgrade::WebSocket), Framing::Empty));
        let mut leg = Leg::H1(conn);
        assert_eq!(poll_fn(|cx| leg.poll_data(cx)).await, Ok(Event::End));
        leg.send_response(&response(101, &[]), Framing::Empty).unwrap();
        flush(&mut leg).await.unwrap();
        assert_eq!(poll_fn(|cx| leg.poll_data(cx)).await, Ok(Event::Data));
        assert_eq!(leg.data(), b"GET /smuggled HTTP/1.1\r\n");
    });
}

#[test]
fn a_switch_nobody_asked_for_is_not_sent() {
    run(async {
        let (mut client, mut conn) = server().await;
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        next_request(&mut conn).await.unwrap().unwrap();
        let mut leg = Leg::H1(conn);
        assert!(leg.send_response(&response(101, &[]), Framing::Empty).is_err());
        let conn = answer(leg.into_h1().unwrap(), 502, "").await;
        assert!(conn.reusable());
    });
}

#[test]
fn the_preface_of_http2_is_told_however_it_arrives() {
    for cut in 1..24 {
        run(async move {
            let (mut client, mut conn) = server().await;
            let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
            let task = tokio::task::spawn_local(async move {
                client.write_all(&preface[..cut]).await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                client.write_all(&preface[cut..]).await.unwrap();
                client.shutdown().await.unwrap();
                client
            });
            assert!(matches!(next_request(&mut conn).await, Err(RequestError::Reject(_))), "{cut}");
            assert!(conn.speaks_http2(), "{cut}");
            let _client = task.await.unwrap();
            let mut stream = conn.into_stream();
            let mut all = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut all).await.unwrap();
            assert_eq!(all, preface);
        });
    }
}
