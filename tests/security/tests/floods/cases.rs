//! The floods.

use fairlead_testkit::frames::{Frame, flag, get, hpack, hpack_field, kind};

/// What must become of a flood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// The connection is ended: GOAWAY with an error, or closed.
    Ended,
    /// It costs no more than the same bytes of any other request: it is borne, and the connection works afterwards.
    Borne,
}

/// A flood.
pub struct Case {
    pub name: &'static str,
    pub fate: Fate,
    /// What is sent, in pieces, until the proxy has had enough.
    pub pieces: fn() -> Box<dyn Iterator<Item = Vec<u8>>>,
}

const ROUNDS: u32 = 200;
const PER_ROUND: usize = 500;

/// The same frame, 100,000 times.
fn same(frame: Frame) -> Box<dyn Iterator<Item = Vec<u8>>> {
    let piece = frame.bytes().repeat(PER_ROUND);
    Box::new((0..ROUNDS).map(move |_| piece.clone()))
}

/// Something for each of 50,000 streams.
fn streams(frames: impl Fn(u32) -> Vec<Frame> + 'static) -> Box<dyn Iterator<Item = Vec<u8>>> {
    Box::new(
        (0..500).map(move |round| {
            (0..100).flat_map(|n| frames(2 * (100 * round + n) + 1)).flat_map(|f| f.bytes()).collect()
        }),
    )
}

/// Something once, and then more of it.
fn first(frames: Vec<Frame>, then: Box<dyn Iterator<Item = Vec<u8>>>) -> Box<dyn Iterator<Item = Vec<u8>>> {
    Box::new(std::iter::once(frames.iter().flat_map(Frame::bytes).collect()).chain(then))
}

fn waiting() -> Frame {
    Frame::headers(1, flag::END_STREAM, &get("/never"))
}

fn post() -> Frame {
    Frame::headers(1, 0, &[(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", "/never")])
}

/// Envoy's `http2_flood_integration_test`, one case per row, and what came after it.
pub const CASES: &[Case] = &[
    // More of these than any client needs end the connection (CVE-2019-9512, CVE-2019-9515).
    Case { name: "ping", fate: Fate::Ended, pieces: || same(Frame::new(kind::PING, 0, 0, [0; 8])) },
    Case { name: "settings", fate: Fate::Ended, pieces: || same(Frame::new(kind::SETTINGS, 0, 0, [])) },
    Case {
        name: "settings that change the window of open streams",
        fate: Fate::Ended,
        pieces: || first(vec![waiting()], same(Frame::new(kind::SETTINGS, 0, 0, [0, 4, 0, 0, 0xff, 0xff]))),
    },
    Case {
        name: "rapid reset (CVE-2023-44487)",
        fate: Fate::Ended,
        pieces: || streams(|n| vec![Frame::headers(n, flag::END_STREAM, &get("/never")), Frame::reset(n, 8)]),
    },
    Case {
        name: "rapid reset of requests with content",
        fate: Fate::Ended,
        pieces: || {
            streams(|n| {
                let head = [(":method", "POST"), (":scheme", "http"), (":authority", "test"), (":path", "/never")];
                vec![Frame::headers(n, 0, &head), Frame::new(kind::DATA, 0, n, *b"x"), Frame::reset(n, 8)]
            })
        },
    },
    Case {
        name: "provoked reset by a window of 0 (MadeYouReset, CVE-2025-8671)",
        fate: Fate::Ended,
        pieces: || streams(|n| vec![Frame::headers(n, flag::END_STREAM, &get("/never")), Frame::window(n, 0)]),
    },
    Case {
        name: "provoked reset by a window too large",
        fate: Fate::Ended,
        pieces: || {
            streams(|n| vec![Frame::headers(n, flag::END_STREAM, &get("/never")), Frame::window(n, 0x7fff_ffff)])
        },
    },
    Case {
        name: "provoked reset by DATA after the end",
        fate: Fate::Ended,
        pieces: || {
            streams(|n| vec![Frame::headers(n, flag::END_STREAM, &get("/never")), Frame::new(kind::DATA, 0, n, *b"x")])
        },
    },
    Case {
        name: "provoked reset by HEADERS after the end",
        fate: Fate::Ended,
        pieces: || {
            streams(|n| {
                let head = Frame::headers(n, flag::END_STREAM, &get("/never"));
                vec![head.clone(), head]
            })
        },
    },
    Case {
        name: "provoked reset by a PRIORITY on itself",
        fate: Fate::Ended,
        pieces: || {
            streams(|n| {
                vec![Frame::headers(n, flag::END_STREAM, &get("/never")), {
                    let mut payload = n.to_be_bytes().to_vec();
                    payload.push(0);
                    Frame::new(kind::PRIORITY, 0, n, payload)
                }]
            })
        },
    },
    Case {
        name: "malformed requests",
        fate: Fate::Ended,
        pieces: || streams(|n| vec![Frame::headers(n, flag::END_STREAM, &[(":method", "GET"), (":scheme", "http")])]),
    },
    Case {
        name: "streams beyond the limit",
        fate: Fate::Ended,
        pieces: || streams(|n| vec![Frame::headers(n, flag::END_STREAM, &get("/never"))]),
    },
    Case {
        name: "CONTINUATION without end (CVE-2024-27316)",
        fate: Fate::Ended,
        pieces: || {
            first(
                vec![Frame::new(kind::HEADERS, flag::END_STREAM, 1, hpack(&get("/")))],
                same(Frame::new(kind::CONTINUATION, 0, 1, hpack_field(b"x-flood", &[b'x'; 100]))),
            )
        },
    },
    Case {
        name: "empty CONTINUATION (CVE-2019-9518)",
        fate: Fate::Ended,
        pieces: || {
            first(
                vec![Frame::new(kind::HEADERS, flag::END_STREAM, 1, hpack(&get("/")))],
                same(Frame::new(kind::CONTINUATION, 0, 1, [])),
            )
        },
    },
    Case {
        name: "empty HEADERS (CVE-2019-9518)",
        fate: Fate::Ended,
        pieces: || streams(|n| vec![Frame::new(kind::HEADERS, flag::END_HEADERS, n, [])]),
    },
    Case {
        name: "fields without name (CVE-2019-9516)",
        fate: Fate::Ended,
        pieces: || {
            streams(|n| vec![Frame::new(kind::HEADERS, flag::END_HEADERS, n, hpack_field(b"", b"").repeat(100))])
        },
    },
    Case {
        name: "empty DATA (CVE-2019-9518)",
        fate: Fate::Ended,
        pieces: || first(vec![post()], same(Frame::new(kind::DATA, 0, 1, []))),
    },
    Case {
        name: "DATA of padding",
        fate: Fate::Ended,
        pieces: || {
            let mut padding = vec![255];
            padding.extend([0; 255]);
            first(vec![post()], same(Frame::new(kind::DATA, flag::PADDED, 1, padding)))
        },
    },
    Case {
        name: "PRIORITY of an open stream",
        fate: Fate::Ended,
        pieces: || {
            first(
                vec![Frame::headers(1, flag::END_STREAM, &get("/never"))],
                same(Frame::new(kind::PRIORITY, 0, 1, [0, 0, 0, 0, 1])),
            )
        },
    },
    Case {
        name: "PRIORITY of idle streams (CVE-2019-9513)",
        fate: Fate::Ended,
        pieces: || streams(|n| vec![Frame::new(kind::PRIORITY, 0, n + 10_000, [0, 0, 0, 0, 1])]),
    },
    Case { name: "WINDOW_UPDATE of the connection", fate: Fate::Borne, pieces: || same(Frame::window(0, 1)) },
    Case {
        name: "WINDOW_UPDATE of a stream",
        fate: Fate::Borne,
        pieces: || first(vec![waiting()], same(Frame::window(1, 1))),
    },
    Case { name: "unknown frames", fate: Fate::Borne, pieces: || same(Frame::new(0xbe, 0, 0, [0; 32])) },
    Case {
        name: "PING acknowledgements",
        fate: Fate::Borne,
        pieces: || same(Frame::new(kind::PING, flag::ACK, 0, [7; 8])),
    },
    Case {
        name: "resets of closed streams",
        fate: Fate::Borne,
        pieces: || first(vec![Frame::headers(1, flag::END_STREAM, &get("/"))], same(Frame::reset(1, 8))),
    },
];
