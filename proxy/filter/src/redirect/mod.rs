//! RequestRedirect.
//!
//! The port of `Location` is the configured one, else the well-known one of a configured scheme, else the listener's; it is left out where
//! it is the well-known one of the scheme (HTTPRequestRedirectFilter, `port`). The query stays.

#[cfg(test)]
mod tests;

use crate::path::{PathBuffer, PathChange};
use crate::{Problem, Reply, RequestCtx, check};
use bytes::Bytes;
use fairlead_http::{Fields, Known, Scheme};
use fairlead_ir as ir;

/// A redirect, compiled; what is absent is taken from the request.
#[derive(Debug)]
pub(crate) struct Redirect {
    scheme: Option<Scheme>,
    hostname: Option<Box<str>>,
    path: Option<PathChange>,
    port: Option<u16>,
    status: u16,
}

impl Redirect {
    pub(crate) fn compile(source: &ir::Redirect) -> Result<Self, Problem> {
        if !matches!(source.status, 301 | 302 | 303 | 307 | 308) {
            return Err(Problem::new("status", format!("{} is none of 301, 302, 303, 307 and 308", source.status)));
        }
        let scheme = |scheme: &str| {
            Scheme::of(scheme.as_bytes()).ok_or_else(|| Problem::new("scheme", "it is neither http nor https"))
        };
        if let Some(hostname) = &source.hostname {
            check::authority("hostname", hostname)?;
        }
        Ok(Redirect {
            scheme: source.scheme.as_deref().map(scheme).transpose()?,
            hostname: source.hostname.clone(),
            path: source.path.as_ref().map(PathChange::compile).transpose()?,
            port: source.port,
            status: source.status,
        })
    }

    pub(crate) fn reply(&self, ctx: &RequestCtx<'_>) -> Reply {
        let head = &*ctx.head;
        let scheme = self.scheme.unwrap_or(if ctx.https { Scheme::Https } else { Scheme::Http });
        let host = self.hostname.as_deref().map_or(head.host(), str::as_bytes);
        let port = self.port.or(self.scheme.map(Scheme::default_port)).unwrap_or(ctx.listener_port);
        let mut digits = itoa::Buffer::new();
        let port = if port == scheme.default_port() { "" } else { digits.format(port) };

        let mut new = PathBuffer::new();
        let path = match &self.path {
            Some(change) if change.apply(head.path(), ctx.prefix_len, &mut new) => &new[..],
            _ => head.path(),
        };
        // `OPTIONS *` has no path to be redirected to.
        let path = if path.starts_with(b"/") { path } else { b"/" };
        let query = head.query().filter(|_| memchr::memchr(b'?', path).is_none());

        let mut fields = Fields::new();
        let (question, query) = query.map_or((&b""[..], &b""[..]), |query| (b"?", query));
        if host.is_empty() {
            // A request without a host (HTTP/1.0): relative, and not to another host.
            let slashes = path.iter().take_while(|b| **b == b'/').count();
            fields.push_parts(Known::Location, &[&path[slashes - 1..], question, query]);
        } else {
            let colon: &[u8] = if port.is_empty() { b"" } else { b":" };
            let parts = [scheme.name().as_bytes(), b"://", host, colon, port.as_bytes(), path, question, query];
            fields.push_parts(Known::Location, &parts);
        }
        Reply { status: self.status, fields, body: Bytes::new(), details: "direct_response" }
    }
}
