//! Methods, versions, schemes.

use std::fmt;

/// A request method; methods are case-sensitive (RFC 9110 §9.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Method {
    Connect,
    Delete,
    #[default]
    Get,
    Head,
    Options,
    Patch,
    Post,
    Put,
    Trace,
    /// Any other token; the bytes are in [`crate::RequestHead::method_bytes`].
    Other,
}

impl Method {
    /// The method of these bytes.
    #[inline]
    pub fn of(bytes: &[u8]) -> Method {
        match bytes {
            b"GET" => Method::Get,
            b"POST" => Method::Post,
            b"HEAD" => Method::Head,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"OPTIONS" => Method::Options,
            b"PATCH" => Method::Patch,
            b"CONNECT" => Method::Connect,
            b"TRACE" => Method::Trace,
            _ => Method::Other,
        }
    }

    /// The method's name; empty for [`Method::Other`].
    #[inline]
    pub const fn name(self) -> &'static str {
        match self {
            Method::Connect => "CONNECT",
            Method::Delete => "DELETE",
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Options => "OPTIONS",
            Method::Patch => "PATCH",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Trace => "TRACE",
            Method::Other => "",
        }
    }

    /// Whether a request may be sent again without asking (RFC 9110 §9.2.2).
    pub const fn is_idempotent(self) -> bool {
        matches!(self, Method::Get | Method::Head | Method::Options | Method::Trace | Method::Put | Method::Delete)
    }

    /// Whether content is expected, so that its absence is said with `content-length: 0` (RFC 9110 §8.6).
    pub(crate) const fn expects_content(self) -> bool {
        matches!(self, Method::Post | Method::Put | Method::Patch)
    }
}

/// A protocol version. What a head arrived with; the leg that sends it decides for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Version {
    Http10,
    #[default]
    Http11,
    H2,
}

impl Version {
    /// As access logs write it: `HTTP/1.0`, `HTTP/1.1`, `HTTP/2`.
    pub const fn name(self) -> &'static str {
        match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
            Version::H2 => "HTTP/2",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The scheme a request was made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Scheme {
    #[default]
    Http,
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub const fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port that a URL without one means.
    pub const fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }

    /// The scheme of these bytes, in any case (RFC 3986 §3.1).
    pub fn of(bytes: &[u8]) -> Option<Scheme> {
        if bytes.eq_ignore_ascii_case(b"http") {
            Some(Scheme::Http)
        } else if bytes.eq_ignore_ascii_case(b"https") {
            Some(Scheme::Https)
        } else {
            None
        }
    }
}
