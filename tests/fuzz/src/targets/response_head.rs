//! Response heads of HTTP/1.

use fairlead_http::Limits;
use fairlead_http::fuzzing::response;

use super::{breaks_lines, cut};
use crate::Target;

/// Response heads: well-formed, the same to httparse, whatever the cut.
pub const TARGET: Target = Target {
    name: "response_head",
    run,
    seeds: &[
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\nhello",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.0 302 Found\r\nLocation: /x\r\nConnection: keep-alive\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
    ],
    tokens: &[
        "\r\n", "\r\n\r\n", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "HTTP/1.1 ", "HTTP/1.0 ", "200", "204", "304", "099",
        "Connection: close\r\n", " : ", "\r\n x", "\u{e9}",
    ],
};

/// Panics when a promise is broken.
pub fn run(data: &[u8]) {
    let limits = Limits { max_headers: 20, max_head_bytes: 1000, ..Limits::default() };
    for to_head in [false, true] {
        let whole = response(data, &limits, to_head);
        let part = response(&data[..cut(data)], &limits, to_head);
        match (&part, &whole) {
            (Ok(None), _) | (Err(_), Err(_)) => {}
            (Ok(Some((p, h))), Ok(Some((q, i)))) => assert!(p == q && h.status == i.status && h.fields == i.fields),
            _ => panic!("depends on the cut: {part:?} and {whole:?}"),
        }
        let Ok(Some((parsed, head))) = whole else { continue };
        assert!(data[..parsed.len].ends_with(b"\r\n\r\n") && (100..=999).contains(&head.status));
        for f in head.fields.iter() {
            assert!(!f.name.is_empty() && !breaks_lines(f.name) && !breaks_lines(f.value), "{f:?}");
        }
        let mut slots = [httparse::EMPTY_HEADER; 64];
        let mut other = httparse::Response::new(&mut slots);
        assert_eq!(other.parse(&data[..parsed.len]), Ok(httparse::Status::Complete(parsed.len)));
        // A `Connection` that nominates nothing ends in the parser.
        let theirs = other.headers.iter().filter(|h| !h.name.eq_ignore_ascii_case("connection")).count();
        let ours = head.fields.iter().filter(|f| f.name != b"connection").count();
        assert_eq!((other.code, theirs), (Some(head.status), ours));
    }
}
