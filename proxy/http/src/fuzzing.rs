//! The parsers without sockets, and readings of the same bytes by others, for fuzzing and property tests.
//!
//! Compiled for tests and with the feature `fuzzing` only.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};

use crate::buf::Buf;
use crate::h1::decode::{self, Bounds, Decoder, Step};
use crate::h1::{encode, parse};
use crate::{Error, Fields, Framing, Limits, Reject, RequestHead, ResponseHead, Scheme, Underscores};

pub use crate::h1::parse::Parsed;

/// Parses a request head.
///
/// # Errors
/// As a server would answer.
pub fn request(input: &[u8], limits: &Limits) -> Result<Option<(Parsed, RequestHead)>, Reject> {
    let mut head = RequestHead::new();
    Ok(parse::request(input, &mut head, limits, Scheme::Http)?.map(|p| (p, head)))
}

/// Parses a response head.
///
/// # Errors
/// As a client would fail.
pub fn response(input: &[u8], limits: &Limits, to_head: bool) -> Result<Option<(Parsed, ResponseHead)>, Error> {
    let mut head = ResponseHead::default();
    Ok(parse::response(input, &mut head, limits, to_head)?.map(|p| (p, head)))
}

/// Writes a request head; `None` when it is too large.
pub fn write_request(head: &RequestHead, framing: Framing) -> Option<Vec<u8>> {
    let mut out = Buf::default();
    encode::request(head, framing, &mut out).ok()?;
    Some(out.bytes().to_vec())
}

/// Content that was received to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What followed them.
    pub trailers: Fields,
    /// Bytes of the input that belong to the message.
    pub len: usize,
}

/// Decodes content that arrives in pieces; `None` when it is incomplete.
///
/// # Errors
/// When its framing is broken.
pub fn content(framing: Framing, pieces: &[&[u8]]) -> Result<Option<Content>, Error> {
    let bounds = Bounds { extension_bytes: 64, trailer_bytes: 256, trailers: 8 };
    let mut decoder = Decoder::new(framing);
    let mut content = Content { bytes: Vec::new(), trailers: Fields::new(), len: 0 };
    let mut input = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let rest = &input[content.len..];
            match decoder.step(rest, &bounds)? {
                Step::Content(n) => {
                    content.bytes.extend_from_slice(&rest[..n]);
                    content.len += n;
                    decoder.took(n);
                }
                Step::Skip(n) => content.len += n,
                Step::Trailer(n) => {
                    decode::trailer(&rest[..n], &mut content.trailers, &bounds)?;
                    content.len += n;
                }
                Step::More | Step::Done => break,
            }
        }
    }
    decode::drop_forbidden(&mut content.trailers);
    Ok(decoder.is_done().then_some(content))
}

/// A request as those behind us may read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The content.
    pub content: Vec<u8>,
}

/// The complete requests that we read in a connection's bytes, up to the first that we refuse, that ends the connection, or whose target
/// hyper's URI type cannot hold.
pub fn our_reading(mut input: &[u8]) -> Vec<Message> {
    let limits = Limits { underscores: Underscores::Allow, ..Limits::default() };
    let mut messages = Vec::new();
    while let Ok(Some((parsed, head))) = request(input, &limits) {
        let target = String::from_utf8_lossy(head.path_and_query()).into_owned();
        if target.parse::<http::Uri>().is_err() {
            break;
        }
        let Ok(Some(content)) = content(parsed.framing, &[&input[parsed.len..]]) else { break };
        let method = String::from_utf8_lossy(head.method_bytes()).into_owned();
        messages.push(Message { method, target, content: content.bytes });
        if !parsed.keep_alive || head.upgrade.is_some() {
            break;
        }
        input = &input[parsed.len + content.len..];
    }
    messages
}

/// The complete requests that hyper reads in a connection's bytes.
pub fn hypers_reading(input: &[u8]) -> Vec<Message> {
    let messages = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&messages);
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
        let seen = Rc::clone(&seen);
        async move {
            let (parts, body) = request.into_parts();
            if let Ok(body) = body.collect().await {
                let target = parts.uri.path_and_query().map_or("", |p| p.as_str()).to_string();
                let content = body.to_bytes().to_vec();
                seen.borrow_mut().push(Message { method: parts.method.to_string(), target, content });
            }
            Ok::<_, Infallible>(http::Response::new(Empty::<Bytes>::new()))
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(Script { input: input.to_vec(), at: 0 }, service);
    let mut connection = pin!(connection);
    let mut cx = Context::from_waker(Waker::noop());
    // Everything is ready at once; what is still pending then waits for nothing we have.
    for _ in 0..10_000 {
        if connection.as_mut().poll(&mut cx).is_ready() {
            break;
        }
    }
    messages.take()
}

/// A connection that sends its bytes, then ends, and takes what it gets.
struct Script {
    input: Vec<u8>,
    at: usize,
}

impl Read for Script {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let n = buf.remaining().min(self.input.len() - self.at);
        buf.put_slice(&self.input[self.at..self.at + n]);
        self.at += n;
        Poll::Ready(Ok(()))
    }
}

impl Write for Script {
    fn poll_write(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const THREE: &[u8] =
        b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\
        PUT /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nt: u\r\n\r\n";

    #[test]
    fn both_read_the_same() {
        let ours = our_reading(THREE);
        assert_eq!(
            ours.iter().map(|m| (m.target.as_str(), m.content.as_slice())).collect::<Vec<_>>(),
            [("/1", &b""[..]), ("/2", b"hi"), ("/3", b"abc")]
        );
        assert_eq!(ours, hypers_reading(THREE));
    }

    fn connection() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            "GET / HTTP/1.1\r\n",
            "POST /x HTTP/1.1\r\n",
            "Host: a\r\n",
            "\r\n",
            "Content-Length: 5\r\n",
            "Content-Length: 0\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip\r\n",
            "hello",
            "5\r\nhello\r\n",
            "0\r\n\r\n",
            "0\r\na: b\r\n\r\n",
            "GET /z HTTP/1.0\r\n",
            "Connection: close\r\n",
            "Connection: keep-alive\r\n",
            "x: y\r\n",
            " z\r\n",
            "\n",
            "\r",
            ";e\r\n",
            "3",
            "Expect: 100-continue\r\n",
            "GET http://a/q HTTP/1.1\r\n",
            "Upgrade: websocket\r\nConnection: upgrade\r\n",
            "Content-Length: +5\r\n",
        ]);
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn what_we_accept_hyper_reads_the_same(bytes in connection()) {
            let (ours, hypers) = (our_reading(&bytes), hypers_reading(&bytes));
            prop_assert!(hypers.starts_with(&ours), "{}\nours {:?}\nhyper's {:?}", bytes.escape_ascii(), ours, hypers);
        }
    }
}
