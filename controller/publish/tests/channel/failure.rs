//! Peers that vanish without a word.

use crate::setup::{Controller, GATEWAY};
use fairlead_wire::client::{Client, Settings};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes bytes on both ways, until it is told to swallow them.
async fn cable(to: SocketAddr) -> (SocketAddr, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (cut, is_cut) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            if let Ok(far) = TcpStream::connect(to).await {
                let ((a, b), (c, d)) = (near.into_split(), far.into_split());
                tokio::spawn(carry(a, d, is_cut.clone()));
                tokio::spawn(carry(c, b, is_cut.clone()));
            }
        }
    });
    (address, cut)
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    cut: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        if !*cut.borrow() && to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
    // Not a word, not even the end.
    if *cut.borrow() {
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn both_sides_notice_silence() {
    let controller = Controller::start().await;
    controller.publish(1, "a=1");
    let (address, cut) = cable(controller.server.address()).await;
    let mut proxy = controller.proxy_with("p", &format!("good {GATEWAY} p"), |settings| {
        settings.controller = format!("https://{address}");
    });
    proxy.takes().await;
    controller.served("p", 1).await;
    let start = Instant::now();
    cut.send_replace(true);
    controller.progress("gone", BTreeMap::is_empty).await;
    proxy.link(|link| link.peer.is_none()).await;
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    controller.publish(2, "a=2");
    cut.send_replace(false);
    assert_eq!(proxy.takes().await, (2, "a=2".into()));
}

#[test]
fn an_address_that_makes_no_sense_is_refused() {
    let settings = Settings {
        controller: "controller:18443".into(),
        ca_file: "ca".into(),
        token_file: "token".into(),
        gateway: GATEWAY.into(),
        pod: "p".into(),
        program: "1".into(),
        cache: None,
        patience: Duration::ZERO,
        clock: Default::default(),
    };
    let problem = Client::start(settings).map(drop).unwrap_err().to_string();
    assert_eq!(problem, "controller \"controller:18443\": must be https://HOST or https://HOST:PORT");
}
