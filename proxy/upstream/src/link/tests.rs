use crate::testing::{Plain, addresses, cluster, config, list, run, settle};
use crate::{Address, ConnectErrorKind};
use std::future::poll_fn;
use std::path::Path;

#[test]
fn each_link_is_a_connection_of_its_own_and_counted() {
    run(async {
        let server = Plain::start().await;
        let cluster = cluster(config(), list(&[(server.address, 1)]));
        let pick = cluster.pick(&[]).unwrap();
        let mut first = cluster.link(&pick).await.unwrap();
        let second = cluster.link(&pick).await.unwrap();
        settle().await;
        assert_eq!(server.accepted(), 2);
        assert_eq!((cluster.cells().connections.value(), cluster.cells().connections_active.value()), (2, 2));
        assert!(first.connected().is_some_and(|connected| connected.local.is_some()));
        poll_fn(|cx| first.io().poll_write(cx, b"hello")).await.unwrap();
        drop((first, second));
        assert_eq!(cluster.cells().connections_active.value(), 0);
        settle().await;
        assert_eq!(server.closed(), 1, "the other one has bytes to read first");
    });
}

#[test]
fn a_refused_link_is_counted_with_its_endpoint() {
    run(async {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let cluster = cluster(config(), list(&[(nobody, 1)]));
        let pick = cluster.pick(&[]).unwrap();
        assert_eq!(cluster.link(&pick).await.unwrap_err().kind, ConnectErrorKind::Refused);
        assert_eq!(cluster.cells().connect_failures.value(), 1);
        assert_eq!(pick.endpoint().cells().connect_failures.value(), 1);
        assert_eq!(pick.endpoint().connections(), 0);
    });
}

#[test]
fn links_are_bounded_but_for_the_first_of_an_endpoint() {
    run(async {
        let server = Plain::start().await;
        let mut config = config();
        config.thresholds.connections = 0;
        let cluster = cluster(config, list(&[(server.address, 1)]));
        let pick = cluster.pick(&[]).unwrap();
        let first = cluster.link(&pick).await.unwrap();
        assert_eq!(cluster.link(&pick).await.unwrap_err().kind, ConnectErrorKind::Overflow);
        drop(first);
        cluster.link(&pick).await.unwrap();
    });
}

#[test]
fn datagrams_go_to_the_endpoint_and_come_back() {
    run(async {
        let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let cluster = cluster(config(), list(&[(server.local_addr().unwrap(), 1)]));
        let link = cluster.link_udp(&cluster.pick(&[]).unwrap()).unwrap();
        link.socket().send(b"ping").unwrap();
        let mut buf = [0; 16];
        let (n, from) = server.recv_from(&mut buf).await.unwrap();
        assert_eq!((&buf[..n], from), (&b"ping"[..], link.socket().local_addr()));
        server.send_to(b"pong", from).await.unwrap();
        let n = poll_fn(|cx| link.socket().poll_recv(cx, &mut buf)).await.unwrap();
        assert_eq!(&buf[..n], b"pong");
        assert_eq!(cluster.cells().connections_active.value(), 1);
        drop(link);
        assert_eq!(cluster.cells().connections_active.value(), 0);
    });
}

#[test]
fn unix_sockets_take_no_datagrams() {
    run(async {
        let cluster = cluster(config(), addresses([(Address::Unix(Path::new("/run/app.sock").into()), 1)]));
        let error = cluster.link_udp(&cluster.pick(&[]).unwrap()).unwrap_err();
        assert_eq!(error.kind, ConnectErrorKind::Protocol);
    });
}
