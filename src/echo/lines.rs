//! Everything that is not HTTP: echoes of bytes, and the conformance suite's TCP and UDP servers.

use std::io;

use fairlead_net::Stream;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UdpSocket;

use super::report::{Context, TlsReport, text};

/// Sends every byte back (RFC 862), until the client has ended its side.
pub async fn echo(mut stream: Stream) -> io::Result<()> {
    let mut buf = vec![0; 64 * 1024];
    loop {
        let n = tokio::io::AsyncReadExt::read(&mut stream, &mut buf).await?;
        if n == 0 {
            return stream.shutdown().await;
        }
        stream.write_all(&buf[..n]).await?;
        stream.flush().await?;
    }
}

/// Sends every datagram back.
pub async fn echo_datagrams(socket: UdpSocket) -> io::Result<()> {
    answer_datagrams(socket, |datagram| Some(datagram.to_vec())).await
}

/// What the suite's TCP server says about itself.
#[derive(Debug, Serialize)]
pub struct SuiteReport<'a> {
    #[serde(flatten)]
    pub context: &'a Context,
    pub tcpport: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tlsport: String,
    #[serde(rename = "isTLS")]
    pub is_tls: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsReport>,
}

/// The suite's TCP server: greets, then answers the lines `TEST`, `IS_TLS` and `PING`, and no others.
pub async fn suite(stream: Stream, report: &SuiteReport<'_>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"Gateway API Test TCP Server\n").await?;
    stream.flush().await?;
    let mut line = Vec::new();
    loop {
        line.clear();
        // As long as Go's scanner takes.
        let n = tokio::io::AsyncReadExt::take(&mut stream, MAX_LINE).read_until(b'\n', &mut line).await?;
        if n == 0 {
            return stream.shutdown().await;
        }
        let mut answer = match line.trim_ascii_end() {
            b"TEST" => serde_json::to_string(report)?,
            b"IS_TLS" => report.is_tls.to_string(),
            b"PING" => "PONG".to_owned(),
            _ => continue,
        };
        answer.push('\n');
        stream.write_all(answer.as_bytes()).await?;
        stream.flush().await?;
    }
}

const MAX_LINE: u64 = 64 * 1024;

/// The suite's UDP server: answers with JSON that holds the datagram.
pub async fn suite_datagrams(socket: UdpSocket, context: &Context) -> io::Result<()> {
    #[derive(Serialize)]
    struct Report<'a> {
        request: String,
        #[serde(flatten)]
        context: &'a Context,
    }
    answer_datagrams(socket, |datagram| serde_json::to_vec(&Report { request: text(datagram), context }).ok()).await
}

async fn answer_datagrams(socket: UdpSocket, answer: impl Fn(&[u8]) -> Option<Vec<u8>>) -> io::Result<()> {
    let mut buf = vec![0; 64 * 1024];
    loop {
        // An error here is an ICMP message about an earlier answer; the socket stays good.
        let Ok((n, from)) = socket.recv_from(&mut buf).await else {
            tokio::task::yield_now().await;
            continue;
        };
        if let Some(answer) = answer(&buf[..n]) {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}
