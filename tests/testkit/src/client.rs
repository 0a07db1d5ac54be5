//! A client of one connection, the same for HTTP/1.1 and HTTP/2, with or without TLS.
//!
//! It sends what it is told and reads at the same time, and it tells a complete response from one that was cut off.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::Answer;
use crate::tls::Trust;
use crate::wire;

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1.
    H1,
    /// HTTP/2, by prior knowledge or ALPN.
    H2,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Ask {
    /// `GET` …
    pub method: String,
    /// `Host` or `:authority`.
    pub host: String,
    /// With its query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// What follows the head.
    pub content: Content,
    /// After streamed content.
    pub trailers: Vec<(String, String)>,
}

/// The content of a request.
#[derive(Clone, Debug)]
pub enum Content {
    /// Nothing, and nothing said about it.
    None,
    /// With a `content-length`.
    Sized(Bytes),
    /// Without, in pieces of this size: chunks or DATA frames.
    Streamed(Bytes, usize),
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// 1xx responses before the final one.
    pub interim: Vec<Answer>,
    /// The final response as far as it came; status 0 when none did.
    pub answer: Answer,
    /// How it ended.
    pub end: End,
}

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As its framing says.
    Complete,
    /// The connection ended first.
    Closed,
    /// HTTP/2: the stream was reset with this code.
    Reset(u32),
    /// Nothing came for [`LIMIT`].
    Silent,
}

/// How long a reply may take.
pub const LIMIT: Duration = Duration::from_secs(15);

impl Ask {
    /// A request without content to host `test`.
    pub fn new(method: &str, path: &str) -> Ask {
        Ask {
            method: method.to_owned(),
            host: "test".to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            content: Content::None,
            trailers: Vec::new(),
        }
    }

    /// A GET.
    pub fn get(path: &str) -> Ask {
        Ask::new("GET", path)
    }

    /// To another host.
    pub fn host(self, host: &str) -> Ask {
        Ask { host: host.to_owned(), ..self }
    }

    /// With a header.
    pub fn header(mut self, name: &str, value: &str) -> Ask {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With content.
    pub fn content(self, content: Content) -> Ask {
        Ask { content, ..self }
    }

    /// With a trailer.
    pub fn trailer(mut self, name: &str, value: &str) -> Ask {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Reply {
    /// The response, which must have come to its end.
    #[track_caller]
    pub fn whole(self) -> Answer {
        assert_eq!(self.end, End::Complete, "{:?}", self.answer);
        self.answer
    }

    pub(crate) fn none(end: End) -> Reply {
        Reply { interim: Vec::new(), answer: Answer::default(), end }
    }
}

/// A connection.
pub struct Client {
    inner: Inner,
    runtime: Runtime,
}

enum Inner {
    H1 { stream: Box<dyn Io>, ahead: Vec<u8> },
    H2(crate::h2::Connection),
}

/// What a connection runs over.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

impl Client {
    /// Connects without TLS.
    pub fn connect(version: Version, address: SocketAddr) -> Client {
        let runtime = runtime();
        let stream = runtime.block_on(async { TcpStream::connect(address).await.expect("connect") });
        stream.set_nodelay(true).expect("nodelay");
        Client::over(version, Box::new(stream), runtime)
    }

    /// Connects with TLS and the server name `name`; the version is offered by ALPN and must be taken.
    pub fn tls(version: Version, address: SocketAddr, name: &str, trust: &Trust) -> Client {
        let runtime = runtime();
        let alpn: &[u8] = match version {
            Version::H1 => b"http/1.1",
            Version::H2 => b"h2",
        };
        let stream = runtime.block_on(trust.connect(address, name, &[alpn])).expect("TLS handshake");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn), "ALPN");
        Client::over(version, Box::new(stream), runtime)
    }

    fn over(version: Version, stream: Box<dyn Io>, runtime: Runtime) -> Client {
        let inner = match version {
            Version::H1 => Inner::H1 { stream, ahead: Vec::new() },
            Version::H2 => Inner::H2(runtime.block_on(crate::h2::Connection::over(stream))),
        };
        Client { inner, runtime }
    }

    /// Sends a request and reads the response, at the same time.
    pub fn ask(&mut self, ask: &Ask) -> Reply {
        let Client { inner, runtime } = self;
        runtime.block_on(async {
            let reply = async {
                match inner {
                    Inner::H1 { stream, ahead } => h1(stream, ahead, ask).await,
                    Inner::H2(connection) => connection.ask(ask).await,
                }
            };
            tokio::time::timeout(LIMIT, reply).await.unwrap_or_else(|_| Reply::none(End::Silent))
        })
    }
}

/// A runtime for one client.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime")
}

/// Sends one request on a new connection.
pub fn ask(version: Version, address: SocketAddr, ask: &Ask) -> Reply {
    Client::connect(version, address).ask(ask)
}

async fn h1(stream: &mut Box<dyn Io>, ahead: &mut Vec<u8>, ask: &Ask) -> Reply {
    let (mut read, mut write) = tokio::io::split(stream);
    let mut sending = pin!(async {
        write.write_all(&h1_bytes(ask)).await?;
        write.flush().await
    });
    let mut reading = pin!(h1_reply(&mut read, ahead, ask.method == "HEAD"));
    let mut sent = false;
    loop {
        tokio::select! {
            // A broken write is told by what is read.
            _ = &mut sending, if !sent => sent = true,
            reply = &mut reading => return reply,
        }
    }
}

fn h1_bytes(ask: &Ask) -> Vec<u8> {
    let mut out = format!("{} {} HTTP/1.1\r\nhost: {}\r\n", ask.method, ask.path, ask.host).into_bytes();
    for (name, value) in &ask.headers {
        out.extend(format!("{name}: {value}\r\n").as_bytes());
    }
    match &ask.content {
        Content::None => out.extend(b"\r\n"),
        Content::Sized(data) => {
            out.extend(format!("content-length: {}\r\n\r\n", data.len()).as_bytes());
            out.extend(data);
        }
        Content::Streamed(data, piece) => {
            out.extend(b"transfer-encoding: chunked\r\n\r\n");
            for piece in data.chunks(*piece) {
                out.extend(format!("{:x}\r\n", piece.len()).as_bytes());
                out.extend(piece);
                out.extend(b"\r\n");
            }
            out.extend(b"0\r\n");
            for (name, value) in &ask.trailers {
                out.extend(format!("{name}: {value}\r\n").as_bytes());
            }
            out.extend(b"\r\n");
        }
    }
    out
}

/// Reads interim responses and the final one.
async fn h1_reply(stream: &mut (impl AsyncRead + Unpin), ahead: &mut Vec<u8>, to_head: bool) -> Reply {
    let mut reply = Reply::none(End::Closed);
    let mut source = Source { stream, ahead };
    loop {
        let Some(head) = source.until(b"\r\n\r\n").await else { return reply };
        let Some(answer) = wire::head(&head) else { return reply };
        if answer.status < 200 && answer.status != 101 {
            reply.interim.push(answer);
            continue;
        }
        reply.answer = answer;
        let done = matches!(reply.answer.status, 101 | 204 | 304) || to_head;
        if done || source.content(&mut reply.answer).await.is_some() {
            reply.end = End::Complete;
        }
        return reply;
    }
}

struct Source<'a, R> {
    stream: &'a mut R,
    ahead: &'a mut Vec<u8>,
}

impl<R: AsyncRead + Unpin> Source<'_, R> {
    async fn more(&mut self) -> Option<()> {
        self.ahead.reserve(16 * 1024);
        self.stream.read_buf(self.ahead).await.ok().filter(|n| *n > 0).map(|_| ())
    }

    async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.ahead.windows(end.len()).position(|w| w == end) {
                return Some(self.ahead.drain(..at + end.len()).collect());
            }
            self.more().await?;
        }
    }

    /// Moves `n` bytes; what there is of them when the stream ends first.
    async fn exactly(&mut self, mut n: usize, to: &mut Vec<u8>) -> Option<()> {
        loop {
            let now = n.min(self.ahead.len());
            to.extend(self.ahead.drain(..now));
            n -= now;
            if n == 0 {
                return Some(());
            }
            self.more().await?;
        }
    }

    /// Reads what follows the head.
    async fn content(&mut self, answer: &mut Answer) -> Option<()> {
        if answer.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
            return self.chunks(answer).await;
        }
        if let Some(length) = answer.header("content-length") {
            let length = length.parse().ok()?;
            return self.exactly(length, &mut answer.body).await;
        }
        while self.more().await.is_some() {}
        answer.body = std::mem::take(self.ahead);
        Some(())
    }

    async fn chunks(&mut self, answer: &mut Answer) -> Option<()> {
        loop {
            let line = self.until(b"\r\n").await?;
            let size = usize::from_str_radix(str::from_utf8(&line).ok()?.trim().split(';').next()?, 16).ok()?;
            if size == 0 {
                break;
            }
            self.exactly(size, &mut answer.body).await?;
            let mut end = Vec::new();
            self.exactly(2, &mut end).await?;
            (end == b"\r\n").then_some(())?;
        }
        loop {
            let line = self.until(b"\r\n").await?;
            if line == b"\r\n" {
                return Some(());
            }
            answer.trailers.extend(wire::field(&String::from_utf8_lossy(&line)));
        }
    }
}
