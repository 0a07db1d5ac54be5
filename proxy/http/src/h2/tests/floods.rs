//! Frames and streams that only cost.

use std::future::poll_fn;
use std::time::Duration;

use tokio::task::spawn_local;

use super::super::*;
use super::{accept, get, raw_client};
use crate::leg::harness::{finish, pair, response, run, write_all};
use crate::{Framing, RequestHead};

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
