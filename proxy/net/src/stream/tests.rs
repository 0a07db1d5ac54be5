#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::io::IoSlice;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::Stream;
use crate::testing::{Ca, arrived, receive, send, tcp_pair, tls_pair};
use crate::tls::{ALPN_HTTP11, ClientTls, ServerTls, Tickets};

fn readable(stream: &mut Stream) -> bool {
    stream.poll_readable(&mut Context::from_waker(Waker::noop())).is_ready()
}

async fn tls() -> (Stream, Stream) {
    let ca = Ca::new("ca");
    let server = ServerTls::builder(&Tickets::new().unwrap())
        .identity(ca.identity(&["example.com"]))
        .alpn([ALPN_HTTP11])
        .build()
        .unwrap();
    let client = ClientTls::builder(&ca.roots(), "example.com").alpn([ALPN_HTTP11]).build().unwrap();
    let (client, server, _) = tls_pair(&client, &server).await;
    (client, server)
}

#[test]
fn a_plain_stream_is_small() {
    assert!(size_of::<Stream>() <= 6 * size_of::<usize>(), "{}", size_of::<Stream>());
}

#[tokio::test]
async fn a_socket_that_was_read_short_is_not_stale() {
    let (mut client, mut server) = tcp_pair().await;
    assert!(!client.is_stale(), "nothing has happened yet");
    for _ in 0..3 {
        send(&mut client, b"question").await;
        assert_eq!(receive(&mut server, 64).await.unwrap(), b"question");
        send(&mut server, b"answer").await;
        assert_eq!(receive(&mut client, 64).await.unwrap(), b"answer");
        assert!(!readable(&mut client), "a short read must count as drained");
        assert!(!client.is_stale(), "the usual keep-alive connection");
    }
}

#[tokio::test]
async fn a_closed_or_talking_peer_makes_it_stale() {
    let (mut client, mut server) = tcp_pair().await;
    send(&mut server, b"unasked").await;
    arrived(&mut client).await;
    assert!(client.is_stale(), "out of step");

    let (mut client, server) = tcp_pair().await;
    drop(server);
    arrived(&mut client).await;
    assert!(client.is_stale(), "closed");

    let (mut client, server) = tcp_pair().await;
    server.abort();
    arrived(&mut client).await;
    assert!(client.is_stale(), "reset");
}

#[tokio::test]
async fn staleness_is_seen_when_the_task_has_no_budget_left() {
    let (mut client, server) = tcp_pair().await;
    drop(server);
    arrived(&mut client).await;
    poll_fn(|cx| {
        while let Poll::Ready(progress) = tokio::task::coop::poll_proceed(cx) {
            progress.made_progress();
        }
        Poll::Ready(())
    })
    .await;
    assert!(client.is_stale());
}

#[tokio::test]
async fn a_tls_client_with_unread_tickets_is_not_stale() {
    let (mut client, mut server) = tls().await;
    // TLS 1.3: the server has sent tickets after the handshake, which nobody has read.
    arrived(&mut client).await;
    assert!(!client.is_stale());
    assert!(!readable(&mut client), "the tickets have been taken");

    send(&mut server, b"unasked").await;
    arrived(&mut client).await;
    assert!(client.is_stale());
}

#[tokio::test]
async fn a_tls_client_whose_peer_closed_is_stale() {
    for clean in [true, false] {
        let (mut client, mut server) = tls().await;
        send(&mut server, b"x").await;
        assert_eq!(receive(&mut client, 8).await.unwrap(), b"x");
        assert!(!client.is_stale());
        if clean {
            poll_fn(|cx| server.poll_shutdown(cx)).await.unwrap();
        }
        drop(server);
        arrived(&mut client).await;
        assert!(client.is_stale(), "close_notify: {clean}");
    }
}

#[tokio::test]
async fn decrypted_bytes_count_as_readable() {
    let (mut client, mut server) = tls().await;
    send(&mut client, b"0123456789").await;
    assert_eq!(receive(&mut server, 4).await.unwrap(), b"0123");
    assert!(readable(&mut server), "six bytes wait inside the session, none in the socket");
    assert_eq!(receive(&mut server, 64).await.unwrap(), b"456789");
    assert!(!readable(&mut server));
    assert!(server.is_tls() && client.is_tls());
    assert_eq!(server.alpn(), Some(ALPN_HTTP11));
    assert_eq!(client.alpn(), Some(ALPN_HTTP11));
}

#[tokio::test]
async fn a_tls_end_without_close_notify_is_an_error() {
    let (mut client, server) = tls().await;
    drop(server);
    let e = receive(&mut client, 8).await.unwrap_err();
    assert_eq!(e.kind(), std::io::ErrorKind::UnexpectedEof);

    let (mut client, mut server) = tls().await;
    poll_fn(|cx| server.poll_shutdown(cx)).await.unwrap();
    assert_eq!(receive(&mut client, 8).await.unwrap(), b"");
}

#[tokio::test]
async fn a_prefix_is_read_first_and_then_gone() {
    let (mut client, server) = tcp_pair().await;
    send(&mut client, b"rest").await;
    let mut server = server.with_prefix(Bytes::from_static(b"start-"));
    assert!(readable(&mut server));
    assert_eq!(receive(&mut server, 3).await.unwrap(), b"sta");
    assert!(matches!(server, Stream::Prefixed(_)));
    assert_eq!(receive(&mut server, 64).await.unwrap(), b"rt-", "the socket is not read in the same call");
    assert!(matches!(server, Stream::Tcp(_)), "no cost once the prefix is used up");
    assert_eq!(receive(&mut server, 64).await.unwrap(), b"rest");

    let server = server.with_prefix(Bytes::new());
    assert!(matches!(server, Stream::Tcp(_)));
    let mut server = server.with_prefix(Bytes::from_static(b"b")).with_prefix(Bytes::from_static(b"a"));
    assert_eq!(receive(&mut server, 64).await.unwrap(), b"a");
    assert_eq!(receive(&mut server, 64).await.unwrap(), b"b");
    let mut server = server.with_prefix(Bytes::from_static(b"unread"));
    let bufs = [IoSlice::new(b"through "), IoSlice::new(b"the prefix")];
    assert_eq!(poll_fn(|cx| server.poll_write_vectored(cx, &bufs)).await.unwrap(), 18);
    assert_eq!(receive(&mut client, 64).await.unwrap(), b"through the prefix");
}

#[tokio::test]
async fn tls_runs_over_a_stream_with_a_prefix() {
    let ca = Ca::new("ca");
    let server = ServerTls::builder(&Tickets::new().unwrap()).identity(ca.identity(&["a.example"])).build().unwrap();
    let client = ClientTls::builder(&ca.roots(), "a.example").build().unwrap();
    let (client_end, mut server_end) = tcp_pair().await;
    let serve = async {
        let first = receive(&mut server_end, 10).await.unwrap();
        assert_eq!(first.len(), 10);
        let server_end = server_end.with_prefix(first.into());
        crate::tls::read_hello(server_end).await.unwrap().accept(&server).await.unwrap()
    };
    let (client, (mut server, info)) = tokio::join!(crate::tls::connect(client_end, &client), serve);
    send(&mut client.unwrap(), b"hello").await;
    assert_eq!(receive(&mut server, 64).await.unwrap(), b"hello");
    assert_eq!(info.sni.as_deref(), Some("a.example"));
}

#[tokio::test]
async fn big_writes_arrive_whole_over_tls() {
    let (mut client, mut server) = tls().await;
    let sent: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    let write = send(&mut client, &sent);
    let read = async {
        let mut got = Vec::new();
        while got.len() < sent.len() {
            got.extend(receive(&mut server, 64 * 1024).await.unwrap());
        }
        got
    };
    let ((), got) = tokio::join!(write, read);
    assert!(got == sent);
}

#[tokio::test]
async fn an_aborted_connection_is_reset() {
    let (mut client, server) = tcp_pair().await;
    server.abort();
    assert_eq!(receive(&mut client, 8).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}
