//! What is not HTTP, other sockets, and the server's life.

use std::time::{Duration, Instant};

use fairlead_net::connect_unix;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UdpSocket;

use super::{Echo, connect, get, json as parse, parse as args, rest, until};
use crate::echo::{HELP, Server};

#[tokio::test]
async fn tcp_bytes_come_back() {
    let echo = Echo::start(&["--tcp-port", "0"]);
    let mut stream = connect(echo.listening().tcp.unwrap()).await;
    let sent: Vec<u8> = (0..500_000u32).map(|i| i as u8).collect();
    let (mut read, mut write) = tokio::io::split(&mut stream);
    let mut got = vec![0; sent.len()];
    let (written, received) = tokio::join!(write.write_all(&sent), read.read_exact(&mut got));
    written.unwrap();
    received.unwrap();
    assert!(got == sent);
    write.shutdown().await.unwrap();
    assert_eq!(read.read(&mut got).await.unwrap(), 0, "the end comes back, too");
}

#[tokio::test]
async fn datagrams_come_back() {
    let echo = Echo::start(&["--udp-port", "0", "--suite-udp-port", "0"]);
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut buf = [0; 4096];
    client.send_to(b"ping", echo.listening().udp.unwrap()).await.unwrap();
    let n = client.recv(&mut buf).await.unwrap();
    assert_eq!(&buf[..n], b"ping");
    client.send_to(b"ping", echo.listening().suite_udp.unwrap()).await.unwrap();
    let n = client.recv(&mut buf).await.unwrap();
    let want = json!({"request": "ping", "namespace": "shop", "ingress": "", "service": "", "pod": "one"});
    assert_eq!(parse(std::str::from_utf8(&buf[..n]).unwrap()), want);
}

#[tokio::test]
async fn the_suites_tcp_server() {
    let echo = Echo::start(&["--suite-tcp-port", "0"]);
    let addr = echo.listening().suite_tcp.unwrap();
    let mut stream = connect(addr).await;
    assert_eq!(until(&mut stream, "\n").await, "Gateway API Test TCP Server\n");
    stream.write_all(b"PING\nnonsense\nIS_TLS\r\nTEST\n").await.unwrap();
    assert_eq!(until(&mut stream, "\n").await, "PONG\n");
    assert_eq!(until(&mut stream, "\n").await, "false\n");
    let report = parse(&until(&mut stream, "\n").await);
    let want = json!({
        "namespace": "shop", "ingress": "", "service": "", "pod": "one", "tcpport": addr.port().to_string(), "isTLS": false,
    });
    assert_eq!(report, want);
}

#[tokio::test]
async fn unix_sockets() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("echo.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "left behind by somebody who is gone");
    let echo = Echo::start(&["--unix", path.to_str().unwrap()]);
    let mut stream = connect_unix(&path).await.unwrap();
    stream.write_all(b"GET /u HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let answer = rest(&mut stream).await.unwrap();
    let report = parse(answer.split_once("\r\n\r\n").unwrap().1);
    assert_eq!((&report["path"], &report["httpPort"]), (&json!("/u"), &json!("")));

    let e = Server::start(&args(&["--unix", path.to_str().unwrap()])).unwrap_err();
    assert!(format!("{e:#}").contains("echo.sock"), "in use: {e:#}");
    tokio::task::spawn_blocking(move || echo.0.stop()).await.unwrap().unwrap();
    assert!(!path.exists(), "cleaned up");
    std::fs::write(&path, "precious").unwrap();
    assert!(Server::start(&args(&["--unix", path.to_str().unwrap()])).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"precious", "not a socket");
}

#[tokio::test]
async fn several_ports_and_workers() {
    let echo = Echo::start(&["--port", "0", "--workers", "3"]);
    let ports = echo.listening().http.clone();
    assert_eq!(ports.len(), 2);
    for addr in &ports {
        for _ in 0..20 {
            let (_, body) = get(*addr, "/").await;
            assert_eq!(parse(&body)["httpPort"], addr.port().to_string());
        }
    }
    let text = echo.listening().to_string();
    assert!(text.contains(&format!("listening on http://{}", ports[1])), "{text}");
    let mut taken = args(&[]);
    taken.port = vec![ports[0].port()];
    let e = Server::start(&taken).unwrap_err();
    assert!(e.to_string().contains("another process listens on port"), "{e}");
}

#[tokio::test]
async fn stopping_lets_a_request_finish_and_closes_idle_connections() {
    let echo = Echo::start(&[]);
    let addr = echo.http();
    let mut idle = connect(addr).await;
    idle.write_all(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until(&mut idle, "\n}").await;
    let mut busy = connect(addr).await;
    busy.write_all(b"GET /slow?delay=300ms HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let server = echo.0;
    let start = Instant::now();
    let stopping = tokio::task::spawn_blocking(move || server.stop());
    assert_eq!(rest(&mut idle).await.unwrap(), "");
    let answer = rest(&mut busy).await.unwrap();
    assert!(answer.contains("connection: close") && answer.contains("/slow"), "{answer}");
    stopping.await.unwrap().unwrap();
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert!(std::net::TcpStream::connect(addr).is_err());
}

#[test]
fn help_names_every_wish() {
    for word in [
        "delay=",
        "status=",
        "size=",
        "chunk=",
        "chunk-delay=",
        "chunked=",
        "trailers=",
        "early-hints=",
        "close=",
        "hang=",
        "connection=",
        "read=",
        "grpc-status=",
        "grpc-message=",
        "X-Echo-Set-Header",
        "/echo-body",
        "/sink",
        "/raw",
        "/ws",
        "/retry/",
        "/status/",
        "/health",
    ] {
        assert!(HELP.contains(word), "{word}");
    }
}
