//! URLRewrite, with what `RouteFilter` adds: regular expressions, and the host from a header or from the backend.

#[cfg(test)]
mod tests;

use crate::path::{PathBuffer, PathChange};
use crate::{Problem, RequestCtx, check};
use fairlead_http::authority;
use fairlead_ir::{self as ir, HostRewrite};

/// Changes to path and host, compiled.
#[derive(Debug)]
pub(crate) struct Rewrite {
    host: Option<HostRewrite>,
    path: Option<PathChange>,
}

impl Rewrite {
    pub(crate) fn compile(source: &ir::Rewrite) -> Result<Self, Problem> {
        match &source.hostname {
            Some(HostRewrite::Name(name)) => check::authority("hostname", name)?,
            Some(HostRewrite::Header(name)) => check::name("hostname", name)?,
            Some(HostRewrite::Backend) | None => {}
        }
        Ok(Rewrite { host: source.hostname.clone(), path: source.path.as_ref().map(PathChange::compile).transpose()? })
    }

    pub(crate) fn on_request(&self, ctx: &mut RequestCtx<'_>) {
        if let Some(change) = &self.path {
            let mut new = PathBuffer::new();
            if change.apply(ctx.head.path(), ctx.prefix_len, &mut new) {
                match memchr::memchr(b'?', &new) {
                    Some(_) => ctx.head.set_path_and_query(&new),
                    None => ctx.head.set_path(&new),
                }
                // What of the new path stands for the prefix, for a filter of the backend.
                ctx.prefix_len = match change {
                    PathChange::Prefix(replacement) => Some(replacement.len()),
                    PathChange::Full(_) | PathChange::Regex(_) => None,
                };
            }
        }
        match &self.host {
            Some(HostRewrite::Name(name)) => ctx.head.set_authority(name.as_bytes()),
            Some(HostRewrite::Header(name)) => {
                // What the client sent is no host unless it looks like one; then the host stays.
                let value = ctx.head.fields.get_name(name.as_bytes()).filter(|value| authority::is_valid(value));
                if let Some(value) = value.map(PathBuffer::from_slice) {
                    ctx.head.set_authority(&value);
                }
            }
            Some(HostRewrite::Backend) | None => {}
        }
    }

    pub(crate) fn changes_path(&self) -> bool {
        self.path.is_some()
    }

    pub(crate) fn changes_host(&self) -> bool {
        self.host.is_some()
    }

    pub(crate) fn takes_backend_host(&self) -> bool {
        matches!(self.host, Some(HostRewrite::Backend))
    }
}
