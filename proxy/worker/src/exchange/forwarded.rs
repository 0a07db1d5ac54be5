//! What the proxy says of the client to the backend.

use crate::connection::ConnInfo;
use fairlead_http::{Known, Reject, RequestHead, hop};

/// Takes out what concerns only this connection, and adds `x-forwarded-for`, `x-forwarded-proto` and `x-request-id`.
///
/// As Envoy at an edge (`use_remote_address`): the client's address is appended to what came; scheme and request id that came are kept
/// only when hops in front of this proxy are trusted.
///
/// # Errors
/// A `Connection` header that nominates what it must not.
pub fn prepare(head: &mut RequestHead, conn: &ConnInfo, trusted: bool) -> Result<(), Reject> {
    hop::strip_request(head)?;
    hop::forward(head, conn.peer_ip.as_bytes(), trusted);
    if !trusted || !head.fields.contains(Known::XRequestId) {
        head.fields.set_known(Known::XRequestId, &request_id());
    }
    Ok(())
}

/// A random UUID (RFC 9562 §5.4) as text.
fn request_id() -> [u8; 36] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let random = (fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let mut text = [b'-'; 36];
    let mut at = 0;
    for digit in 0..32 {
        if matches!(digit, 8 | 12 | 16 | 20) {
            at += 1;
        }
        if let Some(slot) = text.get_mut(at) {
            *slot = HEX[(random >> (124 - 4 * digit)) as usize & 0xf];
        }
        at += 1;
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn request_ids_are_version_4_uuids() {
        for _ in 0..100 {
            let id = String::from_utf8(super::request_id().to_vec()).unwrap();
            assert_eq!(id.len(), 36);
            assert_eq!(id.as_bytes()[14], b'4', "{id}");
            assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{id}");
            assert_eq!(id.match_indices('-').map(|(i, _)| i).collect::<Vec<_>>(), [8, 13, 18, 23]);
        }
    }
}
