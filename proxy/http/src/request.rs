//! The head of a request.

use std::fmt;

use crate::authority::{self, Parsed};
use crate::fields::Fields;
use crate::known::Known;
use crate::method::{Method, Scheme, Version};

/// The head of a request, the same for HTTP/1.1 and HTTP/2.
///
/// `Host` and `:authority` are the authority here and are not in [`RequestHead::fields`]; codecs write it from there. A head is meant to be
/// cleared and used again: it then allocates nothing.
#[derive(Clone, Default)]
pub struct RequestHead {
    /// What the request arrived with.
    pub version: Version,
    /// The scheme the client used, as far as this side of the connection knows.
    pub scheme: Scheme,
    /// The protocol the client asks to switch to, if it is one that is supported.
    ///
    /// On HTTP/2 an extended CONNECT (RFC 8441) reads as the `GET` with an upgrade that it stands for.
    pub upgrade: Option<Upgrade>,
    /// All header fields but `Host`.
    pub fields: Fields,
    method: Method,
    port: Option<u16>,
    /// Method (when it is none of the known), authority, host and path, in any order; what was replaced stays until `clear`.
    text: Vec<u8>,
    method_text: Span,
    authority: Span,
    host: Span,
    /// Path and query.
    path: Span,
    /// Length of the path without its query; equal to the span's when there is no query.
    path_len: u32,
}

/// A protocol to switch to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// RFC 6455.
    WebSocket,
}

#[derive(Clone, Copy, Default)]
struct Span {
    at: u32,
    len: u32,
}

impl RequestHead {
    /// An empty head: `GET` without a target. Allocates nothing.
    pub fn new() -> RequestHead {
        RequestHead::default()
    }

    /// Forgets everything, keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        let (mut fields, mut text) = (std::mem::take(&mut self.fields), std::mem::take(&mut self.text));
        fields.clear();
        text.clear();
        *self = RequestHead { fields, text, ..RequestHead::default() };
    }

    /// The method.
    #[inline]
    pub fn method(&self) -> Method {
        self.method
    }

    /// The method's name, also of methods that are [`Method::Other`].
    #[inline]
    pub fn method_bytes(&self) -> &[u8] {
        match self.method {
            Method::Other => self.slice(self.method_text),
            m => m.name().as_bytes(),
        }
    }

    /// Sets the method; the caller has checked that it is a token.
    #[inline]
    pub fn set_method(&mut self, name: &[u8]) {
        self.method = Method::of(name);
        if self.method == Method::Other {
            self.method_text = self.put(name);
        }
    }

    /// The authority as sent, with its port; empty when there was none (HTTP/1.0).
    #[inline]
    pub fn authority(&self) -> &[u8] {
        self.slice(self.authority)
    }

    /// The authority's host in lower case, without port and trailing dot. IPv6 literals keep their brackets.
    #[inline]
    pub fn host(&self) -> &[u8] {
        self.slice(self.host)
    }

    /// The authority's port, if it names one.
    #[inline]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Sets the authority, and host and port from it; the caller has checked it (see [`authority::is_valid`]).
    pub fn set_authority(&mut self, authority: &[u8]) {
        let split = authority::split(authority);
        let upper = split.host.iter().any(u8::is_ascii_uppercase);
        self.set_parsed_authority(authority, Parsed { host_len: split.host.len(), port: split.port, upper });
    }

    /// Sets the authority that was parsed already.
    #[inline]
    pub(crate) fn set_parsed_authority(&mut self, authority: &[u8], parsed: Parsed) {
        self.authority = self.put(authority);
        self.port = parsed.port;
        self.host = Span { at: self.authority.at, len: parsed.host_len as u32 };
        if parsed.upper {
            self.host = self.put(&authority[..parsed.host_len]);
            let Span { at, len } = self.host;
            self.text[at as usize..][..len as usize].make_ascii_lowercase();
        }
    }

    /// The path without its query. Starts with `/` but for `*` (`OPTIONS *`).
    #[inline]
    pub fn path(&self) -> &[u8] {
        &self.slice(self.path)[..self.path_len as usize]
    }

    /// What follows the first `?`, if there is one.
    #[inline]
    pub fn query(&self) -> Option<&[u8]> {
        self.slice(self.path).get(self.path_len as usize + 1..)
    }

    /// Path and query as they stand in the request line.
    #[inline]
    pub fn path_and_query(&self) -> &[u8] {
        self.slice(self.path)
    }

    /// Replaces path and query.
    #[inline]
    pub fn set_path_and_query(&mut self, target: &[u8]) {
        self.path = self.put(target);
        self.path_len = memchr::memchr(b'?', target).unwrap_or(target.len()) as u32;
    }

    /// Sets the path of an absolute target, which may lack its slash.
    pub(crate) fn set_absolute_path(&mut self, path: &[u8]) {
        if path.first() == Some(&b'/') {
            return self.set_path_and_query(path);
        }
        self.path = self.put(b"/");
        self.path.len += self.put(path).len;
        self.path_len = 1;
    }

    /// Changes the path in place: `change` gets a copy of it and returns the length of what it made of it.
    pub(crate) fn edit_path<E>(&mut self, change: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<(), E> {
        let Span { at, len } = self.path;
        let (start, query, end) = (at as usize, (at + self.path_len) as usize, (at + len) as usize);
        let copy = self.text.len();
        self.text.extend_from_within(start..query);
        let path_len = change(&mut self.text[copy..])?;
        self.text.truncate(copy + path_len);
        self.text.extend_from_within(query..end);
        self.path = Span { at: copy as u32, len: (self.text.len() - copy) as u32 };
        self.path_len = path_len as u32;
        Ok(())
    }

    /// Replaces the path; the query stays. `path` has no `?`.
    pub fn set_path(&mut self, path: &[u8]) {
        debug_assert!(!path.contains(&b'?'));
        let query = self.path.at as usize + self.path_len as usize..self.path.at as usize + self.path.len as usize;
        let at = self.text.len();
        self.text.extend_from_slice(path);
        self.text.extend_from_within(query);
        self.path = Span { at: at as u32, len: (self.text.len() - at) as u32 };
        self.path_len = path.len() as u32;
    }

    /// Whether this is a gRPC call: content type `application/grpc`, alone or followed by `+` or `;`.
    pub fn is_grpc(&self) -> bool {
        self.fields.get(Known::ContentType).is_some_and(is_grpc_type)
    }

    /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.version != Version::Http10
            && self.fields.get(Known::Expect).is_some_and(|v| v.eq_ignore_ascii_case(b"100-continue"))
    }

    /// Becomes a copy of `other`, using the memory it has.
    pub fn copy_from(&mut self, other: &RequestHead) {
        let (mut fields, mut text) = (std::mem::take(&mut self.fields), std::mem::take(&mut self.text));
        fields.copy_from(&other.fields);
        text.clone_from(&other.text);
        let RequestHead {
            version, scheme, upgrade, method, port, method_text, authority, host, path, path_len, ..
        } = *other;
        *self = RequestHead {
            fields,
            text,
            version,
            scheme,
            upgrade,
            method,
            port,
            method_text,
            authority,
            host,
            path,
            path_len,
        };
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Span {
        let at = self.text.len() as u32;
        self.text.extend_from_slice(bytes);
        Span { at, len: bytes.len() as u32 }
    }

    #[inline]
    fn slice(&self, span: Span) -> &[u8] {
        &self.text[span.at as usize..][..span.len as usize]
    }
}

/// Whether a content type is gRPC's (gRPC over HTTP/2, "Content-Type").
pub fn is_grpc_type(value: &[u8]) -> bool {
    match value.split_at_checked(GRPC.len()) {
        Some((start, rest)) => {
            start.eq_ignore_ascii_case(GRPC) && matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t'))
        }
        None => false,
    }
}

const GRPC: &[u8] = b"application/grpc";

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("version", &self.version)
            .field("scheme", &self.scheme)
            .field("method", &self.method_bytes().escape_ascii().to_string())
            .field("authority", &self.authority().escape_ascii().to_string())
            .field("path", &self.path_and_query().escape_ascii().to_string())
            .field("upgrade", &self.upgrade)
            .field("fields", &self.fields)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> RequestHead {
        let mut h = RequestHead::new();
        h.set_method(b"PURGE");
        h.set_authority(b"Shop.Example.COM.:8080");
        h.set_path_and_query(b"/a/b?x=1?2");
        h.fields.push(b"content-type", b"application/grpc+proto");
        h
    }

    #[test]
    fn parts() {
        let h = head();
        assert_eq!((h.method(), h.method_bytes()), (Method::Other, &b"PURGE"[..]));
        assert_eq!(h.authority(), b"Shop.Example.COM.:8080");
        assert_eq!((h.host(), h.port()), (&b"shop.example.com"[..], Some(8080)));
        assert_eq!((h.path(), h.query()), (&b"/a/b"[..], Some(&b"x=1?2"[..])));
        assert_eq!(h.path_and_query(), b"/a/b?x=1?2");
        assert!(h.is_grpc());
    }

    #[test]
    fn setters() {
        let mut h = head();
        h.set_path(b"/other");
        assert_eq!(h.path_and_query(), b"/other?x=1?2");
        h.set_path_and_query(b"/q?");
        assert_eq!((h.path(), h.query()), (&b"/q"[..], Some(&b""[..])));
        h.set_path_and_query(b"/n");
        assert_eq!((h.path(), h.query()), (&b"/n"[..], None));
        h.set_path(b"/m");
        assert_eq!(h.path_and_query(), b"/m");
        h.set_authority(b"[::1]:9");
        assert_eq!((h.host(), h.port()), (&b"[::1]"[..], Some(9)));
        h.set_method(b"GET");
        assert_eq!((h.method(), h.method_bytes()), (Method::Get, &b"GET"[..]));
    }

    #[test]
    fn copy_and_clear() {
        let mut h = RequestHead::new();
        h.set_path_and_query(b"/old/and/long/path");
        h.copy_from(&head());
        assert_eq!(format!("{h:?}"), format!("{:?}", head()));
        h.clear();
        assert_eq!(format!("{h:?}"), format!("{:?}", RequestHead::new()));
        assert!(h.text.capacity() > 0);
    }

    #[test]
    fn grpc_types() {
        for yes in ["application/grpc", "application/grpc+json", "application/grpc;v=1", "Application/gRPC"] {
            assert!(is_grpc_type(yes.as_bytes()), "{yes}");
        }
        for no in ["application/grpc-web", "application/grpcx", "application/grp", "text/plain"] {
            assert!(!is_grpc_type(no.as_bytes()), "{no}");
        }
    }
}
