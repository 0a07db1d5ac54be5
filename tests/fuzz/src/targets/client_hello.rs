//! The first bytes of TLS connections.

use fairlead_net::tls::parse_client_hello;

use super::cut;
use crate::Target;

/// ClientHellos: the result does not depend on the cut.
pub const TARGET: Target = Target {
    name: "client_hello",
    run,
    seeds: &[
        b"\x16\x03\x01\x00\x3f\x01\x00\x00\x3b\x03\x03aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb\x00\x00\x02\x13\x01\x01\x00\x00\x10\x00\x00\x00\x0c\x00\x0a\x00\x00\x07a.b.com",
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x3b\x03\x16\x03\x03\x00\x01\x03",
        b"GET / HTTP/1.1\r\n",
    ],
    tokens: &["\u{0}\u{0}", "\u{10}", "\u{2}h2"],
};

/// Panics when a promise is broken.
pub fn run(data: &[u8]) {
    let whole = parse_client_hello(data);
    let part = parse_client_hello(&data[..cut(data)]);
    match (&part, &whole) {
        (Ok(None), _) | (Err(_), Err(_)) => {}
        (Ok(Some(a)), Ok(Some(b))) => assert_eq!(format!("{a:?}"), format!("{b:?}")),
        _ => panic!("depends on the cut: {part:?} and {whole:?}"),
    }
}
