//! A fixed answer (`RouteFilter`).

#[cfg(test)]
mod tests;

use crate::{Problem, Reply, check};
use bytes::Bytes;
use fairlead_http::{Fields, Known};
use fairlead_ir as ir;

/// A fixed answer, compiled. Requests share its body.
#[derive(Debug)]
pub(crate) struct Direct {
    status: u16,
    content_type: Option<Box<str>>,
    body: Bytes,
}

impl Direct {
    pub(crate) fn compile(source: &ir::DirectResponse) -> Result<Self, Problem> {
        if !(200..=599).contains(&source.status) {
            return Err(Problem::new("status", format!("{} is not between 200 and 599", source.status)));
        }
        let body = source.body.as_deref().unwrap_or_default();
        if body.len() > BODY_LIMIT {
            return Err(Problem::new("body", format!("{} bytes are more than {BODY_LIMIT}", body.len())));
        }
        if let Some(content_type) = &source.content_type {
            check::value("contentType", content_type)?;
        }
        // These have no content (RFC 9110 §15.3.5, §15.3.6, §15.4.5).
        let body = if matches!(source.status, 204 | 205 | 304) { "" } else { body };
        Ok(Direct {
            status: source.status,
            content_type: source.content_type.clone().filter(|_| !body.is_empty()),
            body: Bytes::copy_from_slice(body.as_bytes()),
        })
    }

    pub(crate) fn reply(&self) -> Reply {
        let mut fields = Fields::new();
        if let Some(content_type) = &self.content_type {
            fields.push_known(Known::ContentType, content_type.as_bytes());
        }
        Reply { status: self.status, fields, body: self.body.clone(), details: "direct_response" }
    }
}

/// Bytes; a larger answer belongs to a backend.
const BODY_LIMIT: usize = 64 * 1024;
