//! The bodies of answers.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::Sleep;

/// The body of an answer.
pub enum Body {
    /// All there at once, then trailers.
    Whole { data: Option<Bytes>, trailers: Option<HeaderMap> },
    /// Made up on the way.
    Generated(Box<Generated>),
    /// What the client sends, and then more trailers.
    Relay { from: Box<Incoming>, trailers: Option<HeaderMap> },
}

/// A body of a given size in pieces.
pub struct Generated {
    /// Where the bytes come from; a pattern when `None`.
    pub source: Option<Bytes>,
    /// Bytes already gone.
    pub sent: u64,
    /// Bytes still to come.
    pub left: u64,
    /// Bytes at once.
    pub chunk: usize,
    /// Before each piece.
    pub pause: Option<Duration>,
    /// Whether the size is told in advance.
    pub sized: bool,
    /// Breaks off when so many bytes are left.
    pub cut_at: Option<u64>,
    /// After the data.
    pub trailers: Option<HeaderMap>,
    /// The pause in progress.
    pub sleep: Option<Pin<Box<Sleep>>>,
}

/// The body was to break off here.
#[derive(Debug, thiserror::Error)]
#[error("cut off as asked for")]
pub struct Cut;

/// Why a body ends early.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

impl From<Bytes> for Body {
    fn from(data: Bytes) -> Body {
        Body::Whole { data: Some(data).filter(|d| !d.is_empty()), trailers: None }
    }
}

impl Body {
    /// No body.
    pub fn empty() -> Body {
        Body::Whole { data: None, trailers: None }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.get_mut() {
            Body::Whole { data, trailers } => {
                let data = data.take().map(Frame::data);
                Poll::Ready(data.or_else(|| trailers.take().map(Frame::trailers)).map(Ok))
            }
            Body::Generated(generated) => generated.poll_frame(cx),
            Body::Relay { from, trailers } => match ready!(Pin::new(from).poll_frame(cx)) {
                Some(Ok(frame)) => Poll::Ready(Some(Ok(join(frame, trailers)))),
                Some(Err(e)) => Poll::Ready(Some(Err(e.into()))),
                None => Poll::Ready(trailers.take().map(|t| Ok(Frame::trailers(t)))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Whole { data, trailers } => data.is_none() && trailers.is_none(),
            Body::Generated(g) => g.left == 0 && g.cut_at.is_none() && g.trailers.is_none(),
            Body::Relay { from, trailers } => from.is_end_stream() && trailers.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole { trailers: Some(_), .. } | Body::Relay { trailers: Some(_), .. } => SizeHint::default(),
            Body::Whole { data, trailers: None } => SizeHint::with_exact(data.as_ref().map_or(0, |d| d.len() as u64)),
            Body::Generated(g) if g.sized && g.trailers.is_none() => SizeHint::with_exact(g.left),
            Body::Generated(_) => SizeHint::default(),
            Body::Relay { from, trailers: None } => from.size_hint(),
        }
    }
}

/// Adds our trailers to those of the client.
fn join(frame: Frame<Bytes>, ours: &mut Option<HeaderMap>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut theirs) => {
            theirs.extend(ours.take().unwrap_or_default());
            Frame::trailers(theirs)
        }
        Err(frame) => frame,
    }
}

impl Generated {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.cut_at.is_some_and(|at| self.left <= at) {
            // hyper forgets what it has not written when a body fails, so give it a moment.
            ready!(self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(BEFORE_CUT))).as_mut().poll(cx));
            return Poll::Ready(Some(Err(Cut.into())));
        }
        if self.left == 0 {
            return Poll::Ready(self.trailers.take().map(|t| Ok(Frame::trailers(t))));
        }
        if let Some(pause) = self.pause {
            ready!(self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause))).as_mut().poll(cx));
            self.sleep = None;
        }
        let until_cut = self.left - self.cut_at.unwrap_or(0);
        let n = until_cut.min(self.chunk as u64);
        let offset = self.sent;
        self.left -= n;
        self.sent += n;
        // At most `chunk`, which is a usize.
        let n = n as usize;
        let piece = match &mut self.source {
            Some(source) => source.split_to(n.min(source.len())),
            None => pattern(offset, n),
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

/// Time to write out what comes before a body that breaks off.
const BEFORE_CUT: Duration = Duration::from_millis(20);

/// `n` bytes from `offset` on of a text in lines of 64.
fn pattern(offset: u64, n: usize) -> Bytes {
    const LINE: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.\n";
    static BLOCK: [u8; 64 * 1025] = {
        let mut block = [0; 64 * 1025];
        let mut i = 0;
        while i < block.len() {
            block[i] = LINE[i % LINE.len()];
            i += 1;
        }
        block
    };
    // Less than 64.
    let start = (offset % LINE.len() as u64) as usize;
    match BLOCK.get(start..start + n) {
        Some(piece) => Bytes::from_static(piece),
        None => LINE.iter().copied().cycle().skip(start).take(n).collect(),
    }
}

/// What was in a request's body.
#[derive(Debug, Default)]
pub struct Received {
    /// Bytes of data.
    pub bytes: u64,
    /// Trailers, if there were any.
    pub trailers: HeaderMap,
}

/// Reads a body to its end and forgets its data.
pub async fn drain(body: &mut Incoming) -> Result<Received, hyper::Error> {
    let mut received = Received::default();
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) => received.bytes += data.len() as u64,
            Err(frame) => received.trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    Ok(received)
}
