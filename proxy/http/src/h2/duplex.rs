//! The content of one HTTP/2 stream, both ways: pieces in and out, credit, trailers, and how a stream ends.

use std::task::{Context, Poll, Waker, ready};

use ::h2::{Reason, RecvStream, SendStream};
use bytes::{Buf as _, Bytes};

use crate::error::{Error, ErrorKind};
use crate::fields::Fields;
use crate::framing::Framing;
use crate::h2::head;
use crate::leg::Event;

/// Credit is given back in pieces of at least this, to keep WINDOW_UPDATE frames rare.
const CREDIT: usize = 16 * 1024;

/// Content up to this size waits for a flush or the end, to share a frame with END_STREAM.
const SMALL: usize = 4096;

/// A frame of up to this size costs the `h2` crate more than it carries while it waits there.
pub(super) const TINY: usize = 1024;

/// Most content copied into one frame's payload.
const PIECE: usize = 64 * 1024;

static NO_TRAILERS: Fields = Fields::new();

/// Both directions' content.
#[derive(Debug, Default)]
pub(super) struct Duplex {
    pub(super) recv: Option<RecvStream>,
    /// The content at hand.
    pub(super) current: Bytes,
    /// What came behind it in tiny frames.
    gathered: Vec<u8>,
    /// The last frame that came was tiny.
    tiny: bool,
    /// Consumed, but not yet given back to the peer as credit.
    credit: usize,
    trailers: Option<Box<Fields>>,
    trailers_told: bool,
    pub(super) recv_ended: bool,
    pub(super) send: Option<SendStream<Bytes>>,
    /// Small content that waits for a flush or the end.
    held: Bytes,
    /// Content still owed, when its length was declared.
    owed: Option<u64>,
    /// Content is taken and dropped.
    discard: bool,
    send_ended: bool,
}

impl Duplex {
    pub(super) fn receiving(recv: RecvStream) -> Duplex {
        Duplex { recv: Some(recv), ..Duplex::default() }
    }

    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Error>> {
        if !self.current.is_empty() {
            return Poll::Ready(Ok(Event::Data));
        }
        if !self.gathered.is_empty() {
            self.current = std::mem::take(&mut self.gathered).into();
            return Poll::Ready(Ok(Event::Data));
        }
        if self.recv_ended {
            return Poll::Ready(Ok(Event::End));
        }
        let Some(recv) = &mut self.recv else {
            return Poll::Ready(Err(Error::local("http2.stream_misused")));
        };
        if !self.trailers_told {
            loop {
                match ready!(recv.poll_data(cx)) {
                    Some(Ok(data)) if data.is_empty() => {}
                    Some(Ok(data)) => {
                        self.tiny = data.len() <= TINY;
                        self.current = data;
                        return Poll::Ready(Ok(Event::Data));
                    }
                    Some(Err(e)) => return Poll::Ready(Err(e.into())),
                    None => break,
                }
            }
            if let Some(map) = ready!(recv.poll_trailers(cx))? {
                self.trailers_told = true;
                let trailers = self.trailers.get_or_insert_default();
                head::trailers(&map, trailers);
                if !trailers.is_empty() {
                    return Poll::Ready(Ok(Event::Trailers));
                }
            }
        }
        self.recv_ended = true;
        self.give_credit();
        Poll::Ready(Ok(Event::End))
    }

    /// Takes tiny frames out of the connection while nobody takes the content at hand: only so many may wait there, and one more ends the
    /// connection with all its streams. The peer gets no credit for them, so its window bounds what is gathered.
    pub(super) fn gather(&mut self, cx: &mut Context<'_>) {
        let Some(recv) = self.recv.as_mut().filter(|_| !self.recv_ended && !self.trailers_told) else { return };
        while self.tiny
            && let Poll::Ready(Some(Ok(data))) = recv.poll_data(cx)
        {
            self.tiny = data.len() <= TINY;
            self.gathered.extend_from_slice(&data);
        }
    }

    pub(super) fn consume(&mut self, n: usize) {
        let n = n.min(self.current.len());
        self.current.advance(n);
        self.consumed(n);
    }

    fn consumed(&mut self, n: usize) {
        self.credit += n;
        if self.credit >= CREDIT {
            self.give_credit();
        }
    }

    fn give_credit(&mut self) {
        let credit = std::mem::take(&mut self.credit);
        if credit > 0
            && let Some(recv) = &mut self.recv
        {
            // Fails only for more than was received.
            let _ = recv.flow_control().release_capacity(credit);
        }
    }

    /// Takes `n` bytes of the content at hand without copying.
    pub(super) fn take(&mut self, n: usize) -> Bytes {
        let data = self.current.split_to(n);
        self.consumed(n);
        data
    }

    pub(super) fn trailers(&self) -> &Fields {
        self.trailers.as_deref().unwrap_or(&NO_TRAILERS)
    }

    pub(super) fn recv_done(&self) -> bool {
        self.current.is_empty()
            && self.gathered.is_empty()
            && (self.recv_ended || (!self.trailers_told && self.recv.as_ref().is_some_and(RecvStream::is_end_stream)))
    }

    /// Waits until some of `want` bytes can be sent, or dropped.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>, want: usize) -> Poll<Result<usize, Error>> {
        self.send_held()?;
        if want == 0 || self.discard {
            return Poll::Ready(Ok(want));
        }
        if self.owed.is_some_and(|owed| want as u64 > owed) {
            return Poll::Ready(Err(Error::local("http.body_longer_than_declared")));
        }
        let Some(send) = self.send.as_mut().filter(|_| !self.send_ended) else {
            return Poll::Ready(Err(Error::local("http2.stream_misused")));
        };
        let want = want.min(PIECE);
        send.reserve_capacity(want);
        loop {
            let room = send.capacity();
            if room > 0 {
                return Poll::Ready(Ok(room.min(want)));
            }
            match ready!(send.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(e)) => return Poll::Ready(Err(e.into())),
                None => return Poll::Ready(Err(self.why_closed(cx))),
            }
        }
    }

    /// Sends content for which there is room. The last piece at hand may wait for END_STREAM.
    pub(super) fn send(&mut self, data: Bytes, last: bool) -> Result<(), Error> {
        if self.discard || data.is_empty() {
            return Ok(());
        }
        if let Some(owed) = &mut self.owed {
            *owed -= data.len() as u64;
        }
        if last && data.len() <= SMALL {
            self.held = data;
            return Ok(());
        }
        self.send_now(data, false)
    }

    pub(super) fn send_held(&mut self) -> Result<(), Error> {
        if self.held.is_empty() {
            return Ok(());
        }
        let held = std::mem::take(&mut self.held);
        self.send_now(held, false)
    }

    fn send_now(&mut self, data: Bytes, end: bool) -> Result<(), Error> {
        let Some(send) = &mut self.send else { return Err(Error::local("http2.stream_misused")) };
        let sent = send.send_data(data, end);
        sent.map_err(|e| match e.reason() {
            None => self.why_closed(&mut Context::from_waker(Waker::noop())),
            Some(_) => e.into(),
        })
    }

    /// A stream that takes no content was reset, or its connection is gone.
    fn why_closed(&mut self, cx: &mut Context<'_>) -> Error {
        match self.send.as_mut().map(|send| send.poll_reset(cx)) {
            Some(Poll::Ready(Ok(reason))) => ErrorKind::Reset(reason).into(),
            Some(Poll::Ready(Err(e))) => e.into(),
            _ => Error::CLOSED,
        }
    }

    /// A peer that answered in full and resets with NO_ERROR wants no more content; that is no fault (RFC 9113 §8.1). What is left is
    /// taken and dropped.
    pub(super) fn unless_not_wanted(&mut self, e: Error) -> Result<(), Error> {
        if e.kind != ErrorKind::Reset(Reason::NO_ERROR) {
            return Err(e);
        }
        self.discard = true;
        self.send_ended = true;
        Ok(())
    }

    pub(super) fn finish(&mut self, trailers: Option<&Fields>) -> Result<(), Error> {
        if self.send_ended {
            return Ok(());
        }
        if !self.discard && self.owed.is_some_and(|owed| owed > 0) {
            return Err(Error::local("http.body_shorter_than_declared"));
        }
        self.send_ended = true;
        if let Some(trailers) = trailers.filter(|t| !t.is_empty() && !self.discard) {
            self.send_held()?;
            let map = head::to_trailers(trailers)?;
            let Some(send) = &mut self.send else { return Err(Error::local("http2.stream_misused")) };
            let sent = send.send_trailers(map);
            return sent.map_err(|_| self.why_closed(&mut Context::from_waker(Waker::noop())));
        }
        let held = std::mem::take(&mut self.held);
        self.send_now(held, true)
    }

    /// Notes what follows a head that was sent. `ended` is whether END_STREAM went with it.
    pub(super) fn sending(&mut self, send: SendStream<Bytes>, framing: Framing, ended: bool, discard: bool) {
        self.send = Some(send);
        self.send_ended = ended;
        self.discard = discard;
        self.owed = match framing {
            Framing::Length(n) => Some(n),
            Framing::Empty => Some(0),
            Framing::Streamed | Framing::UntilClose => None,
        };
    }

    pub(super) fn done(&self) -> bool {
        self.send_ended && self.recv_done()
    }
}
