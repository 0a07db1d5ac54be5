//! Connections that live long: what happens once per message must not add up to their end.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::spawn_local;

use super::super::*;
use super::{accept, get, raw_client};
use crate::leg::harness::{content, finish, next_response, pair, read_all, request, response, run};
use crate::{Framing, RequestHead};

/// Streams of one connection; the `h2` crate's counts for a connection's life are below.
const STREAMS: usize = 2000;

#[test]
fn responses_with_empty_data_before_the_end() {
    run(async {
        let (client, server) = pair().await;
        spawn_local(async move {
            let mut server = ::h2::server::handshake(server).await.unwrap();
            while let Some(Ok((_, mut respond))) = server.accept().await {
                let mut body = respond.send_response(http::Response::new(()), false).unwrap();
                body.send_data(Bytes::from_static(b"hello"), false).unwrap();
                body.send_data(Bytes::new(), false).unwrap();
                body.send_data(Bytes::new(), true).unwrap();
            }
        });
        let (sender, driver) = connect(client.into(), &ClientSettings::default()).await.unwrap();
        spawn_local(driver);
        for n in 0..STREAMS {
            let mut leg = sender.leg();
            leg.send_request(&request("GET", "/", &[]), Framing::Empty).unwrap();
            next_response(&mut leg).await.unwrap_or_else(|e| panic!("{n}: {e:?}"));
            assert_eq!(read_all(&mut leg).await.unwrap(), content("hello"), "{n}");
        }
    });
}

#[test]
fn requests_with_empty_data_before_the_end() {
    run(async {
        let (client, server) = pair().await;
        spawn_local(async move {
            let mut server = serve(server.into(), &ServerSettings::default()).await.unwrap();
            let mut head = RequestHead::new();
            while let Some(Ok(accepted)) = accept(&mut server, &mut head).await {
                let mut leg = accepted.leg;
                spawn_local(async move {
                    assert_eq!(read_all(&mut leg).await.unwrap(), content("hello"));
                    leg.send_response(&response(204, &[]), Framing::Empty).unwrap();
                    finish(&mut leg, &[]).await.unwrap();
                });
            }
        });
        let mut sender = raw_client(client).await;
        for n in 0..STREAMS {
            poll_fn(|cx| sender.poll_ready(cx)).await.unwrap_or_else(|e| panic!("{n}: {e:?}"));
            let mut post = get("http://a/", &[]);
            *post.method_mut() = http::Method::POST;
            let (response, mut body) = sender.send_request(post, false).unwrap();
            body.send_data(Bytes::from_static(b"hello"), false).unwrap();
            body.send_data(Bytes::new(), false).unwrap();
            body.send_data(Bytes::new(), true).unwrap();
            let response = response.await.unwrap_or_else(|e| panic!("{n}: {e:?}"));
            assert_eq!(response.status(), 204);
        }
    });
}

/// What a server had sent before it learned that nobody wants it any more.
#[test]
fn content_of_streams_that_were_given_up() {
    run(async {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (client, mut server) = pair().await;
        let (sender, driver) = connect(client.into(), &ClientSettings::default()).await.unwrap();
        let driven = spawn_local(driver);
        let stream = |n: usize| u32::try_from(2 * n + 1).unwrap().to_be_bytes();
        let head = |n| [&b"\0\0\x01\x01\x04"[..], &stream(n), b"\x88"].concat();
        server.write_all(b"\0\0\0\x04\0\0\0\0\0").await.unwrap();
        for n in 0..STREAMS {
            let mut leg = sender.leg();
            leg.send_request(&request("GET", "/", &[]), Framing::Empty).unwrap();
            server.write_all(&head(n)).await.unwrap();
            next_response(&mut leg).await.unwrap_or_else(|e| panic!("{n}: {e:?}"));
            leg.reset();
        }
        for n in 0..STREAMS {
            server.write_all(&[&b"\0\0\x01\x00\0"[..], &stream(n), b"x"].concat()).await.unwrap();
        }
        let mut leg = sender.leg();
        leg.send_request(&request("GET", "/", &[]), Framing::Empty).unwrap();
        server.write_all(&head(STREAMS)).await.unwrap();
        next_response(&mut leg).await.unwrap();
        assert!(!driven.is_finished());
        // What is asked for is read, so that nothing waits for room.
        let _ = server.read(&mut [0; 1 << 16]).await.unwrap();
    });
}

/// Tiny frames that wait until somebody takes them: their number ends no connection, in either direction.
#[test]
fn tiny_frames_that_wait() {
    const TINY: &[u8] = b"four";
    const FRAMES: usize = 60_000;
    run(async {
        let (client, server) = pair().await;
        spawn_local(async move {
            let mut server = serve(server.into(), &ServerSettings::default()).await.unwrap();
            let mut head = RequestHead::new();
            while let Some(Ok(accepted)) = accept(&mut server, &mut head).await {
                let mut leg = accepted.leg;
                spawn_local(async move {
                    poll_fn(|cx| leg.poll_data(cx)).await.unwrap();
                    let waiting = poll_fn(|cx| {
                        leg.gather(cx);
                        Poll::<()>::Pending
                    });
                    let _ = tokio::time::timeout(Duration::from_millis(500), waiting).await;
                    let all = read_all(&mut leg).await.unwrap();
                    assert!(all.content == TINY.repeat(FRAMES), "{}", all.content.len());
                    leg.send_response(&response(204, &[]), Framing::Empty).unwrap();
                    finish(&mut leg, &[]).await.unwrap();
                });
            }
        });
        let mut sender = raw_client(client).await;
        let mut waiting = Vec::new();
        for _ in 0..3 {
            poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
            let mut post = get("http://a/", &[]);
            *post.method_mut() = http::Method::POST;
            let (response, mut body) = sender.send_request(post, false).unwrap();
            for n in 1..=FRAMES {
                body.send_data(Bytes::from_static(TINY), n == FRAMES).unwrap();
            }
            waiting.push((response, body));
        }
        for (response, _body) in waiting {
            assert_eq!(response.await.unwrap().status(), 204);
        }
    });
}
