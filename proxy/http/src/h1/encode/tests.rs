use proptest::prelude::*;

use super::*;
use crate::h1::parse;
use crate::limits::{Limits, Underscores};
use crate::method::Scheme;

fn request_text(method: &str, list: &[(&str, &str)], framing: Framing, upgrade: bool) -> String {
    let mut head = RequestHead::new();
    head.set_method(method.as_bytes());
    head.set_authority(b"a:80");
    head.set_path_and_query(b"/x?y");
    head.upgrade = upgrade.then_some(Upgrade::WebSocket);
    for (n, v) in list {
        head.fields.push(n.as_bytes(), v.as_bytes());
    }
    let mut out = Buf::default();
    request(&head, framing, &mut out).unwrap();
    String::from_utf8(out.bytes().to_vec()).unwrap()
}

#[test]
fn requests() {
    let of = |method, list: &[_], framing| request_text(method, list, framing, false);
    let start = "GET /x?y HTTP/1.1\r\nhost: a:80\r\n";
    assert_eq!(of("GET", &[("accept", "a")], Framing::Empty), format!("{start}accept: a\r\n\r\n"));
    assert_eq!(of("GET", &[("content-length", "7")], Framing::Length(3)), format!("{start}content-length: 3\r\n\r\n"));
    assert_eq!(
        of("GET", &[("content-length", "7")], Framing::Streamed),
        format!("{start}transfer-encoding: chunked\r\n\r\n")
    );
    assert!(of("POST", &[], Framing::Empty).ends_with("\r\ncontent-length: 0\r\n\r\n"));
    assert!(of("PURGE", &[], Framing::Empty).starts_with("PURGE /x?y HTTP/1.1\r\n"));
    assert_eq!(
        of("GET", &[("te", "trailers")], Framing::Empty),
        format!("{start}te: trailers\r\nconnection: te\r\n\r\n")
    );
    let own = [
        ("connection", "x"),
        ("upgrade", "y"),
        ("te", "gzip"),
        ("host", "b"),
        ("keep-alive", "1"),
        ("transfer-encoding", "x"),
    ];
    assert_eq!(of("GET", &own, Framing::Empty), format!("{start}\r\n"));
    assert_eq!(
        request_text("GET", &[("connection", "upgrade"), ("upgrade", "h2c")], Framing::Empty, true),
        format!("{start}connection: upgrade\r\nupgrade: websocket\r\n\r\n")
    );
}

fn response_text(status: u16, list: &[(&str, &str)], framing: Framing, to: Recipient) -> (String, Encoder) {
    let mut head = ResponseHead::new(status);
    for (n, v) in list {
        head.fields.push(n.as_bytes(), v.as_bytes());
    }
    let mut out = Buf::default();
    let encoder = response(&head, framing, to, &mut out).unwrap();
    (String::from_utf8(out.bytes().to_vec()).unwrap(), encoder)
}

#[test]
fn responses() {
    let to = Recipient { to_head: false, http10: false, close: false };
    let of = |status, list: &[_], framing| response_text(status, list, framing, to);
    let ok = "HTTP/1.1 200 OK\r\n";
    assert_eq!(
        of(200, &[("a", "b")], Framing::Length(3)),
        (format!("{ok}a: b\r\ncontent-length: 3\r\n\r\n"), Encoder::Length(3))
    );
    assert_eq!(of(200, &[], Framing::Empty), (format!("{ok}content-length: 0\r\n\r\n"), Encoder::Empty));
    let chunked = (format!("{ok}transfer-encoding: chunked\r\n\r\n"), Encoder::Chunked(0));
    assert_eq!(of(200, &[], Framing::Streamed), chunked);
    assert_eq!(of(200, &[("content-length", "4"), ("connection", "close")], Framing::UntilClose), chunked);
    assert_eq!(of(204, &[("content-length", "4")], Framing::Length(4)).0, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(
        of(304, &[("content-length", "4")], Framing::Empty).0,
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\n"
    );
    assert_eq!(of(304, &[("content-length", "+4")], Framing::Empty).0, "HTTP/1.1 304 Not Modified\r\n\r\n");
    assert_eq!(of(103, &[("link", "x")], Framing::Empty).0, "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n");
    assert_eq!(
        of(101, &[], Framing::Empty).0,
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    );
    assert_eq!(of(799, &[], Framing::Length(0)).0, "HTTP/1.1 799 \r\ncontent-length: 0\r\n\r\n");
    let head = |list: &[_], framing| response_text(200, list, framing, Recipient { to_head: true, ..to });
    assert_eq!(
        head(&[("content-length", "4")], Framing::Empty),
        (format!("{ok}content-length: 4\r\n\r\n"), Encoder::Discard)
    );
    assert_eq!(head(&[], Framing::Length(9)), (format!("{ok}content-length: 9\r\n\r\n"), Encoder::Discard));
    assert_eq!(head(&[], Framing::Streamed), (format!("{ok}\r\n"), Encoder::Discard));
    let close = response_text(200, &[], Framing::Length(1), Recipient { close: true, ..to });
    assert_eq!(close.0, format!("{ok}content-length: 1\r\nconnection: close\r\n\r\n"));
    let old = |framing, close| response_text(200, &[], framing, Recipient { to_head: false, http10: true, close });
    assert_eq!(old(Framing::Length(1), false).0, format!("{ok}content-length: 1\r\nconnection: keep-alive\r\n\r\n"));
    assert_eq!(old(Framing::Streamed, false), (format!("{ok}connection: close\r\n\r\n"), Encoder::UntilClose));
}

#[test]
fn sizes_of_chunks() {
    let of = |n| {
        let mut out = Buf::default();
        assert!(chunk_size(n, &mut out));
        String::from_utf8(out.bytes().to_vec()).unwrap()
    };
    assert_eq!(
        (of(1), of(16), of(0xabcd), of(usize::MAX)),
        ("1\r\n".into(), "10\r\n".into(), "abcd\r\n".into(), "ffffffffffffffff\r\n".into())
    );
}

#[test]
fn all_or_nothing() {
    let mut head = ResponseHead::new(200);
    head.fields.push(b"a", &[b'b'; 60_000]);
    head.fields.push(b"c", &[b'd'; 60_000]);
    let mut out = Buf::default();
    assert!(out.put(b"before"));
    let to = Recipient { to_head: false, http10: false, close: false };
    assert!(response(&head, Framing::Empty, to, &mut out).is_err());
    assert_eq!(out.bytes(), b"before");
}

proptest! {
    /// What we write we read back, with the same meaning.
    #[test]
    fn requests_read_back(
        method in "GET|POST|PURGE|[A-Z]{1,8}",
        path in "/[!-\"$-\\[\\]-~]{0,20}",
        list in prop::collection::vec(("[a-z][a-z0-9-]{0,20}", "([!-~][ -~]{0,20}[!-~])?"), 0..6),
        length in prop::option::of(0u64..1000),
    ) {
        prop_assume!(method != "CONNECT");
        let mut head = RequestHead::new();
        head.set_method(method.as_bytes());
        head.set_authority(b"a");
        head.set_path_and_query(path.as_bytes());
        for (n, v) in &list {
            if CONNECTIONS_OWN.contains(Known::of(n.as_bytes())) || n == "expect" { continue; }
            head.fields.push(n.as_bytes(), v.as_bytes());
        }
        let mut out = Buf::default();
        let framing = length.map_or(Framing::Streamed, Framing::Length);
        request(&head, framing, &mut out).unwrap();
        let mut back = RequestHead::new();
        let limits = Limits { underscores: Underscores::Allow, ..Limits::default() };
        let parsed = parse::request(out.bytes(), &mut back, &limits, Scheme::Http).unwrap().unwrap();
        prop_assert_eq!(parsed.framing, framing);
        prop_assert_eq!(parsed.len, out.len());
        prop_assert_eq!((back.method_bytes(), back.authority(), back.path_and_query()), (head.method_bytes(), head.authority(), head.path_and_query()));
        back.fields.remove(b"content-length");
        back.fields.remove(b"transfer-encoding");
        prop_assert_eq!(back.fields, head.fields);
    }
}
