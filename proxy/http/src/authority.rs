//! Hosts and ports as `Host` and `:authority` carry them.

/// An authority taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split<'a> {
    /// The host as sent, without port and without a trailing dot.
    pub host: &'a [u8],
    /// The port, if there is a sensible one.
    pub port: Option<u16>,
}

/// Takes an authority apart, whether it is valid or not: the last colon outside brackets starts a port.
pub fn split(authority: &[u8]) -> Split<'_> {
    let (host, port) = match memchr::memrchr(b':', authority) {
        Some(colon) if !authority[colon..].contains(&b']') => (&authority[..colon], Some(&authority[colon + 1..])),
        _ => (authority, None),
    };
    Split { host: host.strip_suffix(b".").unwrap_or(host), port: port.and_then(parse_port) }
}

/// Whether this is `host[:port]` as we accept it from clients.
///
/// Stricter than RFC 3986 §3.2: no user information, no percent-encoding or sub-delimiters in names (no DNS name has them, and
/// backends disagree on their meaning), no empty labels, no empty port, at most 255 bytes of host.
#[inline]
pub fn is_valid(authority: &[u8]) -> bool {
    parse(authority).is_some()
}

/// A valid authority's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// Length of the host, without a trailing dot.
    pub(crate) host_len: usize,
    pub(crate) port: Option<u16>,
    /// Whether the host has upper-case letters.
    pub(crate) upper: bool,
}

/// Takes an authority apart in one pass, if it is valid.
#[inline]
pub(crate) fn parse(authority: &[u8]) -> Option<Parsed> {
    // Where the last label and the port begin.
    let (mut label, mut end, mut upper) = (0, 0, false);
    while let Some(c) = authority.get(end) {
        match CLASSES[*c as usize] {
            Class::Plain => {}
            Class::Upper => upper = true,
            Class::Dot if end > label => label = end + 1,
            Class::Colon => break,
            Class::Bracket if end == 0 => return parse_ipv6(authority),
            Class::Dot | Class::Bracket | Class::Other => return None,
        }
        end += 1;
    }
    let port = match authority.get(end + 1..) {
        Some(port) => Some(parse_port(port)?),
        None if authority.len() > end => return None,
        None => None,
    };
    if end == 0 || end > MAX_HOST {
        return None;
    }
    Some(Parsed { host_len: end - usize::from(label == end), port, upper })
}

#[cold]
fn parse_ipv6(authority: &[u8]) -> Option<Parsed> {
    let close = memchr::memchr(b']', authority)?;
    let port = match &authority[close + 1..] {
        [] => None,
        [b':', port @ ..] => Some(parse_port(port)?),
        _ => return None,
    };
    let host = &authority[..=close];
    let literal = str::from_utf8(&host[1..close]).ok()?;
    literal.parse::<std::net::Ipv6Addr>().ok()?;
    Some(Parsed { host_len: host.len(), port, upper: host.iter().any(u8::is_ascii_uppercase) })
}

/// Whether two authorities name the same host and port; `default_port` stands for a missing one.
pub fn same(a: &[u8], b: &[u8], default_port: u16) -> bool {
    let (a, b) = (split(a), split(b));
    a.host.eq_ignore_ascii_case(b.host) && a.port.unwrap_or(default_port) == b.port.unwrap_or(default_port)
}

fn parse_port(port: &[u8]) -> Option<u16> {
    if port.is_empty() || port.len() > 5 {
        return None;
    }
    let mut n = 0u32;
    for digit in port {
        n = n * 10 + (*digit as char).to_digit(10)?;
    }
    u16::try_from(n).ok().filter(|n| *n != 0)
}

const MAX_HOST: usize = 255;

/// What a byte may be in an authority.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Bracket,
    Colon,
    Dot,
    Other,
    Plain,
    Upper,
}

static CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut c = 0;
    while c < 256 {
        classes[c] = match c as u8 {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => Class::Plain,
            b'A'..=b'Z' => Class::Upper,
            b'.' => Class::Dot,
            b':' => Class::Colon,
            b'[' => Class::Bracket,
            _ => Class::Other,
        };
        c += 1;
    }
    classes
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits() {
        let of = |s: &'static str| {
            let s = split(s.as_bytes());
            (str::from_utf8(s.host).unwrap(), s.port)
        };
        assert_eq!(of("a.b"), ("a.b", None));
        assert_eq!(of("a.b.:80"), ("a.b", Some(80)));
        assert_eq!(of("[::1]"), ("[::1]", None));
        assert_eq!(of("[::1]:8443"), ("[::1]", Some(8443)));
        assert_eq!(of("a:x"), ("a", None));
        assert_eq!(of(""), ("", None));
    }

    #[test]
    fn validity() {
        for good in ["a", "a.b", "a.b.", "A-b_c.example:1", "1.2.3.4:65535", "[::1]", "[fe80::1]:80", "~x"] {
            assert!(is_valid(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a:",
            "a:0",
            "a:65536",
            "a:123456",
            "a:+1",
            "a:8o",
            "u@a",
            "u:p@a",
            "a b",
            "a,b",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "a%20b",
            ".a",
            "a..b",
            ".",
            "::1",
            "[::1",
            "::1]",
            "[::g]",
            "[::1]x",
            "[::1]:",
            "[1.2.3.4]",
            "a\0",
            "a\n",
            "é",
            "a:80:80",
            "[v1.x]",
            "a;b",
            "a=b",
            "a'b",
        ] {
            assert!(!is_valid(bad.as_bytes()), "{bad}");
        }
        assert!(!is_valid("a".repeat(256).as_bytes()));
    }

    #[test]
    fn sameness() {
        assert!(same(b"A.b", b"a.b:80", 80));
        assert!(same(b"a.b.", b"a.b", 80));
        assert!(!same(b"a.b", b"a.b:81", 80));
        assert!(!same(b"a.b", b"a.c", 80));
    }
}
