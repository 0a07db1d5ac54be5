//! What the `h2` crate does not tell of a peer: frames that only cost, and heads that do not come to their end.
//!
//! The frames' headers are read along as the bytes pass by; payloads are only counted.
//!
//! DATA that carries nothing and ends nothing is hidden from the crate, which takes a hundred of them in a connection's life and then
//! gives up all its streams: whatever relays content with hyper sends one per message that ends with an empty frame. Here they spend from
//! the same budget as other frames that only cost.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use fairlead_net::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Duration, Instant};

use crate::h2::duplex::TINY;

/// A stream whose frames are watched.
pub(super) struct Watched {
    stream: Stream,
    watch: Rc<Watch>,
}

/// What was seen; the connection's owner looks at it.
pub(super) struct Watch {
    frames: RefCell<Frames>,
    budget: Cell<Budget>,
    /// When the head that is not complete began.
    head: Cell<Option<Instant>>,
    flooded: Cell<bool>,
    /// Tiny frames of content since others had their turn.
    tiny: Cell<usize>,
    /// Whether somebody looks at `flooded` and ends the connection; else reading fails.
    looked_at: bool,
}

impl Watched {
    /// What a client sends, whose preface was not read yet.
    pub(super) fn client(stream: Stream) -> (Watched, Rc<Watch>) {
        let watch = Rc::new(Watch::new(PREFACE, true));
        (Watched { stream, watch: watch.clone() }, watch)
    }

    /// What a server sends. Reading fails after a flood.
    pub(super) fn server(stream: Stream) -> Watched {
        Watched { stream, watch: Rc::new(Watch::new(0, false)) }
    }
}

impl Watch {
    fn new(preface: usize, looked_at: bool) -> Watch {
        Watch {
            frames: RefCell::new(Frames {
                header: [0; HEADER],
                have: 0,
                payload: preface,
                block: false,
                ends: false,
                last: 0,
            }),
            budget: Cell::new(Budget::full()),
            head: Cell::new(None),
            flooded: Cell::new(false),
            tiny: Cell::new(0),
            looked_at,
        }
    }

    /// Whether the peer has sent more frames that only cost than it may. Nothing more is read from it then.
    pub(super) fn is_flood(&self) -> bool {
        self.flooded.get()
    }

    /// Since when a head, or a frame's header, waits for its rest.
    pub(super) fn head_since(&self) -> Option<Instant> {
        self.head.get()
    }

    fn received(&self, bytes: &mut [u8]) {
        let mut frames = self.frames.borrow_mut();
        let mut budget = self.budget.get();
        frames.read(bytes, |kind, len| match kind {
            PING | SETTINGS | PRIORITY | HIDDEN => self.flooded.set(self.flooded.get() || !budget.spend(Instant::now)),
            HEADERS | DATA if len > 0 => {
                budget.earn(1);
                self.tiny.update(|n| n + usize::from(kind == DATA && len <= TINY));
            }
            _ => {}
        });
        self.budget.set(budget);
        match (frames.is_within_head(), self.head.get()) {
            (true, None) => self.head.set(Some(Instant::now())),
            (false, Some(_)) => self.head.set(None),
            _ => {}
        }
    }

    fn sent(&self, bytes: usize) {
        let mut budget = self.budget.get();
        budget.written += u32::try_from(bytes).unwrap_or(u32::MAX / 2);
        budget.earn(budget.written / BYTES_PER_FRAME);
        budget.written %= BYTES_PER_FRAME;
        self.budget.set(budget);
    }
}

/// Reads frames' headers (RFC 9113 §4.1).
struct Frames {
    header: [u8; HEADER],
    /// Bytes of `header` that are there.
    have: usize,
    /// Bytes of the payload that are to come.
    payload: usize,
    /// Within a head: HEADERS came, and END_HEADERS did not.
    block: bool,
    /// The frame at hand ends the head.
    ends: bool,
    /// The last stream that has a head; later ones are idle, and DATA on them is an error.
    last: u32,
}

impl Frames {
    /// Tells of each frame that begins in `bytes`: its type and length. Hides DATA that carries nothing and ends nothing, unless its
    /// header is cut after the type, which is too rare to matter.
    fn read(&mut self, mut bytes: &mut [u8], mut tell: impl FnMut(u8, usize)) {
        loop {
            let n = self.payload.min(bytes.len());
            self.payload -= n;
            bytes = &mut bytes[n..];
            if self.payload > 0 {
                return;
            }
            self.block &= !std::mem::take(&mut self.ends);
            let n = (HEADER - self.have).min(bytes.len());
            self.header[self.have..self.have + n].copy_from_slice(&bytes[..n]);
            let had = self.have;
            self.have += n;
            if self.have == HEADER && had <= KIND && self.is_nothing() {
                self.header[KIND] = HIDDEN;
                bytes[KIND - had] = HIDDEN;
            }
            bytes = &mut bytes[n..];
            if self.have < HEADER {
                return;
            }
            self.have = 0;
            let [a, b, c, kind, flags, ..] = self.header;
            if kind == HEADERS {
                self.last = self.last.max(self.stream());
            }
            self.payload = u32::from_be_bytes([0, a, b, c]) as usize;
            self.block |= kind == HEADERS;
            self.ends = matches!(kind, HEADERS | CONTINUATION) && flags & END_HEADERS != 0;
            tell(kind, self.payload);
        }
    }

    /// Whether the header is that of DATA without content, padding or END_STREAM, on a stream that has begun.
    fn is_nothing(&self) -> bool {
        let [a, b, c, kind, flags, ..] = self.header;
        [a, b, c, kind] == [0, 0, 0, DATA]
            && flags & (END_STREAM | PADDED) == 0
            && (1..=self.last).contains(&self.stream())
    }

    fn stream(&self) -> u32 {
        let [.., a, b, c, d] = self.header;
        u32::from_be_bytes([a, b, c, d]) & !RESERVED
    }

    /// Whether a head has begun and is not complete; a frame's header that is cut off may become one.
    fn is_within_head(&self) -> bool {
        self.block || self.have > 0
    }
}

/// Frames that a peer may send though they carry nothing: a thousand at once, a thousand each second, and more while there is traffic
/// that they may belong to, such as the PINGs by which gRPC measures a connection.
#[derive(Clone, Copy)]
struct Budget {
    left: u32,
    /// Bytes that were sent and not yet counted.
    written: u32,
    /// When time was last counted; it is looked at only when nothing is left.
    counted: Instant,
}

impl Budget {
    fn full() -> Budget {
        Budget { left: BURST, written: 0, counted: Instant::now() }
    }

    fn spend(&mut self, clock: impl FnOnce() -> Instant) -> bool {
        if self.left == 0 {
            let now = clock();
            let ms = (now - self.counted).min(Duration::from_secs(1)).as_millis() as u32;
            self.counted = now;
            self.earn(ms * PER_SECOND / 1000);
        }
        let left = self.left.checked_sub(1);
        self.left = left.unwrap_or(0);
        left.is_some()
    }

    fn earn(&mut self, frames: u32) {
        self.left = (self.left + frames).min(BURST);
    }
}

impl AsyncRead for Watched {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.watch.is_flood() {
            // Who drives the connection ends it now.
            return if this.watch.looked_at { Poll::Pending } else { Poll::Ready(Err(io::Error::other("flood"))) };
        }
        if this.watch.tiny.get() >= TURN {
            // Who takes them runs first: more than may wait can be there at once.
            this.watch.tiny.set(0);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut this.stream).poll_read(cx, buf);
        this.watch.received(&mut buf.filled_mut()[before..]);
        result
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        Pin::new(&mut this.stream).poll_write(cx, data).map_ok(|n| {
            this.watch.sent(n);
            n
        })
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        Pin::new(&mut this.stream).poll_write_vectored(cx, data).map_ok(|n| {
            this.watch.sent(n);
            n
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

const HEADER: usize = 9;
const PREFACE: usize = 24;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
/// A type that is nobody's; it is ignored (RFC 9113 §5.5), but not within a head.
const HIDDEN: u8 = 0xfa;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
/// Where a header has its frame's type.
const KIND: usize = 3;
/// The bit in front of a stream's number that means nothing.
const RESERVED: u32 = 1 << 31;

/// Tiny frames of content that are read in one go.
const TURN: usize = 1000;

const BURST: u32 = 1000;
const PER_SECOND: u32 = 1000;
/// Bytes sent that earn a frame; the answer to a PING is fewer.
const BYTES_PER_FRAME: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let len = (payload.len() as u32).to_be_bytes();
        [&len[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn frames_are_told_however_they_are_cut() {
        let all = [
            &[b'P'; PREFACE][..],
            &frame(SETTINGS, 0, &[1; 12]),
            &frame(HEADERS, 0, &[6; 300]),
            &frame(CONTINUATION, END_HEADERS, &[6; 5]),
            &frame(PING, 0, &[4; 8]),
            &frame(DATA, 1, &[]),
        ]
        .concat();
        for size in [1, 2, 7, 9, 33, all.len()] {
            let (watch, mut told, mut within) = (Watch::new(PREFACE, true), Vec::new(), 0);
            let mut frames = watch.frames.borrow_mut();
            for piece in all.clone().chunks_mut(size) {
                frames.read(piece, |kind, len| told.push((kind, len)));
                within += usize::from(frames.is_within_head());
            }
            assert_eq!(told, [(SETTINGS, 12), (HEADERS, 300), (CONTINUATION, 5), (PING, 8), (DATA, 0)], "{size}");
            assert!(!frames.is_within_head());
            assert_eq!(within == 0, size == all.len(), "{size}: {within}");
        }
    }

    #[test]
    fn a_head_without_end_is_noticed() {
        let watch = Watch::new(PREFACE, true);
        let mut frames = watch.frames.borrow_mut();
        frames.read(&mut [b'P'; PREFACE], |_, _| ());
        assert!(!frames.is_within_head());
        for mut begun in [frame(HEADERS, 0, b"x"), frame(CONTINUATION, 0, b""), vec![0, 0]] {
            frames.read(&mut begun, |_, _| ());
            assert!(frames.is_within_head());
        }
    }

    /// What has read a head of stream 1.
    fn begun() -> Watch {
        let watch = Watch::new(0, false);
        watch.received(&mut frame(HEADERS, END_HEADERS, b"x"));
        watch
    }

    #[test]
    fn data_without_content_is_hidden_unless_it_ends_something() {
        let all = [
            frame(DATA, 0, &[]),
            frame(DATA, END_STREAM, &[]),
            frame(DATA, PADDED, &[0]),
            frame(DATA, 0, b"x"),
            frame(SETTINGS, 0, &[]),
            frame(DATA, 0, &[0; HEADER]),
            vec![0, 0, 0, DATA, 0, 0, 0, 0, 0],
            vec![0, 0, 0, DATA, 0, 0, 0, 0, 3],
            frame(DATA, 0, &[]),
        ]
        .concat();
        let mut hidden = all.clone();
        hidden[KIND] = HIDDEN;
        hidden[all.len() - HEADER + KIND] = HIDDEN;
        let (mut bytes, watch) = (all.clone(), begun());
        watch.received(&mut bytes);
        assert_eq!(bytes, hidden);
        // Cut before its type, it is hidden; cut behind it, the type has gone on already.
        for (cut, first) in [(KIND, &hidden), (KIND + 1, &all)] {
            let (mut bytes, watch) = (all.clone(), begun());
            let (head, rest) = bytes.split_at_mut(cut);
            watch.received(head);
            watch.received(rest);
            assert_eq!(bytes[..HEADER], first[..HEADER], "{cut}");
            assert_eq!(bytes[HEADER..], hidden[HEADER..], "{cut}");
        }
    }

    #[test]
    fn data_without_content_spends() {
        let watch = begun();
        for _ in 0..BURST {
            watch.received(&mut frame(DATA, 0, &[]));
        }
        assert!(!watch.is_flood());
        // Traffic pays for it, however long it goes on.
        for _ in 0..10 * BURST {
            watch.received(&mut frame(DATA, 0, b"x"));
            watch.received(&mut frame(DATA, 0, &[]));
        }
        assert!(!watch.is_flood());
        for _ in 0..10 * BURST {
            watch.received(&mut frame(DATA, 0, &[]));
        }
        assert!(watch.is_flood());
    }

    #[test]
    fn a_budget_fills_with_time_and_traffic() {
        let mut budget = Budget::full();
        let mut now = budget.counted;
        let spent = |budget: &mut Budget, now: Instant, most| (0..most).take_while(|_| budget.spend(|| now)).count();
        assert_eq!(spent(&mut budget, now, 2 * BURST), BURST as usize);
        now += Duration::from_millis(100);
        assert_eq!(spent(&mut budget, now, BURST), 100);
        now += Duration::from_secs(3600);
        assert_eq!(spent(&mut budget, now, 2 * BURST), BURST as usize);
        budget.earn(7);
        assert_eq!(spent(&mut budget, now, BURST), 7);
    }
}
