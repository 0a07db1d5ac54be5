//! Hosts and ports.

use fairlead_http::{RequestHead, authority};

use crate::Target;

/// Authorities: what is valid is what the `http` crate reads, in the same parts.
pub const TARGET: Target = Target {
    name: "authority",
    run,
    seeds: &[b"example.com", b"A.b.:8080", b"[::1]:80", b"1.2.3.4:65535", b"user@host", b"a_b-c~d"],
    tokens: &["[", "]", ":", ":80", "::", "@", ".", "%41", "65536", "[::ffff:1.2.3.4]", ","],
};

/// Panics when a promise is broken.
pub fn run(data: &[u8]) {
    let mut head = RequestHead::new();
    head.set_authority(data);
    assert_eq!(head.authority(), data);
    if !authority::is_valid(data) {
        return;
    }
    assert!(authority::same(data, data, 80));
    let other = http::uri::Authority::try_from(data).expect("the http crate takes it");
    let host = other.host().strip_suffix('.').unwrap_or(other.host()).to_ascii_lowercase();
    assert_eq!((head.host(), head.port()), (host.as_bytes(), other.port_u16()));
}
