//! HTTP/2 connections over loopback sockets.

use super::*;
use crate::ConnectErrorKind;
use crate::testing::{Ca, Http2, Order, Plain, settle};
use fairlead_http::{Framing, Incoming, Limits, RequestHead, ResponseHead};
use fairlead_net::tls::{ALPN_H2, ALPN_HTTP11};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_local;

fn send(mut upstream: Upstream) -> Upstream {
    let mut head = RequestHead::new();
    head.set_method(b"GET");
    head.set_authority(b"app.example");
    head.set_path_and_query(b"/");
    upstream.leg().send_request(&head, Framing::Empty).unwrap();
    upstream
}

/// The status of the response.
async fn answer(upstream: &mut Upstream) -> Result<u16, fairlead_http::Error> {
    let mut head = ResponseHead::default();
    let limits = Limits::default();
    let incoming = std::future::poll_fn(|cx| upstream.leg().poll_response(cx, &mut head, &limits)).await?;
    assert!(matches!(incoming, Incoming::Final(_)), "{incoming:?}");
    Ok(head.status)
}

async fn request(cluster: &Cluster) -> Upstream {
    let pick = cluster.pick(&[]).unwrap();
    send(match cluster.try_checkout(&pick, Want::Http2) {
        Some(upstream) => upstream,
        None => cluster.checkout(&pick, Want::Http2).await.unwrap(),
    })
}

async fn requests(cluster: &Cluster, n: usize) -> Vec<Upstream> {
    let mut all = Vec::new();
    for _ in 0..n {
        all.push(request(cluster).await);
    }
    all
}

fn pool(cluster: &Cluster) -> Vec<usize> {
    cluster.endpoints()[0].h2.streams()
}

#[test]
fn requests_share_a_connection() {
    run(async {
        let peer = Http2::start(100).await;
        let cluster = cluster(config(), list(&[(peer.address, 1)]));
        let held = requests(&cluster, 20).await;
        settle().await;
        assert_eq!(peer.streams(), [20]);
        assert_eq!(pool(&cluster), [20]);
        assert!(!held[0].is_reused());
        assert!(held[1..].iter().all(|r| r.is_reused()));
        peer.order.send_replace(Order::Answer);
        for mut request in held {
            assert_eq!(answer(&mut request).await, Ok(200));
        }
        assert_eq!(pool(&cluster), [0]);
        assert_eq!(cluster.core.requests.get(), 0);
        assert_eq!(cluster.cells().connections.value(), 1);
    });
}

#[test]
fn those_who_come_together_wait_for_one_connection() {
    run(async {
        let peer = Http2::start_with(100, Duration::from_millis(50), None).await;
        let cluster = cluster(config(), list(&[(peer.address, 1)]));
        let tasks: Vec<_> = (0..60)
            .map(|_| {
                let cluster = cluster.clone();
                spawn_local(async move { request(&cluster).await })
            })
            .collect();
        let mut held = Vec::new();
        for task in tasks {
            held.push(task.await.unwrap());
        }
        settle().await;
        assert_eq!(peer.streams(), [60]);
    });
}

#[test]
fn a_crowd_opens_as_many_connections_as_it_needs() {
    run(async {
        let peer = Http2::start_with(100, Duration::from_millis(50), None).await;
        let cluster = cluster(config(), list(&[(peer.address, 1)]));
        let tasks: Vec<_> = (0..200)
            .map(|_| {
                let cluster = cluster.clone();
                spawn_local(async move { request(&cluster).await })
            })
            .collect();
        let mut held = Vec::new();
        for task in tasks {
            held.push(task.await.unwrap());
        }
        settle().await;
        let streams = peer.streams();
        assert_eq!(streams.len(), 3, "200 by 80: {streams:?}");
        assert_eq!(streams.iter().sum::<usize>(), 200);
    });
}

#[test]
fn a_crowd_gets_through_when_the_peer_allows_less_than_was_thought() {
    run(async {
        let peer = Http2::start_with(10, Duration::from_millis(20), None).await;
        let cluster = cluster(config(), list(&[(peer.address, 1)]));
        let tasks: Vec<_> = (0..60)
            .map(|_| {
                let cluster = cluster.clone();
                spawn_local(async move { request(&cluster).await })
            })
            .collect();
        let mut held = Vec::new();
        for task in tasks {
            held.push(task.await.unwrap());
        }
        settle().await;
        let streams = peer.streams();
        assert_eq!(streams.iter().sum::<usize>(), 60, "although no request ends");
        assert!(streams.len() <= 9 && streams.iter().all(|&n| n <= 10), "{streams:?}");
    });
}

#[test]
fn at_the_connection_limit_the_first_http2_connection_is_opened_all_the_same() {
    run(async {
        let peer = Http2::start(100).await;
        let mut config = config();
        config.thresholds.connections = 1;
        let cluster = cluster(config, list(&[(peer.address, 1)]));
        let pick = cluster.pick(&[]).unwrap();
        let _http1 = cluster.checkout(&pick, Want::Http1).await.unwrap();
        let _http2 = request(&cluster).await;
        assert_eq!(cluster.core.connections.get(), 2);
    });
}

#[test]
fn an_endpoint_that_takes_no_requests_is_an_error() {
    run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cluster = cluster(config(), list(&[(listener.local_addr().unwrap(), 1)]));
        let accepted = Rc::new(Cell::new(0));
        spawn_local({
            let accepted = accepted.clone();
            async move {
                let mut kept = Vec::new();
                while let Ok((mut stream, _)) = listener.accept().await {
                    accepted.set(accepted.get() + 1);
                    // SETTINGS, and the first GOAWAY of a graceful shutdown (RFC 9113 §6.8).
                    let frames = [
                        &[0, 0, 0, 4, 0, 0, 0, 0, 0][..],
                        &[0, 0, 8, 7, 0, 0, 0, 0, 0, 127, 255, 255, 255, 0, 0, 0, 0],
                    ]
                    .concat();
                    stream.write_all(&frames).await.unwrap();
                    kept.push(stream);
                }
            }
        });
        let pick = cluster.pick(&[]).unwrap();
        let error = cluster.checkout(&pick, Want::Http2).await.unwrap_err();
        assert_eq!((error.kind, error.retryable()), (ConnectErrorKind::Closed, true), "{error}");
        assert_eq!(accepted.get(), 1);
        settle().await;
        assert_eq!(cluster.core.connections.get(), 0);
    });
}

#[test]
fn a_fuller_connection_brings_another_before_anyone_waits() {
    run(async {
        let peer = Http2::start(10).await;
        let cluster = cluster(config(), list(&[(peer.address, 1)]));
        let mut held = requests(&cluster, 8).await;
        settle().await;
        assert_eq!(pool(&cluster), [8]);
        let pick = cluster.pick(&[]).unwrap();
        held.push(send(cluster.try_checkout(&pick, Want::Http2).expect("there is room up to the peer's limit")));
        settle().await;
        assert_eq!(pool(&cluster), [9, 0], "one more was opened at four fifths of ten");
        held.extend(requests(&cluster, 8).await);
        assert_eq!(pool(&cluster), [9, 8]);
        settle().await;
        assert_eq!(peer.streams(), [9, 8]);
        drop(held);
        let _one = request(&cluster).await;
        assert_eq!(pool(&cluster), [1, 0], "the first fills up first, so that the other goes idle");
    });
}

#[test]
fn the_peers_limit_is_kept() {
    run(async {
        let peer = Http2::start(1).await;
        let mut config = config();
        config.thresholds.connections = 2;
        let cluster = cluster(config, list(&[(peer.address, 1)]));
        let mut held = requests(&cluster, 2).await;
        assert_eq!(pool(&cluster), [1, 1]);
        let waiting = spawn_local({
            let cluster = cluster.clone();
            async move { request(&cluster).await.is_reused() }
        });
        settle().await;
        assert!(!waiting.is_finished(), "no stream, no connection left");
        held.pop();
        assert!(waiting.await.unwrap());
        settle().await;
        assert_eq!(peer.streams(), [1, 2]);
    });
}

#[test]
fn a_connection_that_is_told_to_go_takes_no_more_requests() {
    run(async {
        let peer = Http2::start(100).await;
        let cluster = cluster(config(), list(&[(peer.address, 1)]));
        let mut old = request(&cluster).await;
        settle().await;
        peer.order.send_replace(Order::GoAway);
        settle().await;
        assert_eq!(pool(&cluster), Vec::<usize>::new());
        let mut new = request(&cluster).await;
        settle().await;
        assert_eq!(peer.streams(), [1, 1]);
        peer.order.send_replace(Order::Answer);
        assert_eq!(answer(&mut old).await, Ok(200), "what was under way goes on");
        assert_eq!(answer(&mut new).await, Ok(200));
        drop((old, new));
        settle().await;
        assert_eq!(peer.open.get(), 1);
        assert_eq!(cluster.core.connections.get(), 1);
    });
}

#[test]
fn a_cut_connection_leaves_the_pool() {
    run(async {
        let peer = Http2::start(100).await;
        let cluster = cluster(config(), list(&[(peer.address, 1)]));
        let mut old = request(&cluster).await;
        settle().await;
        peer.order.send_replace(Order::Cut);
        assert!(answer(&mut old).await.is_err());
        settle().await;
        assert_eq!((pool(&cluster).len(), cluster.core.connections.get()), (0, 0));
        assert_eq!(cluster.cells().connections_active.value(), 0);
        drop(old);
        peer.order.send_replace(Order::Answer);
        assert_eq!(answer(&mut request(&cluster).await).await, Ok(200));
    });
}

#[test]
fn an_idle_connection_is_swept_away_and_a_busy_one_is_not() {
    run(async {
        let peer = Http2::start(100).await;
        let config = ClusterConfig { idle_timeout: Some(Duration::from_secs(10)), ..config() };
        let cluster = cluster(config, list(&[(peer.address, 1)]));
        let start = Instant::now();
        let held = request(&cluster).await;
        cluster.sweep(start + Duration::from_secs(20));
        assert_eq!(pool(&cluster), [1]);
        drop(held);
        cluster.sweep(start + Duration::from_secs(29));
        assert_eq!(pool(&cluster), [0]);
        cluster.sweep(start + Duration::from_secs(30));
        assert_eq!(pool(&cluster).len(), 0);
        settle().await;
        assert_eq!((peer.open.get(), cluster.core.connections.get()), (0, 0));
    });
}

#[test]
fn connections_of_an_endpoint_that_leaves_end_with_their_requests() {
    run(async {
        let peer = Http2::start(100).await;
        let other = Plain::start().await;
        let cluster = cluster(config(), list(&[(peer.address, 1)]));
        let mut held = request(&cluster).await;
        settle().await;
        cluster.update_endpoints(list(&[(other.address, 1)]));
        settle().await;
        assert_eq!(peer.open.get(), 1, "a request is under way");
        peer.order.send_replace(Order::Answer);
        assert_eq!(answer(&mut held).await, Ok(200));
        drop(held);
        settle().await;
        assert_eq!((peer.open.get(), cluster.core.connections.get()), (0, 0));
    });
}

#[test]
fn a_pick_made_before_its_endpoint_left_still_works() {
    run(async {
        let peer = Http2::start(100).await;
        let cluster = cluster(config(), list(&[(peer.address, 1)]));
        let pick = cluster.pick(&[]).unwrap();
        cluster.update_endpoints(list(&[]));
        peer.order.send_replace(Order::Answer);
        let mut held = send(cluster.checkout(&pick, Want::Http2).await.unwrap());
        assert_eq!(answer(&mut held).await, Ok(200));
        drop(held);
        settle().await;
        assert_eq!((peer.open.get(), cluster.core.connections.get()), (0, 0));
        // Given up before it stood: it does not stay open for nobody.
        {
            let waiting = cluster.checkout(&pick, Want::Http2);
            assert!(tokio::time::timeout(Duration::from_micros(1), waiting).await.is_err());
        }
        settle().await;
        assert_eq!((peer.open.get(), cluster.core.connections.get()), (0, 0));
    });
}

#[test]
fn prior_knowledge_that_is_wrong_is_noticed_before_a_request_is_sent() {
    run(async {
        let peer = Plain::start().await;
        let cluster = cluster(config(), list(&[(peer.address, 1)]));
        spawn_local({
            let accepted = peer.accepted.clone();
            async move {
                settle().await;
                let mut stream = accepted.borrow_mut().pop().unwrap();
                stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await.unwrap();
                settle().await;
            }
        });
        let pick = cluster.pick(&[]).unwrap();
        let error = cluster.checkout(&pick, Want::Http2).await.unwrap_err();
        assert_eq!(error.kind, ConnectErrorKind::Protocol, "{error}");
        assert_eq!(cluster.core.connections.get(), 0);
    });
}

#[test]
fn http2_over_tls() {
    run(async {
        let ca = Ca::new("ca");
        let tls = ca.server("app.example", &[ALPN_H2, ALPN_HTTP11]);
        let peer = Http2::start_with(100, Duration::ZERO, Some(tls)).await;
        peer.order.send_replace(Order::Answer);
        let cluster = cluster(ca.config("app.example"), list(&[(peer.address, 1)]));
        assert_eq!(answer(&mut request(&cluster).await).await, Ok(200));
        assert!(request(&cluster).await.is_reused());
    });
}

#[test]
fn a_dropped_cluster_ends_its_connections_when_they_are_idle() {
    run(async {
        let peer = Http2::start(100).await;
        let cluster = cluster(config(), list(&[(peer.address, 1)]));
        let mut held = request(&cluster).await;
        drop(cluster);
        settle().await;
        assert_eq!(peer.open.get(), 1);
        peer.order.send_replace(Order::Answer);
        assert_eq!(answer(&mut held).await, Ok(200));
        drop(held);
        settle().await;
        assert_eq!(peer.open.get(), 0);
    });
}

/// That of the box in which it changes hands.
#[test]
fn a_stream_on_an_open_connection_costs_one_allocation() {
    run(async {
        let peer = Http2::start(100).await;
        let cluster = cluster(config(), list(&[(peer.address, 1)]));
        drop(request(&cluster).await);
        let info = allocation_counter::measure(|| {
            for _ in 0..100 {
                let pick = cluster.pick(&[]).unwrap();
                assert!(cluster.try_checkout(&pick, Want::Http2).is_some());
            }
        });
        assert_eq!(info.count_total, 100, "{info:?}");
    });
}
