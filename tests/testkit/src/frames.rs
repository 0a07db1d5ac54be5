//! HTTP/2 frame by frame, either side, right or wrong as the test likes it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames.
#[allow(missing_docs)]
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
#[allow(missing_docs)]
pub mod flag {
    pub const NONE: u8 = 0;
    pub const ACK: u8 = 1;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
    pub const PRIORITY: u8 = 0x20;
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// See [`kind`].
    pub kind: u8,
    /// See [`flag`].
    pub flags: u8,
    /// 0 for the connection.
    pub stream: u32,
    /// What follows the nine bytes.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame.
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Frame {
        Frame { kind, flags, stream, payload: payload.into() }
    }

    /// HEADERS with END_HEADERS, fields as literals.
    pub fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Frame {
        Frame::new(kind::HEADERS, flag::END_HEADERS | flags, stream, hpack(fields))
    }

    /// RST_STREAM.
    pub fn reset(stream: u32, code: u32) -> Frame {
        Frame::new(kind::RST_STREAM, 0, stream, code.to_be_bytes())
    }

    /// WINDOW_UPDATE.
    pub fn window(stream: u32, by: u32) -> Frame {
        Frame::new(kind::WINDOW_UPDATE, 0, stream, by.to_be_bytes())
    }

    /// The frame on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = (self.payload.len() as u32).to_be_bytes()[1..].to_vec();
        out.extend([self.kind, self.flags]);
        out.extend(self.stream.to_be_bytes());
        out.extend(&self.payload);
        out
    }

    /// Of RST_STREAM and GOAWAY.
    pub fn code(&self) -> Option<u32> {
        let at = match self.kind {
            kind::RST_STREAM => 0,
            kind::GOAWAY => 4,
            _ => return None,
        };
        Some(u32::from_be_bytes(self.payload.get(at..at + 4)?.try_into().ok()?))
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// GOAWAY with this code, other than NO_ERROR.
    GoAway(u32),
    /// Closed without one.
    Closed,
    /// Not within the limit.
    Open,
}

/// A connection.
pub struct Frames {
    stream: TcpStream,
    ahead: Vec<u8>,
}

impl Frames {
    /// Connects as a client and does nothing more.
    pub fn raw(address: SocketAddr) -> Frames {
        let stream = TcpStream::connect(address).expect("connect");
        Frames::over(stream)
    }

    /// Connects as a client: preface, SETTINGS, and the answer to the server's SETTINGS.
    pub fn connect(address: SocketAddr) -> Frames {
        let mut frames = Frames::raw(address);
        frames.bytes(PREFACE);
        frames.greet();
        frames
    }

    /// Serves all connections to a port of its own, each by `serve` on a thread; the port.
    pub fn backend(serve: impl Fn(Frames) + Send + Sync + 'static) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("address").port();
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let serve = serve.clone();
                std::thread::spawn(move || Frames::accept(stream).map(|frames| serve(frames)));
            }
        });
        port
    }

    /// Serves: reads the preface and exchanges SETTINGS.
    pub fn accept(stream: TcpStream) -> Option<Frames> {
        let mut frames = Frames::over(stream);
        while frames.ahead.len() < PREFACE.len() {
            frames.more()?;
        }
        let preface: Vec<u8> = frames.ahead.drain(..PREFACE.len()).collect();
        (preface == PREFACE).then_some(())?;
        frames.greet();
        Some(frames)
    }

    fn over(stream: TcpStream) -> Frames {
        stream.set_nodelay(true).expect("nodelay");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("timeout");
        stream.set_write_timeout(Some(Duration::from_secs(10))).expect("timeout");
        Frames { stream, ahead: Vec::new() }
    }

    fn greet(&mut self) {
        // Without a dynamic table, so that statuses can be read from single frames.
        self.send(&Frame::new(kind::SETTINGS, 0, 0, [0, 1, 0, 0, 0, 0]));
        while let Some(frame) = self.read() {
            if frame.kind == kind::SETTINGS && frame.flags & flag::ACK == 0 {
                self.send(&Frame::new(kind::SETTINGS, flag::ACK, 0, []));
                return;
            }
        }
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends bytes; false when the other side is gone or takes nothing more.
    pub fn bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends a frame.
    pub fn send(&mut self, frame: &Frame) -> bool {
        self.bytes(&frame.bytes())
    }

    /// Sends a GET on a stream, to its end.
    pub fn get(&mut self, stream: u32, path: &str) -> bool {
        self.send(&Frame::headers(stream, flag::END_STREAM, &get(path)))
    }

    fn more(&mut self) -> Option<()> {
        let mut buf = [0; 16 * 1024];
        let n = self.stream.read(&mut buf).ok().filter(|n| *n > 0)?;
        self.ahead.extend_from_slice(&buf[..n]);
        Some(())
    }

    /// The next frame; `None` when the connection ended or nothing came for ten seconds.
    pub fn read(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.parse() {
                return Some(frame);
            }
            self.more()?;
        }
    }

    fn parse(&mut self) -> Option<Frame> {
        let head: &[u8; 9] = self.ahead.first_chunk()?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        let payload = self.ahead.get(9..9 + len)?.to_vec();
        self.ahead.drain(..9 + len);
        Some(Frame { kind, flags, stream, payload })
    }

    /// The next frame for which `wanted` holds; others are dropped, PING and SETTINGS answered.
    pub fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        loop {
            let frame = self.read()?;
            if wanted(&frame) {
                return Some(frame);
            }
            if frame.flags & flag::ACK == 0 && matches!(frame.kind, kind::PING | kind::SETTINGS) {
                let payload = if frame.kind == kind::PING { frame.payload } else { Vec::new() };
                self.send(&Frame::new(frame.kind, flag::ACK, 0, payload));
            }
        }
    }

    /// The status of the response on a stream; `None` when the stream is reset or the connection ends.
    pub fn status(&mut self, stream: u32) -> Option<u16> {
        let frame = self.until(|f| {
            f.code().is_some_and(|c| c != 0 && f.kind == kind::GOAWAY)
                || (f.stream == stream && matches!(f.kind, kind::HEADERS | kind::RST_STREAM))
        })?;
        (frame.kind == kind::HEADERS).then(|| status(&frame.payload)).flatten()
    }

    /// Reads on until the connection ends; answers PING, which a server waits for after its GOAWAY.
    pub fn ended(&mut self, limit: Duration) -> Ended {
        let start = Instant::now();
        let mut code = None;
        loop {
            while let Some(frame) = self.parse() {
                if frame.kind == kind::PING && frame.flags & flag::ACK == 0 {
                    self.send(&Frame::new(kind::PING, flag::ACK, 0, frame.payload));
                } else if frame.kind == kind::GOAWAY {
                    code = frame.code().filter(|code| *code != 0).or(code);
                }
            }
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                return code.map_or(Ended::Open, Ended::GoAway);
            }
            let _ = self.stream.set_read_timeout(Some(left));
            let mut buf = [0; 64 * 1024];
            match self.stream.read(&mut buf) {
                Ok(0) => return code.map_or(Ended::Closed, Ended::GoAway),
                Ok(n) => self.ahead.extend_from_slice(&buf[..n]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return code.map_or(Ended::Closed, Ended::GoAway),
            }
        }
    }
}

/// The fields of a GET to host `test`.
pub fn get(path: &str) -> [(&str, &str); 4] {
    [(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", path)]
}

/// A field block of literals that are not indexed and not compressed.
pub fn hpack(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.extend(hpack_field(name.as_bytes(), value.as_bytes()));
    }
    out
}

/// One field of bytes that need not be valid.
pub fn hpack_field(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = vec![0];
    for text in [name, value] {
        let mut len = text.len();
        if len < 127 {
            out.push(len as u8);
        } else {
            out.push(127);
            len -= 127;
            while len >= 128 {
                out.push(len as u8 | 128);
                len >>= 7;
            }
            out.push(len as u8);
        }
        out.extend(text);
    }
    out
}

/// The status at the start of a response's field block.
pub fn status(block: &[u8]) -> Option<u16> {
    const STATIC: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    let block = match block {
        // A change of the table's size.
        [first, rest @ ..] if first & 0xe0 == 0x20 => rest,
        block => block,
    };
    match block {
        [first @ 0x88..=0x8e, ..] => STATIC.get(usize::from(first - 0x88)).copied(),
        // A literal whose name is in the static table.
        [0x08 | 0x18 | 0x48..=0x4e, len, rest @ ..] => {
            let value = rest.get(..usize::from(len & 0x7f))?;
            if len & 0x80 == 0 { str::from_utf8(value).ok()?.parse().ok() } else { huffman_digits(value) }
        }
        // Or in the dynamic table.
        _ => None,
    }
}

/// Three digits in HPACK's Huffman code: 0, 1 and 2 have five bits, the others six.
fn huffman_digits(bytes: &[u8]) -> Option<u16> {
    let bits: Vec<u8> = bytes.iter().flat_map(|b| (0..8).rev().map(move |i| b >> i & 1)).collect();
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let take = |n: usize| bits.get(at..at + n).map(|b| b.iter().fold(0, |v, bit| v << 1 | u16::from(*bit)));
        let five = take(5)?;
        let digit = if five < 3 {
            at += 5;
            five
        } else {
            let six = take(6)?;
            at += 6;
            six.checked_sub(0b01_1001)? + 3
        };
        number = number * 10 + digit;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        assert_eq!(status(&[0x88]), Some(200));
        assert_eq!(status(&[0x20, 0x8e]), Some(500));
        assert_eq!(status(&[0x08, 3, b'4', b'3', b'1']), Some(431));
        // RFC 7541 C.6.1: 302.
        assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), Some(302));
    }

    #[test]
    fn long_literals() {
        let block = hpack_field(b"a", &[b'x'; 300]);
        assert_eq!(block[..6], [0, 1, b'a', 127, 0xad, 1]);
    }
}
