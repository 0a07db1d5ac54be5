//! The handshake that RFC 6455 has and RFC 8441 has not: made up where HTTP/2 meets HTTP/1.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A fresh `Sec-WebSocket-Key` (RFC 6455 §4.1): HTTP/2 clients send none, HTTP/1 servers want one.
pub(super) fn key() -> [u8; 24] {
    let mut nonce = [0u8; 16];
    for half in nonce.chunks_exact_mut(8) {
        half.copy_from_slice(&fastrand::u64(..).to_ne_bytes());
    }
    let mut key = [0u8; 24];
    // 16 bytes are 24 in base64, always.
    let _ = STANDARD.encode_slice(nonce, &mut key);
    key
}

/// The `Sec-WebSocket-Accept` that answers a key (RFC 6455 §4.2.2): HTTP/2 servers send none, HTTP/1 clients check it.
pub(crate) fn accept(key: &[u8]) -> [u8; 28] {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key);
    context.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let mut accept = [0u8; 28];
    let _ = STANDARD.encode_slice(context.finish(), &mut accept);
    accept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_of_the_rfc() {
        assert_eq!(&accept(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn keys_are_fresh() {
        let (a, b) = (key(), key());
        assert_ne!(a, b);
        assert_eq!(STANDARD.decode(a).unwrap().len(), 16);
    }
}
