//! Session persistence (GEP-1619): tokens by which a client comes back to the endpoint it had.
//!
//! `seed ──► SessionKey ──► Token { tag of the endpoint, time of issue, seal } ──► text`
//!
//! A tag is a keyed hash (HMAC-SHA-256, 96 bits) of the endpoint's address. It tells nothing of the address, is the same on every
//! worker and proxy and after a restart, and means nothing once the endpoint is gone; there is nothing to remember.
//! Where sessions end after a time, the token has the time of its issue and a seal over both, so that nobody prolongs a session.
//! What can't be read, was made up or belongs to another key is no token, and no error.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;

/// What an endpoint is called in tokens.
pub type Tag = [u8; 12];

const SEAL: usize = 8;
/// Tag, seconds since 1970, seal.
const SEALED: usize = size_of::<Tag>() + 4 + SEAL;

/// Makes and reads the tokens of one session's settings.
pub struct SessionKey {
    /// The same for the same seed.
    id: Tag,
    tags: hmac::Key,
    seals: hmac::Key,
    /// Seconds for which a token is good.
    timeout: Option<u32>,
}

/// The text of a token: no allocation.
#[derive(Clone, Copy)]
pub struct TokenText {
    bytes: [u8; TokenText::LONGEST],
    len: usize,
}

impl SessionKey {
    /// The key of a seed. With `timeout`, in seconds, tokens are honoured for that long.
    pub fn derive(seed: &str, timeout: Option<u32>) -> SessionKey {
        let root = hmac::Key::new(hmac::HMAC_SHA256, seed.as_bytes());
        let key = |what: &str| {
            let derived = hmac::sign(&root, what.as_bytes());
            hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref())
        };
        let tags = key("fairlead session v1 tag");
        SessionKey { id: first(&hmac::sign(&tags, b"")), tags, seals: key("fairlead session v1 seal"), timeout }
    }

    /// What an endpoint is called.
    pub fn tag(&self, endpoint: &str) -> Tag {
        first(&hmac::sign(&self.tags, endpoint.as_bytes()))
    }

    /// A token, as of `now` in seconds since 1970.
    pub fn token(&self, tag: Tag, now: u32) -> TokenText {
        let mut raw = [0; SEALED];
        raw[..tag.len()].copy_from_slice(&tag);
        let len = match self.timeout {
            None => tag.len(),
            Some(_) => {
                raw[tag.len()..SEALED - SEAL].copy_from_slice(&now.to_be_bytes());
                let seal: [u8; SEAL] = first(&hmac::sign(&self.seals, &raw[..SEALED - SEAL]));
                raw[SEALED - SEAL..].copy_from_slice(&seal);
                SEALED
            }
        };
        let mut text = TokenText { bytes: [0; TokenText::LONGEST], len: 0 };
        text.len = URL_SAFE_NO_PAD.encode_slice(&raw[..len], &mut text.bytes).unwrap_or_default();
        text
    }

    /// The tag of a token that is good at `now`, in seconds since 1970; whether it stands for anything is for the cluster to say.
    pub fn read(&self, token: &[u8], now: u32) -> Option<Tag> {
        // Decoders want room for whole groups.
        let mut raw = [0; SEALED + 3];
        if !TokenText::is_shaped(token) {
            return None;
        }
        let len = URL_SAFE_NO_PAD.decode_slice(token, &mut raw).ok()?;
        let (tag, rest) = raw.get(..len)?.split_first_chunk()?;
        let Some(timeout) = self.timeout else { return rest.is_empty().then_some(*tag) };
        let (issued, seal) = rest.split_first_chunk()?;
        let made: [u8; SEAL] = first(&hmac::sign(&self.seals, raw.get(..SEALED - SEAL)?));
        if aws_lc_rs::constant_time::verify_slices_are_equal(&made, seal).is_err() {
            return None;
        }
        // Clocks of two proxies may differ a little.
        (now < u32::from_be_bytes(*issued).saturating_add(timeout)).then_some(*tag)
    }

    /// Whether tags of the other key are tags of this one.
    pub(crate) fn tags_as(&self, other: &SessionKey) -> bool {
        self.id == other.id
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKey").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl TokenText {
    /// Bytes of the longest token.
    pub const LONGEST: usize = SEALED * 4 / 3;

    /// Whether something looks like a token, of whatever key.
    pub fn is_shaped(text: &[u8]) -> bool {
        let length = text.len() * 3;
        (length == size_of::<Tag>() * 4 || length == SEALED * 4)
            && text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

fn first<const N: usize>(mac: &hmac::Tag) -> [u8; N] {
    let mut short = [0; N];
    for (to, from) in short.iter_mut().zip(mac.as_ref()) {
        *to = *from;
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(key: &SessionKey, text: &str, now: u32) -> Option<Tag> {
        key.read(text.as_bytes(), now)
    }

    fn text(token: &TokenText) -> String {
        String::from_utf8(token.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn the_same_seed_reads_what_it_wrote_and_no_other_does() {
        for timeout in [None, Some(60)] {
            let (a, b) = (SessionKey::derive("service/1", timeout), SessionKey::derive("service/1", timeout));
            let tag = a.tag("10.0.0.1:80");
            assert_eq!(tag, b.tag("10.0.0.1:80"));
            assert_ne!(tag, a.tag("10.0.0.2:80"));
            assert_ne!(tag, SessionKey::derive("service/2", timeout).tag("10.0.0.1:80"));
            let token = text(&a.token(tag, 1000));
            assert_eq!(read(&b, &token, 1001), Some(tag));
            assert!(TokenText::is_shaped(token.as_bytes()));
        }
    }

    #[test]
    fn tokens_do_not_tell_of_addresses() {
        let key = SessionKey::derive("seed", Some(60));
        let token = key.token(key.tag("10.0.0.1:80"), 1000);
        let raw = URL_SAFE_NO_PAD.decode(token.as_bytes()).unwrap();
        assert!(!raw.windows(4).any(|w| w == [10, 0, 0, 1]) && !raw.windows(4).any(|w| w == b"10.0"));
    }

    #[test]
    fn sessions_end_and_nobody_prolongs_them() {
        let key = SessionKey::derive("seed", Some(60));
        let tag = key.tag("10.0.0.1:80");
        let token = text(&key.token(tag, 1000));
        assert_eq!(read(&key, &token, 1059), Some(tag));
        assert_eq!(read(&key, &token, 1060), None, "over");
        let mut raw = URL_SAFE_NO_PAD.decode(&token).unwrap();
        raw[12..16].copy_from_slice(&2000u32.to_be_bytes());
        assert_eq!(read(&key, &URL_SAFE_NO_PAD.encode(raw), 1001), None, "the seal is broken");
        let plain = text(&SessionKey::derive("seed", None).token(tag, 0));
        assert_eq!(read(&key, &plain, 1001), None, "a token without a time never ends");
    }

    #[test]
    fn anything_else_is_no_token() {
        for key in [SessionKey::derive("seed", Some(60)), SessionKey::derive("seed", None)] {
            for junk in ["", "x", "not a token at all", "AAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAA=="] {
                assert_eq!(read(&key, junk, 0), None, "{junk}");
            }
            let other = SessionKey::derive("other", Some(60)).token([1; 12], 0);
            assert_eq!(key.read(other.as_bytes(), 1), None);
        }
    }
}
