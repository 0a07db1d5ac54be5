//! The echo server as clients see it: real sockets, and exact bytes where they matter.

#![allow(clippy::unwrap_used)]

mod broken;
mod grpc;
mod http;
mod others;
mod tls;
mod websocket;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser as _;
use fairlead_net::{ConnectOptions, Stream, connect_tcp};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper::http::response::Parts;
use hyper::{HeaderMap, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Args;
use super::server::{Listening, Server};

/// A server that stops after the test.
struct Echo(Server);

impl Echo {
    /// On free ports of the loopback interface, with more arguments.
    fn start(args: &[&str]) -> Echo {
        Echo(Server::start(&parse(args)).unwrap())
    }

    fn listening(&self) -> &Listening {
        self.0.listening()
    }

    fn http(&self) -> SocketAddr {
        self.listening().http[0]
    }
}

/// Arguments for free ports of the loopback interface, and more.
fn parse(args: &[&str]) -> Args {
    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }
    let fixed = ["echo", "--address", "127.0.0.1", "--port", "0", "--pod", "one", "--namespace", "shop"];
    Cli::parse_from(fixed.iter().chain(args)).args
}

async fn connect(addr: SocketAddr) -> Stream {
    connect_tcp(addr, &ConnectOptions::default()).await.unwrap()
}

/// All bytes that answer `request` on a connection that the server closes.
async fn raw(addr: SocketAddr, request: &str) -> String {
    let mut stream = connect(addr).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    rest(&mut stream).await.unwrap()
}

async fn rest(stream: &mut Stream) -> std::io::Result<String> {
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.unwrap()?;
    Ok(String::from_utf8(answer).unwrap())
}

/// Reads until `end` has arrived.
async fn until(stream: &mut Stream, end: &str) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut byte)).await;
        read.unwrap_or_else(|_| panic!("waiting after {:?}", String::from_utf8_lossy(&answer))).unwrap();
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap()
}

/// Head and body of the answer to a `GET` on HTTP/1.1.
async fn get(addr: SocketAddr, path: &str) -> (String, String) {
    get_with(addr, path, "").await
}

/// As [`get`], with header lines.
async fn get_with(addr: SocketAddr, path: &str, headers: &str) -> (String, String) {
    let answer =
        raw(addr, &format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n{headers}Connection: close\r\n\r\n")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    (head.to_owned(), body.to_owned())
}

fn json(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {body}"))
}

/// A connection for HTTP/2.
async fn http2<B>(stream: Stream) -> http2::SendRequest<B>
where
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    // It ends with the test, or earlier with an error that the sender shows, too.
    tokio::spawn(connection);
    sender
}

/// The answer on HTTP/2: head, data and trailers.
async fn ask_http2(addr: SocketAddr, request: Request<Full<Bytes>>) -> Result<(Parts, Bytes, HeaderMap), hyper::Error> {
    let mut sender = http2(connect(addr).await).await;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?;
    let trailers = body.trailers().cloned().unwrap_or_default();
    Ok((head, body.to_bytes(), trailers))
}
