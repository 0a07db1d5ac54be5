//! Query parameters, as far as predicates need them.
//!
//! Parsed as `application/x-www-form-urlencoded` (WHATWG URL §5.1), which is what browsers send: pairs are separated by `&` and
//! split at the first `=`, `+` is a space, percent escapes are decoded, and a `%` without two hexadecimal digits stands for itself.
//! The first parameter of a name counts, as the specification recommends.

use smallvec::SmallVec;

/// A query split into pairs, still encoded. Nothing is allocated: what goes beyond [`SPLIT`] pairs is scanned when needed.
pub(crate) struct Query<'a> {
    pairs: [(&'a [u8], &'a [u8]); SPLIT],
    len: usize,
    rest: &'a [u8],
}

impl<'a> Query<'a> {
    pub(crate) fn parse(query: &'a [u8]) -> Self {
        let mut parsed = Query { pairs: [(&[], &[]); SPLIT], len: 0, rest: query };
        while parsed.len < SPLIT {
            let Some(pair) = next_pair(&mut parsed.rest) else { break };
            parsed.pairs[parsed.len] = pair;
            parsed.len += 1;
        }
        parsed
    }

    /// The encoded value of the first parameter of a (decoded) name.
    pub(crate) fn first(&self, name: &[u8]) -> Option<&'a [u8]> {
        let known = self.pairs[..self.len].iter().find(|(key, _)| equals(key, name));
        known.map(|(_, value)| *value).or_else(|| {
            let mut rest = self.rest;
            std::iter::from_fn(|| next_pair(&mut rest)).find(|(key, _)| equals(key, name)).map(|(_, value)| value)
        })
    }
}

/// Whether encoded text stands for this decoded one.
pub(crate) fn equals(encoded: &[u8], decoded: &[u8]) -> bool {
    if memchr::memchr2(b'%', b'+', encoded).is_none() {
        return encoded == decoded;
    }
    Decoded(encoded).eq(decoded.iter().copied())
}

/// The decoded text, without a copy when nothing is encoded.
pub(crate) fn with_decoded<R>(encoded: &[u8], f: impl FnOnce(&[u8]) -> R) -> R {
    if memchr::memchr2(b'%', b'+', encoded).is_none() {
        return f(encoded);
    }
    let decoded: SmallVec<[u8; 256]> = Decoded(encoded).collect();
    f(&decoded)
}

/// The next pair that is not empty.
fn next_pair<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    while !rest.is_empty() {
        let (pair, tail) = match memchr::memchr(b'&', rest) {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (*rest, &[][..]),
        };
        *rest = tail;
        if !pair.is_empty() {
            return Some(match memchr::memchr(b'=', pair) {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[]),
            });
        }
    }
    None
}

struct Decoded<'a>(&'a [u8]);

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (byte, taken) = match *self.0 {
            [] => return None,
            [b'+', ..] => (b' ', 1),
            [b'%', high, low, ..] => match (hex(high), hex(low)) {
                (Some(high), Some(low)) => (high << 4 | low, 3),
                _ => (b'%', 1),
            },
            [byte, ..] => (byte, 1),
        };
        self.0 = &self.0[taken..];
        Some(byte)
    }
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).and_then(|v| u8::try_from(v).ok())
}

/// Pairs that are split once per request.
const SPLIT: usize = 16;

#[cfg(test)]
mod tests {
    use super::{Query, equals, with_decoded};

    #[test]
    fn first_parameter_of_a_name_counts() {
        let query = Query::parse(b"a=1&&b=2&a=3&c&d=x=y&=z");
        assert_eq!(query.first(b"a"), Some(&b"1"[..]));
        assert_eq!(query.first(b"b"), Some(&b"2"[..]));
        assert_eq!(query.first(b"c"), Some(&b""[..]));
        assert_eq!(query.first(b"d"), Some(&b"x=y"[..]));
        assert_eq!(query.first(b""), Some(&b"z"[..]));
        assert_eq!(query.first(b"A"), None);
    }

    #[test]
    fn names_are_decoded() {
        assert_eq!(Query::parse(b"%61%20b=1").first(b"a b"), Some(&b"1"[..]));
        assert_eq!(Query::parse(b"a+b=1").first(b"a b"), Some(&b"1"[..]));
    }

    #[test]
    fn values_are_decoded_leniently() {
        assert!(equals(b"100%", b"100%"));
        assert!(equals(b"%zz%4", b"%zz%4"));
        assert!(equals(b"%2B+%2f", b"+ /"));
        assert!(!equals(b"%2", b"\x02"));
        with_decoded(b"%C3%A9", |v| assert_eq!(v, "é".as_bytes()));
    }

    #[test]
    fn many_parameters_are_still_found() {
        let text: Vec<String> = (0..100).map(|i| format!("k{i}=v{i}")).collect();
        let text = text.join("&");
        let query = Query::parse(text.as_bytes());
        assert_eq!(query.first(b"k3"), Some(&b"v3"[..]));
        assert_eq!(query.first(b"k99"), Some(&b"v99"[..]));
        assert_eq!(query.first(b"k100"), None);
    }
}
