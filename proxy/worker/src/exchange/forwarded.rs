//! What the proxy says of the client to the backend.

use crate::connection::ConnInfo;
use fairlead_http::{FieldRef, Known, Reject, RequestHead, hop};

/// Takes out what concerns only this connection, and adds `x-forwarded-for`, `x-forwarded-proto` and `x-request-id`.
///
/// As Envoy at an edge (`use_remote_address`): the client's address is appended to what came; scheme, request id and commands to an Envoy
/// behind us that came are kept only when hops in front of this proxy are trusted.
///
/// # Errors
/// A `Connection` header that nominates what it must not.
pub fn prepare(head: &mut RequestHead, conn: &ConnInfo, trusted: bool) -> Result<(), Reject> {
    hop::strip_request(head)?;
    hop::forward(head, conn.peer_ip.as_bytes(), trusted);
    if !trusted && head.fields.iter().any(is_command) {
        head.fields.retain(|f| !is_command(f));
    }
    if !trusted || !head.fields.contains(Known::XRequestId) {
        head.fields.set_known(Known::XRequestId, &request_id());
    }
    Ok(())
}

/// Whether a field is one of those by which Envoys talk to each other: timeouts, retries, the original path …
fn is_command(field: FieldRef<'_>) -> bool {
    match field.known {
        Known::Other => field.name.starts_with(b"x-envoy-"),
        known => matches!(known, Known::XEnvoyAttemptCount | Known::XEnvoyUpstreamServiceTime),
    }
}

/// A random UUID (RFC 9562 §5.4) as text.
fn request_id() -> [u8; 36] {
    let random = (fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = [hex((random >> 96) as u32), hex((random >> 64) as u32), hex((random >> 32) as u32), hex(random as u32)];
    let mut text = [b'-'; 36];
    text[..8].copy_from_slice(&hex[0]);
    text[9..13].copy_from_slice(&hex[1][..4]);
    text[14..18].copy_from_slice(&hex[1][4..]);
    text[19..23].copy_from_slice(&hex[2][..4]);
    text[24..28].copy_from_slice(&hex[2][4..]);
    text[28..].copy_from_slice(&hex[3]);
    text
}

/// Eight hex digits, all at once: a nibble goes to each byte, then nine's excess makes letters.
fn hex(word: u32) -> [u8; 8] {
    let mut x = u64::from(word);
    x = (x | (x << 16)) & 0x0000_ffff_0000_ffff;
    x = (x | (x << 8)) & 0x00ff_00ff_00ff_00ff;
    x = (x | (x << 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = ((x + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    (x + 0x3030_3030_3030_3030 + letters * (u64::from(b'a') - u64::from(b'0') - 10)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_are_written_in_hex() {
        for word in [0, 1, 0x0123_4567, 0x89ab_cdef, u32::MAX, 0xa0b9_f09a] {
            assert_eq!(super::hex(word).to_vec(), format!("{word:08x}").into_bytes());
        }
    }

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
