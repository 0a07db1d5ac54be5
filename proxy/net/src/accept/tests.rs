#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use crate::testing::{receive, send};
use crate::{Accepted, ConnectOptions, ListenOptions, Listener, connect_tcp, listen_tcp};

fn listener(addr: &str) -> Listener {
    Listener::new(listen_tcp(addr.parse().unwrap(), &ListenOptions::default()).unwrap()).unwrap()
}

#[tokio::test]
async fn knows_both_ends_and_the_concrete_local_address() {
    for bind in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
        let listener = listener(bind);
        let to = SocketAddr::new([127, 0, 0, 1].into(), listener.local_addr().port());
        let mut client = connect_tcp(to, &ConnectOptions::default()).await.unwrap();
        let Accepted { peer, local, socket } = listener.accept().await.unwrap();
        assert_eq!(local, to, "{bind}");
        assert!(peer.is_ipv4() && peer.ip().is_loopback() && peer.port() != 0, "{bind}: {peer}");
        assert!(socket.nodelay().unwrap(), "inherited from the listener");
        let mut server = Accepted { peer, local, socket }.into_stream().unwrap();
        send(&mut server, b"hi").await;
        assert_eq!(receive(&mut client, 8).await.unwrap(), b"hi");
    }
}

#[tokio::test]
async fn a_socket_moves_to_another_worker_before_it_is_registered() {
    let listener = listener("127.0.0.1:0");
    let mut client = connect_tcp(listener.local_addr(), &ConnectOptions::default()).await.unwrap();
    let accepted = listener.accept().await.unwrap();
    let other = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let mut stream = accepted.into_stream().unwrap();
            let got = receive(&mut stream, 64).await.unwrap();
            send(&mut stream, &got).await;
        });
    });
    send(&mut client, b"over there").await;
    assert_eq!(receive(&mut client, 64).await.unwrap(), b"over there");
    other.join().unwrap();
}

#[tokio::test]
async fn many_connections_in_one_wake_up_are_all_accepted() {
    let listener = listener("127.0.0.1:0");
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(connect_tcp(listener.local_addr(), &ConnectOptions::default()).await.unwrap());
    }
    for _ in 0..50 {
        listener.accept().await.unwrap();
    }
    let more = tokio::time::timeout(std::time::Duration::from_millis(20), listener.accept()).await;
    assert!(more.is_err(), "and then it waits");
}
