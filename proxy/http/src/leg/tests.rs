use std::future::poll_fn;
use std::rc::Rc;

use super::harness::*;
use super::*;
use crate::{ErrorKind, Known, Upgrade};

/// Answers with the request's content and trailers, and what it saw of the head in `x-seen`.
async fn echo(mut leg: Leg, head: RequestHead, framing: Framing) -> Option<Leg> {
    let message = read_all(&mut leg).await.ok()?;
    let seen = format!(
        "{} {} {} {framing:?}",
        head.method_bytes().escape_ascii(),
        head.authority().escape_ascii(),
        head.path_and_query().escape_ascii()
    );
    let answer = match head.path() {
        b"/streamed" => Framing::Streamed,
        b"/close" => Framing::UntilClose,
        _ if message.content.is_empty() => Framing::Empty,
        _ => Framing::Length(message.content.len() as u64),
    };
    leg.send_response(&response(200, &[("x-seen", &seen)]), answer).ok()?;
    write_all(&mut leg, &message.content).await.ok()?;
    let trailers: Vec<_> = message.trailers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    finish(&mut leg, &trailers).await.ok()?;
    Some(leg)
}

struct Answer {
    head: ResponseHead,
    framing: Framing,
    message: Message,
}

async fn ask(client: &Client, head: RequestHead, framing: Framing, body: &Message) -> Answer {
    let mut leg = client.leg().await;
    leg.send_request(&head, framing).unwrap();
    write_all(&mut leg, &body.content).await.unwrap();
    let trailers: Vec<_> = body.trailers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    finish(&mut leg, &trailers).await.unwrap();
    let (incoming, head) = next_response(&mut leg).await.unwrap();
    let Incoming::Final(framing) = incoming else { panic!("{incoming:?}") };
    let message = read_all(&mut leg).await.unwrap();
    client.give_back(leg);
    Answer { head, framing, message }
}

fn seen(answer: &Answer) -> String {
    String::from_utf8(answer.head.fields.get_name(b"x-seen").expect("the origin answered").to_vec()).unwrap()
}

#[test]
fn get() {
    for matrix in MATRIX {
        run(async move {
            let (client, done) = world(matrix, echo).await;
            for i in 1..=3 {
                let answer =
                    ask(&client, request("GET", "/x?y=1", &[("x-a", "b")]), Framing::Empty, &content("")).await;
                assert_eq!(
                    (answer.head.status, seen(&answer)),
                    (200, "GET a.example /x?y=1 Empty".into()),
                    "{matrix:?}"
                );
                assert!(answer.framing.is_empty());
                assert_eq!(answer.message, content(""));
                tokio::task::yield_now().await;
                assert_eq!(done.get(), i);
            }
        });
    }
}

#[test]
fn content_with_a_length() {
    for matrix in MATRIX {
        run(async move {
            let (client, _) = world(matrix, echo).await;
            for body in ["hello", ""] {
                let framing = Framing::Length(body.len() as u64);
                let answer = ask(&client, request("POST", "/", &[]), framing, &content(body)).await;
                assert_eq!(answer.message, content(body), "{matrix:?}");
                assert_eq!(seen(&answer), format!("POST a.example / {framing:?}"));
                assert_eq!(answer.framing.is_empty(), body.is_empty());
            }
        });
    }
}

#[test]
fn streamed_content_with_trailers() {
    for matrix in MATRIX {
        run(async move {
            let (client, _) = world(matrix, echo).await;
            let body = Message {
                content: b"hello world".to_vec(),
                trailers: vec![("x-sum".into(), "42".into()), ("grpc-status".into(), "0".into())],
            };
            for _ in 0..2 {
                let answer =
                    ask(&client, request("POST", "/streamed", &[("te", "trailers")]), Framing::Streamed, &body).await;
                assert_eq!((answer.framing, &answer.message), (Framing::Streamed, &body), "{matrix:?}");
                // the next message has none
                let answer = ask(&client, request("POST", "/streamed", &[]), Framing::Streamed, &content("x")).await;
                assert_eq!(answer.message, content("x"));
            }
        });
    }
}

#[test]
fn large_content_both_ways_at_once() {
    async fn reflect(mut leg: Leg, _: RequestHead, _: Framing) -> Option<Leg> {
        leg.send_response(&response(200, &[]), Framing::Streamed).ok()?;
        loop {
            match poll_fn(|cx| leg.poll_data(cx)).await.ok()? {
                Event::Data => {
                    let data = leg.data().to_vec();
                    leg.consume(data.len());
                    write_all(&mut leg, &data).await.ok()?;
                }
                Event::Trailers => {}
                Event::End => break,
            }
        }
        finish(&mut leg, &[]).await.ok()?;
        Some(leg)
    }
    let body: Rc<Vec<u8>> = Rc::new((0..3_000_000u32).map(|i| (i ^ (i >> 8)) as u8).collect());
    for matrix in MATRIX {
        for framing in [Framing::Streamed, Framing::Length(3_000_000)] {
            let body = Rc::clone(&body);
            run(async move {
                let (client, _) = world(matrix, reflect).await;
                let mut leg = client.leg().await;
                leg.send_request(&request("POST", "/", &[]), framing).unwrap();
                let (mut sent, mut got, mut answered, mut finished) = (0, Vec::new(), false, false);
                let mut head = ResponseHead::default();
                poll_fn(|cx| {
                    while sent < body.len() {
                        let Poll::Ready(n) = leg.poll_write(cx, &body[sent..]) else { break };
                        sent += n.unwrap();
                    }
                    if sent == body.len() && !finished {
                        finished = leg.poll_finish(cx, None).map(Result::unwrap).is_ready();
                    }
                    if !answered {
                        let _ = leg.poll_flush(cx);
                        let Poll::Ready(r) = leg.poll_response(cx, &mut head, &Limits::default()) else {
                            return Poll::Pending;
                        };
                        assert_eq!(r, Ok(Incoming::Final(Framing::Streamed)));
                        answered = true;
                    }
                    loop {
                        match leg.poll_data(cx) {
                            Poll::Ready(Ok(Event::Data)) => {
                                got.extend_from_slice(leg.data());
                                leg.consume(leg.data().len());
                            }
                            Poll::Ready(Ok(Event::End)) => return Poll::Ready(()),
                            Poll::Ready(e) => panic!("{e:?}"),
                            Poll::Pending => return Poll::Pending,
                        }
                    }
                })
                .await;
                assert!(got == *body, "{matrix:?} {framing:?}: {} bytes", got.len());
            });
        }
    }
}

#[test]
fn answers_to_head_and_304_keep_their_length() {
    async fn origin(mut leg: Leg, head: RequestHead, _: Framing) -> Option<Leg> {
        let (status, framing) = match head.path() {
            b"/304" => (304, Framing::Empty),
            b"/204" => (204, Framing::Empty),
            _ => (200, Framing::Length(5)),
        };
        let list: &[(&str, &str)] = if status == 204 { &[] } else { &[("content-length", "5")] };
        leg.send_response(&response(status, list), framing).ok()?;
        finish(&mut leg, &[]).await.ok()?;
        Some(leg)
    }
    for matrix in MATRIX {
        run(async move {
            let (client, _) = world(matrix, origin).await;
            for (method, path, status, length) in [
                ("HEAD", "/", 200, Some("5")),
                ("GET", "/304", 304, Some("5")),
                ("GET", "/204", 204, None),
                ("HEAD", "/304", 304, Some("5")),
            ] {
                let answer = ask(&client, request(method, path, &[]), Framing::Empty, &content("")).await;
                assert_eq!(
                    (answer.head.status, answer.framing),
                    (status, Framing::Empty),
                    "{matrix:?} {method} {path}"
                );
                assert_eq!(
                    answer.head.fields.get(Known::ContentLength),
                    length.map(str::as_bytes),
                    "{matrix:?} {method} {path}"
                );
                assert_eq!(answer.message, content(""));
            }
        });
    }
}

#[test]
fn content_until_close_ends_well_for_the_client() {
    for down in [Proto::H1, Proto::H2] {
        run(async move {
            let (client_side, proxy_down) = pair().await;
            let (proxy_up, origin) = pair().await;
            spawn_raw(origin, b"HTTP/1.0 200 OK\r\n\r\nhello");
            let upstream = Client::new(Proto::H1, proxy_up).await;
            tokio::task::spawn_local(serve_each(down, proxy_down, move |mut leg, head, framing| {
                let upstream = upstream.clone();
                async move {
                    let mut up = upstream.leg().await;
                    pump(&mut leg, &mut up, &head, framing).await.unwrap();
                    assert!(!up.reusable());
                    Some(leg)
                }
            }));
            let client = Client::new(down, client_side).await;
            let answer = ask(&client, request("GET", "/", &[]), Framing::Empty, &content("")).await;
            assert_eq!((answer.framing, answer.message), (Framing::Streamed, content("hello")));
        });
    }
}

/// Reads until an empty line, then writes `answer` and closes.
fn spawn_raw(mut stream: tokio::net::TcpStream, answer: &'static [u8]) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    tokio::task::spawn_local(async move {
        let mut got = Vec::new();
        while !got.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut got).await.unwrap(), 0, "closed early");
        }
        stream.write_all(answer).await.unwrap();
    });
}

#[test]
fn interim_responses() {
    async fn origin(mut leg: Leg, head: RequestHead, _: Framing) -> Option<Leg> {
        assert!(head.expects_continue());
        leg.send_interim(&response(103, &[("link", "</x>")])).ok()?;
        leg.send_interim(&response(100, &[])).ok()?;
        flush(&mut leg).await.ok()?;
        let message = read_all(&mut leg).await.ok()?;
        leg.send_response(&response(200, &[]), Framing::Length(message.content.len() as u64)).ok()?;
        write_all(&mut leg, &message.content).await.ok()?;
        finish(&mut leg, &[]).await.ok()?;
        Some(leg)
    }
    for matrix in MATRIX {
        run(async move {
            let (client, _) = world(matrix, origin).await;
            for _ in 0..2 {
                let mut leg = client.leg().await;
                leg.send_request(&request("PUT", "/", &[("expect", "100-continue")]), Framing::Length(2)).unwrap();
                flush(&mut leg).await.unwrap();
                let (incoming, head) = next_response(&mut leg).await.unwrap();
                assert_eq!((incoming, head.status), (Incoming::Interim, 103), "{matrix:?}");
                assert_eq!(head.fields.get(Known::Link), Some(&b"</x>"[..]));
                let (incoming, head) = next_response(&mut leg).await.unwrap();
                assert_eq!((incoming, head.status), (Incoming::Interim, 100));
                write_all(&mut leg, b"ok").await.unwrap();
                finish(&mut leg, &[]).await.unwrap();
                let (incoming, head) = next_response(&mut leg).await.unwrap();
                assert_eq!((incoming, head.status), (Incoming::Final(Framing::Length(2)), 200));
                assert_eq!(read_all(&mut leg).await.unwrap(), content("ok"));
                client.give_back(leg);
            }
        });
    }
}

#[test]
fn websockets() {
    async fn origin(mut leg: Leg, head: RequestHead, _: Framing) -> Option<Leg> {
        assert_eq!(head.upgrade, Some(Upgrade::WebSocket));
        assert_eq!((head.method_bytes(), head.path()), (&b"GET"[..], &b"/ws"[..]));
        let key = head.fields.get(Known::SecWebsocketKey).expect("a key");
        assert_eq!(key.len(), 24);
        let accept = crate::h2::accept_for_tests(key);
        let mut switch = response(101, &[("sec-websocket-protocol", "chat")]);
        switch.fields.push_known(Known::SecWebsocketAccept, &accept);
        leg.send_response(&switch, Framing::Empty).ok()?;
        write_all(&mut leg, b"hi ").await.ok()?;
        flush(&mut leg).await.ok()?;
        let message = read_all(&mut leg).await.ok()?;
        write_all(&mut leg, &message.content).await.ok()?;
        finish(&mut leg, &[]).await.ok()?;
        Some(leg)
    }
    for matrix in MATRIX {
        run(async move {
            let (client, done) = world(matrix, origin).await;
            let mut leg = client.leg().await;
            let key = "dGhlIHNhbXBsZSBub25jZQ==";
            let mut head = request("GET", "/ws", &[("sec-websocket-version", "13"), ("sec-websocket-key", key)]);
            head.upgrade = Some(Upgrade::WebSocket);
            leg.send_request(&head, Framing::Empty).unwrap();
            finish(&mut leg, &[]).await.unwrap();
            let (incoming, head) = next_response(&mut leg).await.unwrap();
            assert_eq!((incoming, head.status), (Incoming::Upgraded, 101), "{matrix:?}");
            assert_eq!(
                head.fields.get(Known::SecWebsocketAccept),
                Some(&b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="[..]),
                "{matrix:?}"
            );
            assert_eq!(head.fields.get(Known::SecWebsocketProtocol), Some(&b"chat"[..]));
            write_all(&mut leg, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            finish(&mut leg, &[]).await.unwrap();
            assert_eq!(read_all(&mut leg).await.unwrap(), content("hi GET / HTTP/1.1\r\n\r\n"), "{matrix:?}");
            assert!(!leg.reusable() || matrix.0 == Proto::H2);
            while done.get() == 0 {
                tokio::task::yield_now().await;
            }
        });
    }
}

#[test]
fn a_refused_upgrade_is_an_ordinary_exchange() {
    async fn origin(mut leg: Leg, _: RequestHead, _: Framing) -> Option<Leg> {
        leg.send_response(&response(403, &[]), Framing::Length(2)).ok()?;
        write_all(&mut leg, b"no").await.ok()?;
        finish(&mut leg, &[]).await.ok()?;
        Some(leg)
    }
    for matrix in MATRIX {
        run(async move {
            let (client, done) = world(matrix, origin).await;
            for i in 1..=2 {
                let mut head = request("GET", "/ws", &[("sec-websocket-key", "x")]);
                head.upgrade = Some(Upgrade::WebSocket);
                let answer = ask(&client, head, Framing::Empty, &content("")).await;
                assert_eq!((answer.head.status, answer.message), (403, content("no")), "{matrix:?}");
                while done.get() < i {
                    tokio::task::yield_now().await;
                }
            }
        });
    }
}

#[test]
fn truncated_responses_are_no_responses() {
    for (name, answer) in [
        ("length", &b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"[..]),
        ("chunk", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel"),
        ("last chunk", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    ] {
        for down in [Proto::H1, Proto::H2] {
            run(async move {
                let (client_side, proxy_down) = pair().await;
                let (proxy_up, origin) = pair().await;
                spawn_raw(origin, answer);
                let upstream = Client::new(Proto::H1, proxy_up).await;
                tokio::task::spawn_local(serve_each(down, proxy_down, move |mut leg, head, framing| {
                    let upstream = upstream.clone();
                    async move {
                        let mut up = upstream.leg().await;
                        let e = pump(&mut leg, &mut up, &head, framing).await.expect_err("cut off");
                        assert_eq!(e.kind, ErrorKind::Closed);
                        leg.abort();
                        None
                    }
                }));
                let client = Client::new(down, client_side).await;
                let mut leg = client.leg().await;
                leg.send_request(&request("GET", "/", &[]), Framing::Empty).unwrap();
                finish(&mut leg, &[]).await.unwrap();
                let outcome = async {
                    next_response(&mut leg).await?;
                    read_all(&mut leg).await
                }
                .await;
                let e = outcome.expect_err(name);
                let expected = match down {
                    Proto::H1 => ErrorKind::Closed,
                    Proto::H2 => ErrorKind::Reset(::h2::Reason::INTERNAL_ERROR),
                };
                assert_eq!(e.kind, expected, "{name} {down:?}");
            });
        }
    }
}

#[test]
fn more_or_less_than_declared_is_a_mistake() {
    for proto in [Proto::H1, Proto::H2] {
        run(async move {
            let (client, _) = world((proto, Proto::H1), echo).await;
            let mut leg = client.leg().await;
            leg.send_request(&request("POST", "/", &[]), Framing::Length(3)).unwrap();
            let e = write_all(&mut leg, b"four").await.expect_err("too long");
            assert_eq!(e.details(), "http.body_longer_than_declared");
            let (client, _) = world((proto, Proto::H1), echo).await;
            let mut leg = client.leg().await;
            leg.send_request(&request("POST", "/", &[]), Framing::Length(3)).unwrap();
            write_all(&mut leg, b"no").await.unwrap();
            let e = finish(&mut leg, &[]).await.expect_err("too short");
            assert_eq!(e.details(), "http.body_shorter_than_declared");
        });
    }
}

#[test]
fn a_client_that_leaves_is_noticed() {
    for proto in [Proto::H1, Proto::H2] {
        run(async move {
            let (client_side, server_side) = pair().await;
            let gone = Rc::new(std::cell::Cell::new(false));
            let flag = Rc::clone(&gone);
            tokio::task::spawn_local(serve_each(proto, server_side, move |mut leg, _, _| {
                let flag = Rc::clone(&flag);
                async move {
                    let _ = poll_fn(|cx| leg.poll_gone(cx)).await;
                    flag.set(true);
                    None
                }
            }));
            let client = Client::new(proto, client_side).await;
            let mut leg = client.leg().await;
            leg.send_request(&request("GET", "/", &[]), Framing::Empty).unwrap();
            finish(&mut leg, &[]).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            assert!(!gone.get(), "{proto:?}");
            drop(leg);
            while !gone.get() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        });
    }
}

#[test]
fn an_early_answer_reaches_the_client() {
    async fn origin(mut leg: Leg, _: RequestHead, _: Framing) -> Option<Leg> {
        leg.send_response(&response(413, &[]), Framing::Length(5)).ok()?;
        write_all(&mut leg, b"large").await.ok()?;
        finish(&mut leg, &[]).await.ok()?;
        // HTTP/1: the content is still to be read, else the kernel resets the connection under the answer.
        if leg.version() == Version::Http11 {
            let _ = read_all(&mut leg).await;
        }
        Some(leg)
    }
    for proto in [Proto::H1, Proto::H2] {
        run(async move {
            let (client_side, origin_side) = pair().await;
            tokio::task::spawn_local(serve_each(proto, origin_side, origin));
            let client = Client::new(proto, client_side).await;
            let mut leg = client.leg().await;
            leg.send_request(&request("POST", "/", &[]), Framing::Streamed).unwrap();
            write_all(&mut leg, &[b'x'; 100_000]).await.unwrap();
            flush(&mut leg).await.unwrap();
            let (incoming, _) = next_response(&mut leg).await.unwrap();
            assert_eq!(incoming, Incoming::Final(Framing::Length(5)));
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            write_all(&mut leg, &[b'x'; 500_000]).await.unwrap();
            finish(&mut leg, &[]).await.unwrap();
            assert_eq!(read_all(&mut leg).await.unwrap(), content("large"), "{proto:?}");
        });
    }
}

#[test]
fn legs_are_small() {
    assert!(size_of::<crate::h1::Conn>() <= 200, "{}", size_of::<crate::h1::Conn>());
    assert!(size_of::<Leg>() <= 400, "{}", size_of::<Leg>());
}
