//! Whole connections, read by us and by hyper.

use fairlead_http::fuzzing::{hypers_reading, our_reading};

use crate::Target;

/// Connections: every request that we would forward, hyper reads in the same place with the same content.
pub const TARGET: Target = Target {
    name: "connection",
    run,
    seeds: &[
        b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nx: y\r\n\r\nGET /2 HTTP/1.0\r\n\r\n",
        b"PUT /1 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nokGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nxGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    tokens: &[
        "\r\n", "\r\n\r\n", "GET /s HTTP/1.1\r\nHost: b\r\n\r\n", "Content-Length: 5\r\n", "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n", "0\r\n\r\n", "5\r\nhello\r\n", " chunked", "\tchunked", "chunked, chunked", "HTTP/1.0", "Connection: keep-alive\r\n",
        "Connection: close\r\n", "Upgrade: websocket\r\nConnection: upgrade\r\n", "\r\n ", ";ext", "x: y\r\n",
    ],
};

/// Panics when a promise is broken.
pub fn run(data: &[u8]) {
    let (ours, hypers) = (our_reading(data), hypers_reading(data));
    assert!(hypers.starts_with(&ours), "we read {ours:?}\nhyper reads {hypers:?}");
}
