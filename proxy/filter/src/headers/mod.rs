//! RequestHeaderModifier and ResponseHeaderModifier.
//!
//! `add` appends a field of its own, which means the same as a longer list in one field (RFC 9110 §5.3). `host` is not among the fields
//! of a request: setting it sets the authority, as a rewrite would. What belongs to framing, to the connection or to HTTP/2 is refused when
//! the filter is compiled: changed by hand it would make the next hop read other messages than this one.

#[cfg(test)]
mod tests;

use crate::{Problem, check};
use fairlead_http::{Fields, Known, RequestHead};
use fairlead_ir as ir;

/// Changes to header fields, compiled.
#[derive(Debug)]
pub(crate) struct HeaderMods {
    remove: Box<[Name]>,
    set: Box<[(Name, Box<[u8]>)]>,
    add: Box<[(Name, Box<[u8]>)]>,
    host: Option<Box<[u8]>>,
}

/// Which head is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
}

/// A name, looked up once.
#[derive(Debug)]
enum Name {
    Known(Known),
    Other(Box<[u8]>),
}

impl HeaderMods {
    pub(crate) fn compile(source: &ir::HeaderMods, side: Side) -> Result<Self, Problem> {
        let mut host = None;
        let mut pairs = |list: &str, values: &[ir::HeaderValue]| {
            let mut pairs = Vec::with_capacity(values.len());
            for (index, ir::HeaderValue { name, value }) in values.iter().enumerate() {
                let field = format!("{list}[{index}]");
                check::value(&format!("{field}.value"), value)?;
                if side == Side::Request && &**name == "host" {
                    if list == "add" {
                        return Err(Problem::new(
                            format!("{field}.name"),
                            "a request has one host: it can be set, not added",
                        ));
                    }
                    check::authority(&format!("{field}.value"), value)?;
                    host = Some(value.as_bytes().into());
                    continue;
                }
                pairs.push((Name::compile(&format!("{field}.name"), name)?, value.as_bytes().into()));
            }
            Ok(pairs.into())
        };
        let (set, add) = (pairs("set", &source.set)?, pairs("add", &source.add)?);
        let removed = |(index, name)| {
            let field = format!("remove[{index}]");
            match name {
                "host" if side == Side::Request => {
                    Err(Problem::new(field, "a request has a host: it can be set, not removed"))
                }
                name => Name::compile(&field, name),
            }
        };
        let remove = source.remove.iter().map(|name| &**name).enumerate().map(removed).collect::<Result<_, _>>()?;
        Ok(HeaderMods { remove, set, add, host })
    }

    pub(crate) fn on_request(&self, head: &mut RequestHead) {
        self.change(&mut head.fields);
        if let Some(host) = &self.host {
            head.set_authority(host);
        }
    }

    pub(crate) fn on_response(&self, fields: &mut Fields) {
        self.change(fields);
    }

    fn change(&self, fields: &mut Fields) {
        for name in &self.remove {
            match name {
                Name::Known(known) => fields.remove_known(*known),
                Name::Other(name) => fields.remove(name),
            };
        }
        for (name, value) in &self.set {
            match name {
                Name::Known(known) => fields.set_known(*known, value),
                Name::Other(name) => fields.set(name, value),
            }
        }
        for (name, value) in &self.add {
            match name {
                Name::Known(known) => fields.push_known(*known, value),
                Name::Other(name) => fields.push(name, value),
            }
        }
    }
}

impl Name {
    fn compile(field: &str, name: &str) -> Result<Self, Problem> {
        check::name(field, name)?;
        let known = Known::of(name.as_bytes());
        if REFUSED.contains(&known) {
            return Err(Problem::new(
                field,
                format!("`{name}` belongs to the connection or to framing; filters can't change it"),
            ));
        }
        Ok(if known == Known::Other { Name::Other(name.as_bytes().into()) } else { Name::Known(known) })
    }
}

/// Fields that say how a message is framed or what this connection does (RFC 9110 §7.6.1, RFC 9112 §6).
const REFUSED: &[Known] = &[
    Known::Connection,
    Known::ContentLength,
    Known::Expect,
    Known::Http2Settings,
    Known::KeepAlive,
    Known::ProxyConnection,
    Known::Te,
    Known::Trailer,
    Known::TransferEncoding,
    Known::Upgrade,
];
