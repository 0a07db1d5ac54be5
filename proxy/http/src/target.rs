//! Request targets: their four forms and the characters they may have.

use crate::authority;
use crate::error::Reject;
use crate::method::{Method, Scheme};

/// A request target in one of the forms of RFC 9112 §3.2. Authority form (CONNECT) is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// `scheme://authority/path`; the path may be empty or only a query.
    Absolute {
        /// http or https.
        scheme: Scheme,
        /// Valid.
        authority: &'a [u8],
        /// What follows the authority.
        path: &'a [u8],
    },
    /// `*`, for OPTIONS only.
    Asterisk,
    /// `/path?query`.
    Origin(&'a [u8]),
}

/// Checks a target and tells its form.
#[inline]
pub(crate) fn parse(method: Method, target: &[u8]) -> Result<Target<'_>, Reject> {
    if method == Method::Connect {
        return Err(CONNECT);
    }
    check_characters(target)?;
    match target {
        [b'/', ..] => Ok(Target::Origin(target)),
        b"*" if method == Method::Options => Ok(Target::Asterisk),
        _ => absolute(target),
    }
}

/// CONNECT is not served.
pub(crate) const CONNECT: Reject = Reject::closing(501, "http.connect_not_supported");

fn absolute(target: &[u8]) -> Result<Target<'_>, Reject> {
    let colon = memchr::memchr(b':', target).ok_or(INVALID)?;
    let rest = target[colon + 1..].strip_prefix(b"//").ok_or(INVALID)?;
    let scheme = Scheme::of(&target[..colon]).ok_or(Reject::bad("http1.invalid_scheme"))?;
    let end = rest.iter().position(|c| matches!(c, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if !authority::is_valid(authority) {
        return Err(INVALID);
    }
    Ok(Target::Absolute { scheme, authority, path })
}

/// Refuses what no client that follows RFC 3986 sends and recipients read differently: controls, spaces, anything outside
/// ASCII, fragments, and a backslash in the path. Other characters outside the RFC (`"<>^{|}` and the backtick), and a backslash in
/// the query, are sent by browsers and pass.
#[inline]
pub(crate) fn check_characters(target: &[u8]) -> Result<(), Reject> {
    let mut suspicious = false;
    for c in target {
        suspicious |= !(0x21..=0x7e).contains(c) | (*c == b'#') | (*c == b'\\');
    }
    if suspicious { check_suspicious(target) } else { Ok(()) }
}

#[cold]
fn check_suspicious(target: &[u8]) -> Result<(), Reject> {
    let path = target.split(|c| *c == b'?').next().unwrap_or_default();
    let bad = target.iter().any(|c| !(0x21..=0x7e).contains(c) || *c == b'#') || path.contains(&b'\\');
    if bad { Err(INVALID) } else { Ok(()) }
}

const INVALID: Reject = Reject::bad("http1.invalid_url");

#[cfg(test)]
mod tests {
    use super::*;

    fn of(target: &str) -> Result<Target<'_>, u16> {
        parse(Method::Get, target.as_bytes()).map_err(|r| r.status)
    }

    #[test]
    fn forms() {
        assert_eq!(of("/a?b"), Ok(Target::Origin(b"/a?b")));
        let absolute = |scheme, authority, path| Ok(Target::Absolute { scheme, authority, path });
        assert_eq!(of("http://a:1/x?y"), absolute(Scheme::Http, b"a:1", b"/x?y"));
        assert_eq!(of("HTTPS://a"), absolute(Scheme::Https, b"a", b""));
        assert_eq!(of("http://a?q"), absolute(Scheme::Http, b"a", b"?q"));
        assert_eq!(parse(Method::Options, b"*"), Ok(Target::Asterisk));
        assert_eq!(parse(Method::Connect, b"a:443").map_err(|r| r.status), Err(501));
    }

    #[test]
    fn refused() {
        for bad in [
            "",
            "*",
            "a",
            "a/b",
            "a:80",
            "http:/a",
            "http:a",
            "http://",
            "http:///p",
            "ftp://a/",
            "http://u@a/",
            "http://a b/",
            "/a#b",
            "/a\\b",
            "/a b",
            "/a\tb",
            "/\u{1}",
            "/\u{7f}",
            "/é",
            "/a?b#c",
            "/?\n",
            "://a/",
            "http://a#b",
            "ws://a/",
        ] {
            assert_eq!(of(bad), Err(400), "{bad}");
        }
        assert!(of("/a?x=\\").is_ok());
        assert!(of("/%zz{}|^\"<>`").is_ok());
    }
}
