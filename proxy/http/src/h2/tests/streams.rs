//! Streams: content, back-pressure, ends.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::spawn_local;

use super::super::*;
use super::{accept, get, raw_client};
use crate::leg::harness::{content, finish, pair, read_all, request, response, run, write_all};
use crate::{ErrorKind, Framing, Known, Leg, RequestHead};

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
