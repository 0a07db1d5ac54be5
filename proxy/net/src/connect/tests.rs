#![allow(clippy::unwrap_used)]

use std::os::linux::net::SocketAddrExt;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{ConnectOptions, connect_tcp, connect_unix};
use crate::Stream;
use crate::testing::{receive, send};

#[tokio::test]
async fn tcp_sends_at_once_from_the_address_asked_for() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = ConnectOptions { bind: Some([127, 0, 0, 2].into()), ..ConnectOptions::default() };
    let stream = connect_tcp(listener.local_addr().unwrap(), &options).await.unwrap();
    let (_, peer) = listener.accept().await.unwrap();
    assert_eq!(peer.ip().to_string(), "127.0.0.2");
    let Stream::Tcp(tcp) = stream else { panic!("{stream:?}") };
    assert!(tcp.nodelay().unwrap());
}

#[tokio::test]
async fn refused_is_refused() {
    let addr = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let e = connect_tcp(addr, &ConnectOptions::default()).await.unwrap_err();
    assert_eq!(e.kind(), std::io::ErrorKind::ConnectionRefused);
    let e = connect_unix(Path::new("/nowhere/at/all.sock")).await.unwrap_err();
    assert_eq!(e.kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test]
async fn unix_by_path_and_by_abstract_name() {
    let dir = std::env::temp_dir().join(format!("fairlead-net-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("a.sock");
    let by_path = tokio::net::UnixListener::bind(&path).unwrap();
    echo(by_path, &path).await;

    let name = format!("fairlead-net-{}", std::process::id());
    let addr = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let by_name = std::os::unix::net::UnixListener::bind_addr(&addr).unwrap();
    by_name.set_nonblocking(true).unwrap();
    echo(tokio::net::UnixListener::from_std(by_name).unwrap(), Path::new(&format!("@{name}"))).await;
    std::fs::remove_dir_all(&dir).unwrap();
}

async fn echo(listener: tokio::net::UnixListener, path: &Path) {
    let serve = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut buf = [0; 4];
        socket.read_exact(&mut buf).await.unwrap();
        socket.write_all(&buf).await.unwrap();
    };
    let ask = async {
        let mut stream = connect_unix(path).await.unwrap();
        assert!(!stream.is_stale());
        send(&mut stream, b"ping").await;
        receive(&mut stream, 8).await.unwrap()
    };
    let ((), answer) = tokio::join!(serve, ask);
    assert_eq!(answer, b"ping");
}
