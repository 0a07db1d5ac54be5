//! HTTP/1.1 connections over loopback sockets.

use super::*;
use crate::ConnectErrorKind;
use crate::testing::{Ca, Plain, settle};
use fairlead_net::Stream;
use fairlead_net::tls::{ALPN_HTTP11, read_hello};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::spawn_local;

async fn checkout(cluster: &Cluster) -> Upstream {
    let pick = cluster.pick(&[]).unwrap();
    match cluster.try_checkout(&pick, Want::Http1) {
        Some(upstream) => upstream,
        None => cluster.checkout(&pick, Want::Http1).await.unwrap(),
    }
}

async fn fail(cluster: &Cluster, want: Want) -> ConnectError {
    let pick = cluster.pick(&[]).unwrap();
    cluster.checkout(&pick, want).await.unwrap_err()
}

/// Tells connections apart.
fn local(upstream: &Upstream) -> SocketAddr {
    match upstream.h1().stream() {
        Stream::Tcp(stream) => stream.local_addr().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn only(cluster: &Cluster) -> Rc<Endpoint> {
    cluster.endpoints()[0].clone()
}

#[test]
fn the_connection_used_last_is_used_first() {
    run(async {
        let peer = Plain::start().await;
        let cluster = cluster(config(), list(&[(peer.address, 1)]));
        let (a, b) = (checkout(&cluster).await, checkout(&cluster).await);
        assert!(!a.is_reused() && !b.is_reused());
        let (address_a, address_b) = (local(&a), local(&b));
        assert_ne!(address_a, address_b);
        assert_eq!((only(&cluster).connections(), cluster.core.requests.get()), (2, 2));
        a.finish();
        b.finish();
        assert_eq!((only(&cluster).connections(), cluster.core.requests.get()), (2, 0));
        let (first, second) = (checkout(&cluster).await, checkout(&cluster).await);
        assert!(first.is_reused() && second.is_reused());
        assert_eq!((local(&first), local(&second)), (address_b, address_a));
        settle().await;
        assert_eq!(peer.accepted(), 2);
        assert_eq!(cluster.cells().connections.value(), 2);
        assert_eq!(cluster.cells().connections_active.value(), 2);
        drop((first, second));
        assert_eq!(cluster.cells().connections_active.value(), 0);
        assert_eq!(cluster.core.connections.get(), 0);
        settle().await;
        assert_eq!(peer.closed(), 2, "what is not given back is closed");
    });
}

#[test]
fn what_the_peer_closed_or_wrote_to_is_not_used_again() {
    run(async {
        let peer = Plain::start().await;
        let cluster = cluster(config(), list(&[(peer.address, 1)]));
        let conns = [checkout(&cluster).await, checkout(&cluster).await, checkout(&cluster).await];
        let good = local(&conns[0]);
        conns.into_iter().for_each(Upstream::finish);
        settle().await;
        let mut accepted = peer.accepted.take();
        accepted[1].write_all(b"HTTP/1.1 408 ").await.unwrap();
        drop(accepted.pop());
        settle().await;
        let conn = checkout(&cluster).await;
        assert_eq!(local(&conn), good, "the two on top are stale");
        assert!(conn.is_reused());
        assert_eq!(only(&cluster).connections(), 1);
        conn.finish();
        // The sweep closes what went stale in the pool.
        drop(accepted);
        settle().await;
        cluster.sweep(Instant::now());
        assert_eq!((only(&cluster).connections(), only(&cluster).h1.len()), (0, 0));
    });
}

#[test]
fn a_new_connection_can_be_asked_for() {
    run(async {
        let peer = Plain::start().await;
        let cluster = cluster(config(), list(&[(peer.address, 1)]));
        let conn = checkout(&cluster).await;
        let used = local(&conn);
        conn.finish();
        let pick = cluster.pick(&[]).unwrap();
        let conn = cluster.connect(&pick, Want::Http1).await.unwrap();
        assert!(!conn.is_reused());
        assert_ne!(local(&conn), used);
    });
}

#[test]
fn idle_connections_are_swept_away() {
    run(async {
        let peer = Plain::start().await;
        let config = ClusterConfig { idle_timeout: Some(Duration::from_secs(10)), ..config() };
        let cluster = cluster(config, list(&[(peer.address, 1)]));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (a, b) = (checkout(&cluster).await, checkout(&cluster).await);
        cluster.sweep(at(1));
        a.finish();
        cluster.sweep(at(5));
        b.finish();
        cluster.sweep(at(10));
        assert_eq!(only(&cluster).h1.len(), 2);
        cluster.sweep(at(11));
        assert_eq!(only(&cluster).h1.len(), 1, "ten seconds after it was given back");
        cluster.sweep(at(14));
        assert_eq!(only(&cluster).h1.len(), 1);
        cluster.sweep(at(15));
        assert_eq!(only(&cluster).connections(), 0);
        settle().await;
        assert_eq!(peer.closed(), 2);
    });
}

#[test]
fn so_many_and_no_more_stay_idle() {
    run(async {
        let peer = Plain::start().await;
        let mut config = config();
        config.thresholds.idle_per_endpoint = 2;
        let cluster = cluster(config, list(&[(peer.address, 1)]));
        let conns = [checkout(&cluster).await, checkout(&cluster).await, checkout(&cluster).await];
        conns.into_iter().for_each(Upstream::finish);
        assert_eq!((only(&cluster).h1.len(), only(&cluster).connections()), (2, 2));
    });
}

#[test]
fn connections_of_an_endpoint_that_leaves_close_when_idle() {
    run(async {
        let (leaving, staying) = (Plain::start().await, Plain::start().await);
        let both = list(&[(leaving.address, 1), (staying.address, 1)]);
        let cluster = cluster(config(), both);
        let mut held = Vec::new();
        for _ in 0..4 {
            let pick = cluster.pick(&[]).unwrap();
            let conn = cluster.checkout(&pick, Want::Http1).await.unwrap();
            held.push((pick, conn));
        }
        let (_, conn) = held.remove(0);
        let idle_of_leaving = *conn.endpoint().address() == Address::Ip(leaving.address);
        conn.finish();
        cluster.update_endpoints(list(&[(staying.address, 1)]));
        settle().await;
        assert_eq!(leaving.closed(), usize::from(idle_of_leaving));
        assert_eq!(staying.closed(), 0);
        for (_, conn) in held.drain(..) {
            conn.finish();
        }
        settle().await;
        assert_eq!((leaving.closed(), staying.closed()), (2, 0));
        assert_eq!(cluster.core.connections.get(), 2);
        let conn = checkout(&cluster).await;
        assert!(conn.is_reused(), "the pool of what stays is kept");
    });
}

#[test]
fn a_dropped_cluster_closes_its_connections() {
    run(async {
        let peer = Plain::start().await;
        let cluster = cluster(config(), list(&[(peer.address, 1)]));
        let (a, b) = (checkout(&cluster).await, checkout(&cluster).await);
        a.finish();
        drop(cluster);
        settle().await;
        assert_eq!(peer.closed(), 1);
        b.finish();
        settle().await;
        assert_eq!(peer.closed(), 2);
    });
}

#[test]
fn refused_and_silent_endpoints() {
    run(async {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refusing = free.local_addr().unwrap();
        drop(free);
        let first = cluster(config(), list(&[(refusing, 1)]));
        let error = fail(&first, Want::Http1).await;
        assert_eq!((error.kind, error.retryable()), (ConnectErrorKind::Refused, true));
        assert_eq!(error.reason(), "remote connection failure");
        let error = fail(&first, Want::Http2).await;
        assert_eq!(error.kind, ConnectErrorKind::Refused);
        assert_eq!(first.cells().connect_failures.value(), 2);
        assert_eq!(only(&first).cells().connect_failures.value(), 2);
        assert_eq!(first.core.connections.get(), 0);

        // Accepts, but never says a word: the TLS handshake and HTTP/2's SETTINGS count too.
        let silent = Plain::start().await;
        let short = |config| ClusterConfig { connect_timeout: Some(Duration::from_millis(100)), ..config };
        let tls = cluster(short(Ca::new("ca").config("app.example")), list(&[(silent.address, 1)]));
        let plain = cluster(short(config()), list(&[(silent.address, 1)]));
        for (cluster, want) in [(&tls, Want::Http1), (&tls, Want::Http2), (&plain, Want::Http2)] {
            let started = Instant::now();
            let error = fail(cluster, want).await;
            assert_eq!(error.kind, ConnectErrorKind::Timeout);
            assert_eq!(error.reason(), "connection timeout");
            assert!((90..1500).contains(&started.elapsed().as_millis()));
        }
        assert_eq!(tls.cells().connect_timeouts.value(), 2);
    });
}

/// Serves TLS handshakes and keeps the connections.
async fn tls_peer(tls: fairlead_net::tls::ServerTls) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn_local(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(hello) = read_hello(stream.into()).await else { continue };
            kept.extend(hello.accept(&tls).await);
        }
    });
    address
}

#[test]
fn tls_is_verified_and_its_connections_are_reused() {
    run(async {
        let ca = Ca::new("ca");
        let address = tls_peer(ca.server("app.example", &[ALPN_HTTP11])).await;
        let good = cluster(ca.config("app.example"), list(&[(address, 1)]));
        let conn = checkout(&good).await;
        assert!(conn.h1().is_tls());
        // Session tickets that arrive meanwhile don't make it stale.
        settle().await;
        conn.finish();
        let conn = checkout(&good).await;
        assert!(conn.is_reused());

        let wrong_ca = cluster(Ca::new("other").config("app.example"), list(&[(address, 1)]));
        let error = fail(&wrong_ca, Want::Http1).await;
        assert_eq!((error.kind, error.retryable()), (ConnectErrorKind::Tls, true));
        assert!(error.to_string().contains("not signed by a trusted CA"), "{error}");
        assert_eq!(wrong_ca.cells().tls_errors.value(), 1);
        let wrong_name = cluster(ca.config("other.example"), list(&[(address, 1)]));
        assert_eq!(fail(&wrong_name, Want::Http1).await.kind, ConnectErrorKind::Tls);
        // It was offered h2 alone and knows http/1.1 alone.
        assert_eq!(fail(&good, Want::Http2).await.kind, ConnectErrorKind::Tls);
    });
}

#[test]
fn http2_over_tls_needs_alpn() {
    run(async {
        let ca = Ca::new("ca");
        let address = tls_peer(ca.server("app.example", &[])).await;
        let cluster = cluster(ca.config("app.example"), list(&[(address, 1)]));
        let error = fail(&cluster, Want::Http2).await;
        assert_eq!(error.kind, ConnectErrorKind::Protocol);
        assert!(error.to_string().contains("ALPN"), "{error}");
        let conn = checkout(&cluster).await;
        assert!(conn.h1().is_tls(), "a server without ALPN speaks HTTP/1.1");
    });
}

#[test]
fn unix_sockets() {
    run(async {
        let path = std::env::temp_dir().join(format!("fairlead-upstream-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let cluster = cluster(config(), addresses([(Address::Unix(path.as_path().into()), 1)]));
        let conn = checkout(&cluster).await;
        assert!(matches!(conn.h1().stream(), Stream::Unix(_)));
        let accepted = listener.accept().await.unwrap();
        conn.finish();
        let conn = checkout(&cluster).await;
        assert!(conn.is_reused());
        conn.finish();
        drop((accepted, listener));
        settle().await;
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(fail(&cluster, Want::Http1).await.kind, ConnectErrorKind::Other), "no such file");
    });
}

#[test]
fn at_the_connection_limit_requests_wait_their_turn() {
    run(async {
        let peer = Plain::start().await;
        let mut config = config();
        config.thresholds.connections = 1;
        config.thresholds.pending = 2;
        let cluster = cluster(config, list(&[(peer.address, 1)]));
        let conn = checkout(&cluster).await;
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let cluster = cluster.clone();
                spawn_local(async move {
                    let conn = checkout(&cluster).await;
                    settle().await;
                    (local(&conn), conn.is_reused(), conn)
                })
            })
            .collect();
        settle().await;
        let error = fail(&cluster, Want::Http1).await;
        assert_eq!((error.kind, error.retryable(), error.reason()), (ConnectErrorKind::Overflow, false, "overflow"));
        assert!(waiting.iter().all(|w| !w.is_finished()));
        let first = local(&conn);
        conn.finish();
        let mut waiting = waiting.into_iter();
        let (address, reused, conn) = waiting.next().unwrap().await.unwrap();
        assert!(reused && address == first, "it gets the one that was given back");
        drop(conn);
        let (address, reused, _conn) = waiting.next().unwrap().await.unwrap();
        assert!(!reused && address != first, "that one was closed, a new one is allowed");
        assert_eq!(cluster.core.connections.get(), 1);
    });
}

#[test]
fn at_the_limit_an_endpoint_without_connections_may_open_one() {
    run(async {
        let (one, two) = (Plain::start().await, Plain::start().await);
        let mut config = config();
        config.thresholds.connections = 1;
        let cluster = cluster(config, list(&[(one.address, 1), (two.address, 1)]));
        let picks = [cluster.pick(&[]).unwrap(), cluster.pick(&[]).unwrap()];
        let mut conns = Vec::new();
        for pick in &picks {
            conns.push(cluster.checkout(pick, Want::Http1).await.unwrap());
        }
        assert_eq!(cluster.core.connections.get(), 2);
    });
}

#[test]
fn who_gives_up_waiting_takes_nothing_along() {
    run(async {
        let peer = Plain::start().await;
        let mut config = config();
        config.thresholds.connections = 1;
        let cluster = cluster(config, list(&[(peer.address, 1)]));
        let conn = checkout(&cluster).await;
        let (impatient, patient) = (cluster.clone(), cluster.clone());
        let impatient = spawn_local(async move { drop(checkout(&impatient).await) });
        let patient = spawn_local(async move { checkout(&patient).await.is_reused() });
        settle().await;
        // Woken, but gone before it runs.
        conn.finish();
        impatient.abort();
        assert!(patient.await.unwrap());
    });
}

#[test]
fn requests_are_bounded() {
    run(async {
        let peer = Plain::start().await;
        let mut config = config();
        config.thresholds.requests = 1;
        let cluster = cluster(config, list(&[(peer.address, 1)]));
        let conn = checkout(&cluster).await;
        assert_eq!(fail(&cluster, Want::Http1).await.kind, ConnectErrorKind::Overflow);
        conn.finish();
        let conn = checkout(&cluster).await;
        assert!(conn.is_reused());
        let pick = cluster.pick(&[]).unwrap();
        assert!(cluster.try_checkout(&pick, Want::Http1).is_none());
        drop(conn);
    });
}
