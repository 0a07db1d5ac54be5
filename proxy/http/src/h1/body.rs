//! Content, both ways, for both sides.

use std::io::IoSlice;
use std::task::{Context, Poll, ready};

use crate::error::Error;
use crate::fields::Fields;
use crate::h1::Conn;
use crate::h1::decode::{self, Step};
use crate::h1::encode::{self, Encoder};
use crate::leg::Event;

/// Content up to this size is copied behind what is queued, to leave in the same write; larger content is written from where
/// it lies.
const SMALL: usize = 4096;

/// Once this much is queued it is written before more is.
const QUEUED: usize = 32 * 1024;

/// Room for the framing around a piece of content: a size line and two line ends.
const FRAMING: usize = 32;

static NO_TRAILERS: Fields = Fields::new();

impl Conn {
    /// See [`crate::Leg::poll_data`].
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Error>> {
        if self.ready > 0 {
            return Poll::Ready(Ok(Event::Data));
        }
        if self.facts.broken || self.facts.recv_broken || self.facts.awaits_head {
            return Poll::Ready(Err(Error::local("http1.connection_broken")));
        }
        loop {
            match self.decode() {
                Ok(Some(event)) => return Poll::Ready(Ok(event)),
                Ok(None) => {}
                Err(e) => return Poll::Ready(Err(self.fail_receiving(e))),
            }
            match ready!(self.poll_fill(cx)) {
                Ok(0) if self.decoder.may_end() => self.decoder.end(),
                Ok(0) => return Poll::Ready(Err(self.fail(Error::CLOSED))),
                Ok(_) => {}
                Err(e) => return Poll::Ready(Err(self.fail(e))),
            }
        }
    }

    /// What the bytes at hand hold; `None` when more are needed.
    fn decode(&mut self) -> Result<Option<Event>, Error> {
        loop {
            match self.decoder.step(self.input.bytes(), &self.bounds)? {
                Step::Content(n) => {
                    self.ready = n as u32;
                    return Ok(Some(Event::Data));
                }
                Step::Skip(n) => self.input.consume(n),
                Step::Trailer(n) => {
                    let trailers = self.trailers.get_or_insert_default();
                    decode::trailer(&self.input.bytes()[..n], trailers, &self.bounds)?;
                    self.input.consume(n);
                }
                Step::More => return Ok(None),
                Step::Done => {
                    if !self.facts.trailers_told {
                        self.facts.trailers_told = true;
                        if let Some(trailers) = &mut self.trailers {
                            decode::drop_forbidden(trailers);
                            if !trailers.is_empty() {
                                return Ok(Some(Event::Trailers));
                            }
                        }
                    }
                    return Ok(Some(Event::End));
                }
            }
        }
    }

    /// The content at hand.
    #[inline]
    pub(crate) fn data(&self) -> &[u8] {
        &self.input.bytes()[..self.ready as usize]
    }

    /// Drops the first `n` bytes of the content at hand.
    #[inline]
    pub(crate) fn consume(&mut self, n: usize) {
        let n = n.min(self.ready as usize);
        self.ready -= n as u32;
        self.input.consume(n);
        self.decoder.took(n);
    }

    /// The trailers that came in; empty before [`Event::Trailers`].
    pub(crate) fn trailers(&self) -> &Fields {
        match &self.trailers {
            Some(trailers) if self.facts.trailers_told => trailers,
            _ => &NO_TRAILERS,
        }
    }

    /// Whether the incoming message was received to its end.
    pub(crate) fn recv_done(&self) -> bool {
        self.decoder.is_done() && self.ready == 0 && !self.facts.awaits_head
    }

    /// See [`crate::Leg::poll_write`].
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Error>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let allowed = match self.encoder {
            _ if self.facts.broken || self.facts.send_broken => {
                return Poll::Ready(Err(Error::local("http1.connection_broken")));
            }
            Encoder::Discard => return Poll::Ready(Ok(data.len())),
            Encoder::Done | Encoder::Empty => 0,
            Encoder::Length(left) => left,
            Encoder::Chunked(_) | Encoder::UntilClose => u64::MAX,
        };
        if data.len() as u64 > allowed {
            return Poll::Ready(Err(self.fail_sending(Error::local("http.body_longer_than_declared"))));
        }
        if self.queue(data) {
            return Poll::Ready(Ok(data.len()));
        }
        match ready!(self.poll_write_through(cx, data)) {
            Ok(n) => Poll::Ready(Ok(n)),
            Err(e) => Poll::Ready(Err(self.fail_sending(e))),
        }
    }

    /// Queues a small piece of content behind what is queued.
    fn queue(&mut self, data: &[u8]) -> bool {
        let fits = data.len() <= SMALL && self.output.len() <= QUEUED && self.output.room() >= data.len() + FRAMING;
        if !fits {
            return false;
        }
        match &mut self.encoder {
            Encoder::Chunked(0) => {
                encode::chunk_size(data.len(), &mut self.output) && self.output.put(data) && self.output.put(b"\r\n")
            }
            // In the middle of an announced chunk.
            Encoder::Chunked(_) => false,
            Encoder::Length(left) => {
                *left -= data.len() as u64;
                self.output.put(data)
            }
            _ => self.output.put(data),
        }
    }

    /// Writes what is queued and some of `data` with one system call.
    fn poll_write_through(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Error>> {
        while self.output.room() < FRAMING {
            let n = ready!(self.stream.poll_write(cx, self.output.bytes()))?;
            if n == 0 {
                return Poll::Ready(Err(Error::CLOSED));
            }
            self.output.consume(n);
            self.output.spare();
        }
        if self.encoder == Encoder::Chunked(0) && encode::chunk_size(data.len(), &mut self.output) {
            self.encoder = Encoder::Chunked(data.len() as u64);
        }
        let (take, tail) = match self.encoder {
            Encoder::Chunked(owed) if owed <= data.len() as u64 => (owed as usize, &b"\r\n"[..]),
            _ => (data.len(), &b""[..]),
        };
        loop {
            let queued = self.output.len();
            let slices = [IoSlice::new(self.output.bytes()), IoSlice::new(&data[..take]), IoSlice::new(tail)];
            let n = ready!(self.stream.poll_write_vectored(cx, &slices))?;
            if n == 0 {
                return Poll::Ready(Err(Error::CLOSED));
            }
            self.output.consume(n.min(queued));
            if n <= queued {
                continue;
            }
            let content = (n - queued).min(take);
            match &mut self.encoder {
                Encoder::Length(owed) | Encoder::Chunked(owed) => *owed -= content as u64,
                _ => {}
            }
            if content == take {
                // The output is empty here, so that the rest of a line end always fits.
                let _ = self.output.put(&tail[n - queued - content..]);
            }
            return Poll::Ready(Ok(content));
        }
    }

    /// See [`crate::Leg::poll_flush`].
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match ready!(self.poll_drain(cx)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(e) => Poll::Ready(Err(self.fail_sending(e))),
        }
    }

    /// See [`crate::Leg::poll_finish`].
    pub(crate) fn poll_finish(&mut self, cx: &mut Context<'_>, trailers: Option<&Fields>) -> Poll<Result<(), Error>> {
        match self.encoder {
            _ if self.facts.broken || self.facts.send_broken => {
                return Poll::Ready(Err(Error::local("http1.connection_broken")));
            }
            Encoder::Done => {}
            Encoder::Length(1..) | Encoder::Chunked(1..) => {
                return Poll::Ready(Err(self.fail_sending(Error::local("http.body_shorter_than_declared"))));
            }
            Encoder::Chunked(0) => {
                if encode::chunks_end(trailers, &mut self.output).is_err() {
                    // Not enough room behind what is queued; with an empty buffer it fits, or never will.
                    ready!(self.poll_flush(cx))?;
                    if let Err(e) = encode::chunks_end(trailers, &mut self.output) {
                        return Poll::Ready(Err(self.fail_sending(e)));
                    }
                }
                self.encoder = Encoder::Done;
            }
            Encoder::UntilClose if self.facts.tunnel => {
                ready!(self.poll_flush(cx))?;
                return self.stream.poll_shutdown(cx).map_err(Error::from);
            }
            Encoder::Length(0) | Encoder::UntilClose | Encoder::Discard | Encoder::Empty => {
                self.encoder = Encoder::Done;
            }
        }
        self.poll_flush(cx)
    }
}
