//! The place of a match in a host's index: what its path predicate is, and where to look for it.

use crate::Problem;
use crate::pattern::Pattern;
use crate::predicate::{Failed, Text};
use fairlead_ir::{MethodMatch, PathMatch};

/// The path predicate of a match. Its index is found without looking at the others for all but the two side lists.
#[derive(Debug)]
pub(crate) enum Place {
    /// GRPCRoute, exact service and method: the whole path, `/service/method`.
    Rpc(Box<str>, Box<Rpc>),
    /// GRPCRoute, exact service: the path's first segment.
    Service(Box<str>, Box<Rpc>),
    /// GRPCRoute, everything else: a side list.
    AnyRpc(Option<Box<Rpc>>),
    /// HTTPRoute, exact path.
    Exact(Box<str>),
    /// HTTPRoute, regular expression: a side list.
    Regex(Box<Pattern>),
    /// HTTPRoute, prefix without trailing `/`: empty for `/`.
    Prefix(Box<str>),
}

/// The kinds of [`Place`], in the order in which they are asked, which is that of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Section {
    Rpc,
    Service,
    AnyRpc,
    Exact,
    Regex,
    Prefix,
}

/// gRPC service and method. A request has them when its path is `/service/method`.
#[derive(Debug)]
pub(crate) struct Rpc {
    pub(crate) service: Option<Text>,
    pub(crate) method: Option<Text>,
}

impl Place {
    /// Of an HTTPRoute's match.
    pub(crate) fn http(path: Option<&PathMatch>) -> Result<Self, Problem> {
        let absolute = |path: &str| match path.starts_with('/') {
            true => Ok(()),
            false => Err(Problem::new("path", format!("`{path}` does not begin with `/`"))),
        };
        Ok(match path {
            // "If this field is not specified, a default prefix match on the "/" path is provided."
            None => Place::Prefix("".into()),
            Some(PathMatch::Exact(path)) => {
                absolute(path)?;
                Place::Exact(path.clone())
            }
            Some(PathMatch::Prefix(path)) => {
                absolute(path)?;
                Place::Prefix(path.trim_end_matches('/').into())
            }
            Some(PathMatch::Regex(pattern)) => {
                Place::Regex(Box::new(Pattern::compile(pattern).map_err(|p| p.within("path"))?))
            }
        })
    }

    /// Of a GRPCRoute's match.
    pub(crate) fn grpc(method: Option<&MethodMatch>) -> Result<Self, Problem> {
        let Some(method) = method else { return Ok(Place::AnyRpc(None)) };
        let compile = |text: &Option<_>, field: &str| {
            text.as_ref().map(|t| Text::compile(t).map_err(|p| p.within(field))).transpose()
        };
        let rpc = Box::new(Rpc {
            service: compile(&method.service, "grpc.service")?,
            method: compile(&method.method, "grpc.method")?,
        });
        Ok(match (&rpc.service, &rpc.method) {
            (Some(Text::Exact(service)), Some(Text::Exact(method))) => {
                Place::Rpc(format!("/{service}/{method}").into(), rpc)
            }
            (Some(Text::Exact(service)), _) => Place::Service(service.clone(), rpc),
            _ => Place::AnyRpc(Some(rpc)),
        })
    }

    pub(crate) fn section(&self) -> Section {
        match self {
            Place::Rpc(..) => Section::Rpc,
            Place::Service(..) => Section::Service,
            Place::AnyRpc(_) => Section::AnyRpc,
            Place::Exact(_) => Section::Exact,
            Place::Regex(_) => Section::Regex,
            Place::Prefix(_) => Section::Prefix,
        }
    }

    /// What the match is looked up by within its section; empty for side lists.
    pub(crate) fn key(&self) -> &str {
        match self {
            Place::Rpc(key, _) | Place::Service(key, _) | Place::Exact(key) | Place::Prefix(key) => key,
            Place::AnyRpc(_) | Place::Regex(_) => "",
        }
    }

    /// Bytes of the path that a prefix takes.
    pub(crate) fn prefix_len(&self) -> Option<usize> {
        match self {
            Place::Prefix(prefix) => Some(prefix.len()),
            _ => None,
        }
    }

    /// What is left to check of a match that was found by its key.
    pub(crate) fn residual(&self, path: &[u8]) -> Result<(), Failed> {
        match self {
            Place::Rpc(..) | Place::Exact(_) | Place::Prefix(_) | Place::AnyRpc(None) => Ok(()),
            Place::Service(_, rpc) | Place::AnyRpc(Some(rpc)) => rpc.check(path),
            Place::Regex(pattern) => pattern.matches(path).then_some(()).ok_or(Failed::Path),
        }
    }

    /// The whole predicate, index or not.
    pub(crate) fn check(&self, path: &[u8], grpc: bool) -> Result<(), Failed> {
        match self {
            Place::Rpc(..) | Place::Service(..) | Place::AnyRpc(_) if !grpc => Err(Failed::Grpc),
            Place::Rpc(_, rpc) => rpc.check(path),
            Place::Exact(exact) => (exact.as_bytes() == path).then_some(()).ok_or(Failed::Path),
            Place::Prefix(prefix) => {
                let rest = path.strip_prefix(prefix.as_bytes());
                let whole = |rest: &[u8]| prefix.is_empty() || rest.is_empty() || rest[0] == b'/';
                rest.is_some_and(whole).then_some(()).ok_or(Failed::Path)
            }
            Place::Service(..) | Place::AnyRpc(_) | Place::Regex(_) => self.residual(path),
        }
    }
}

impl Rpc {
    fn check(&self, path: &[u8]) -> Result<(), Failed> {
        let (service, method) = service_and_method(path).ok_or(Failed::Service)?;
        if self.service.as_ref().is_some_and(|s| !s.matches(service)) {
            return Err(Failed::Service);
        }
        if self.method.as_ref().is_some_and(|m| !m.matches(method)) {
            return Err(Failed::Rpc);
        }
        Ok(())
    }
}

/// Splits `/service/method` (gRPC over HTTP/2: `Path → "/" Service-Name "/" {method name}`).
pub(crate) fn service_and_method(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let path = path.strip_prefix(b"/")?;
    let at = memchr::memchr(b'/', path)?;
    let (service, method) = (&path[..at], &path[at + 1..]);
    let plain = !service.is_empty() && !method.is_empty() && memchr::memchr(b'/', method).is_none();
    plain.then_some((service, method))
}

/// Whether a content type is gRPC's (`application/grpc`, `application/grpc+proto`, with parameters), not gRPC-Web's.
pub(crate) fn is_grpc(content_type: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let (true, Some(start)) = (content_type.len() >= GRPC.len(), content_type.get(..GRPC.len())) else { return false };
    start.eq_ignore_ascii_case(GRPC) && matches!(content_type.get(GRPC.len()), None | Some(b'+' | b';' | b' '))
}
