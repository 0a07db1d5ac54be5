//! Request heads of HTTP/1.

use fairlead_http::fuzzing::{request, write_request};
use fairlead_http::{Fields, Framing, Known, Limits, Method, RequestHead, Underscores, authority};

use super::{breaks_lines, cut};
use crate::Target;

/// Request heads: well-formed, the same to httparse, whatever the cut, and after being written again.
pub const TARGET: Target = Target {
    name: "request_head",
    run,
    seeds: &[
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /a/b?c=d HTTP/1.1\r\nHost: example.com:8080\r\nContent-Length: 5\r\nX-Y: z\r\n\r\nhello",
        b"PUT http://a/x HTTP/1.1\r\nhost: A\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: [::1]\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
        b"OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTE: trailers\r\nCookie: a=b\r\n\r\n",
    ],
    tokens: &[
        "\r\n", "\r\n\r\n", "Host: a\r\n", "Host:", "Content-Length: 5\r\n", "Content-Length: ", "Transfer-Encoding: chunked\r\n", "chunked",
        "Transfer-Encoding:", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "GET ", "CONNECT ", "OPTIONS * ", "http://", "https://b/", "Connection: close\r\n",
        "Upgrade: websocket\r\n", "Connection: upgrade\r\n", "x_y: z\r\n", " : ", "\u{e9}",
    ],
};

/// Panics when a promise is broken.
pub fn run(data: &[u8]) {
    let limits = Limits { underscores: Underscores::Allow, max_headers: 20, max_target_bytes: 200, max_head_bytes: 1000, ..Limits::default() };
    let whole = request(data, &limits);
    let part = request(&data[..cut(data)], &limits);
    match (&part, &whole) {
        (Ok(None), _) | (Err(_), Err(_)) => {}
        (Ok(Some((p, h))), Ok(Some((q, i)))) => assert!(p == q && same(h, i), "depends on the cut"),
        _ => panic!("depends on the cut: {part:?} and {whole:?}"),
    }
    let Ok(Some((parsed, head))) = whole else { return };
    assert!(parsed.len <= data.len() && data[..parsed.len].ends_with(b"\r\n\r\n"));
    well_formed(&head);
    as_httparse_has_it(&data[..parsed.len], &head);
    if head.authority().is_empty() {
        return; // HTTP/1.0; goes out with an empty Host, which we ourselves don't take
    }
    let bytes = write_request(&head, parsed.framing).expect("fits");
    // What we write may be a little longer than what we read.
    let limits = Limits { underscores: Underscores::Allow, ..Limits::default() };
    let (again, back) = request(&bytes, &limits).expect("is valid").expect("is complete");
    assert_eq!((again.len, again.framing), (bytes.len(), announced(&head, parsed.framing)));
    assert!(same(&head, &back), "{head:?} became {back:?}");
}

/// A request whose method wants content says that there is none.
fn announced(head: &RequestHead, framing: Framing) -> Framing {
    let expects = matches!(head.method(), Method::Post | Method::Put | Method::Patch);
    match framing {
        Framing::Empty if expects => Framing::Length(0),
        f => f,
    }
}

fn well_formed(head: &RequestHead) {
    let text = [head.method_bytes(), head.authority(), head.path_and_query()];
    assert!(!text.iter().any(|t| breaks_lines(t) || t.contains(&b' ')), "{head:?}");
    assert!(head.authority().is_empty() || authority::is_valid(head.authority()), "{head:?}");
    assert!(head.path().first() == Some(&b'/') || head.path() == b"*", "{head:?}");
    for f in head.fields.iter() {
        assert!(!f.name.is_empty() && !breaks_lines(f.name) && !breaks_lines(f.value), "{f:?}");
        assert!(!f.name.iter().any(u8::is_ascii_uppercase) && f.value.trim_ascii() == f.value, "{f:?}");
        assert!(f.known != Known::Host);
    }
}

fn as_httparse_has_it(bytes: &[u8], head: &RequestHead) {
    let mut slots = [httparse::EMPTY_HEADER; 64];
    let mut other = httparse::Request::new(&mut slots);
    assert_eq!(other.parse(bytes), Ok(httparse::Status::Complete(bytes.len())));
    assert_eq!(other.method.map(str::as_bytes), Some(head.method_bytes()));
    let hosts = other.headers.iter().filter(|h| h.name.eq_ignore_ascii_case("host")).count();
    let ignored = other.headers.iter().filter(|h| other.version == Some(0) && h.name.eq_ignore_ascii_case("expect")).count();
    assert_eq!(other.headers.len() - hosts - ignored, head.fields.len());
    assert!(hosts <= 1);
}

/// Whether two heads say the same to the next hop.
fn same(a: &RequestHead, b: &RequestHead) -> bool {
    let own = [
        Known::Connection, Known::ContentLength, Known::Http2Settings, Known::KeepAlive, Known::ProxyConnection, Known::Te,
        Known::TransferEncoding, Known::Upgrade,
    ];
    let end_to_end = |f: &Fields| {
        let mut f = f.clone();
        f.retain(|f| !own.contains(&f.known));
        f
    };
    let start = |h: &RequestHead| (h.method_bytes().to_vec(), h.authority().to_vec(), h.path_and_query().to_vec(), h.upgrade);
    start(a) == start(b) && end_to_end(&a.fields) == end_to_end(&b.fields)
}
