//! Origins and patterns of them.

use crate::Problem;
use fairlead_http::{Scheme, authority};

/// `scheme://host[:port]`, as `Origin` has it (RFC 6454 §6.2). `null` and other schemes are none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin<'a> {
    scheme: Scheme,
    host: &'a [u8],
    /// The scheme's own where none is written.
    port: u16,
}

/// An allowed origin.
#[derive(Debug)]
pub(super) enum Pattern {
    /// `*`: every origin, `null` included.
    Any,
    /// Scheme and port are these, and the host is as told.
    Some { scheme: Scheme, host: Host, port: u16 },
}

/// The host of a pattern, lower-case.
#[derive(Debug)]
pub(super) enum Host {
    Any,
    Exact(Box<[u8]>),
    /// What follows the `*`, with its dot. It stands for any number of labels, at least one.
    Suffix(Box<[u8]>),
}

impl<'a> Origin<'a> {
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let (scheme, rest) = split_scheme(text)?;
        if !authority::is_valid(rest) {
            return None;
        }
        let split = authority::split(rest);
        Some(Origin { scheme, host: split.host, port: split.port.unwrap_or(scheme.default_port()) })
    }
}

impl Pattern {
    pub(super) fn compile(field: &str, text: &str) -> Result<Self, Problem> {
        if text == "*" {
            return Ok(Pattern::Any);
        }
        let wrong =
            || Problem::new(field, format!("`{}` is no origin: `*` or `http(s)://host[:port]`", text.escape_debug()));
        let lower = text.to_ascii_lowercase();
        let (scheme, rest) = split_scheme(lower.as_bytes()).ok_or_else(wrong)?;
        // The rest is checked with a label in the place of the `*`.
        let plain = match rest.strip_prefix(b"*") {
            Some(tail) => [b"x", tail].concat(),
            None => rest.to_vec(),
        };
        if !authority::is_valid(&plain) {
            return Err(wrong());
        }
        let split = authority::split(rest);
        let host = match split.host.strip_prefix(b"*") {
            None => Host::Exact(split.host.into()),
            Some(b"") => Host::Any,
            Some(suffix) if suffix.starts_with(b".") => Host::Suffix(suffix.into()),
            Some(_) => return Err(wrong()),
        };
        Ok(Pattern::Some { scheme, host, port: split.port.unwrap_or(scheme.default_port()) })
    }

    /// `None` is an origin that is not of the usual form.
    pub(super) fn matches(&self, origin: Option<&Origin<'_>>) -> bool {
        match (self, origin) {
            (Pattern::Any, _) => true,
            (Pattern::Some { .. }, None) => false,
            (Pattern::Some { scheme, host, port }, Some(origin)) => {
                *scheme == origin.scheme && *port == origin.port && host.matches(origin.host)
            }
        }
    }
}

impl Host {
    fn matches(&self, host: &[u8]) -> bool {
        match self {
            Host::Any => true,
            Host::Exact(exact) => exact.eq_ignore_ascii_case(host),
            Host::Suffix(suffix) => {
                let at = host.len().checked_sub(suffix.len()).filter(|at| *at > 0);
                at.is_some_and(|at| host[at..].eq_ignore_ascii_case(suffix))
            }
        }
    }
}

fn split_scheme(text: &[u8]) -> Option<(Scheme, &[u8])> {
    let at = memchr::memchr(b':', text)?;
    Some((Scheme::of(&text[..at])?, text[at..].strip_prefix(b"://")?))
}
