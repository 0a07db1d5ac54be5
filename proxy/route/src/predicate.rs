//! A compiled match: its place in the index and the predicates that are left for the end.

use crate::bytes::equal;
use crate::pattern::Pattern;
use crate::place::{Place, Section, is_grpc};
use crate::query::{self, Query};
use crate::rank::{Kind, Length, Rank};
use crate::{Problem, Request};
use fairlead_ir::{HeaderMatch, Method, QueryMatch, RouteKind, RouteMatch, StringMatch};
use std::cell::{Cell, OnceCell};
use std::cmp::Reverse;

/// A conjunction of predicates, compiled.
#[derive(Debug)]
pub(crate) struct Match {
    pub(crate) place: Place,
    pub(crate) method: Option<Method>,
    pub(crate) port: Option<u16>,
    pub(crate) headers: Box<[Field]>,
    pub(crate) query: Box<[Field]>,
}

/// A predicate on a header or a query parameter.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: Box<str>,
    pub(crate) value: Text,
}

/// Equality, or a regular expression over the whole value.
#[derive(Debug)]
pub(crate) enum Text {
    Exact(Box<str>),
    Regex(Box<Pattern>),
}

/// The first predicate that a request fails; indices into the match's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Failed {
    Host,
    Grpc,
    Path,
    Service,
    Rpc,
    Method,
    Header(usize),
    Query(usize),
    Port,
}

/// A request, with what is derived from it at most once.
pub(crate) struct Facts<'r, R> {
    pub(crate) request: &'r R,
    grpc: Cell<Option<bool>>,
    query: OnceCell<Query<'r>>,
}

impl Match {
    pub(crate) fn compile(kind: RouteKind, source: &RouteMatch) -> Result<Self, Problem> {
        let place = match kind {
            RouteKind::Http if source.grpc.is_some() => {
                return Err(Problem::new("grpc", "an HTTPRoute has no gRPC methods"));
            }
            RouteKind::Grpc if source.path.is_some() => return Err(Problem::new("path", "a GRPCRoute has no paths")),
            RouteKind::Http => Place::http(source.path.as_ref())?,
            RouteKind::Grpc => Place::grpc(source.grpc.as_ref())?,
            // They know host names only.
            RouteKind::Tls | RouteKind::Tcp | RouteKind::Udp if *source != RouteMatch::default() => {
                return Err(Problem::new("matches", "connections can't be told apart by what a request has"));
            }
            RouteKind::Tls | RouteKind::Tcp | RouteKind::Udp => Place::http(None)?,
        };
        let header = |h: &HeaderMatch| (h.name.clone(), h.value.clone());
        let query = |q: &QueryMatch| (q.name.clone(), q.value.clone());
        Ok(Match {
            place,
            method: source.method,
            port: source.port,
            headers: fields("headers", source.headers.iter().map(header))?,
            query: fields("query", source.query.iter().map(query))?,
        })
    }

    /// All predicates, the path's included.
    pub(crate) fn check<R: Request>(&self, facts: &Facts<'_, R>) -> Result<(), Failed> {
        let grpc = self.place.section() <= Section::AnyRpc && facts.is_grpc();
        self.place.check(facts.request.path(), grpc)?;
        self.check_fields(facts)
    }

    /// The predicates that the index leaves over.
    pub(crate) fn residual<R: Request>(&self, facts: &Facts<'_, R>) -> Result<(), Failed> {
        self.place.residual(facts.request.path())?;
        self.check_fields(facts)
    }

    fn check_fields<R: Request>(&self, facts: &Facts<'_, R>) -> Result<(), Failed> {
        let request = facts.request;
        if self.method.is_some_and(|m| !equal(method_name(m).as_bytes(), request.method())) {
            return Err(Failed::Method);
        }
        for (index, header) in self.headers.iter().enumerate() {
            if !header.value.matches_joined(request.header(header.name.as_bytes())) {
                return Err(Failed::Header(index));
            }
        }
        for (index, parameter) in self.query.iter().enumerate() {
            if !facts.query(parameter.name.as_bytes()).is_some_and(|v| parameter.value.matches_encoded(v)) {
                return Err(Failed::Query(index));
            }
        }
        if self.port.is_some_and(|p| p != request.port()) {
            return Err(Failed::Port);
        }
        Ok(())
    }

    /// What the match counts for; the smaller goes first.
    pub(crate) fn rank(&self) -> Rank {
        let rpc = match &self.place {
            Place::Rpc(_, rpc) | Place::Service(_, rpc) | Place::AnyRpc(Some(rpc)) => Some(&**rpc),
            _ => None,
        };
        let text = |text: Option<&Text>| text.map_or(Length::NONE, Text::length);
        let path = match &self.place {
            Place::Exact(path) => Length::new(Kind::Exact, path.len()),
            Place::Regex(pattern) => Length::new(Kind::Regex, pattern.source().len()),
            // `/` has one character.
            Place::Prefix(prefix) => Length::new(Kind::Prefix, prefix.len().max(1)),
            _ => Length::NONE,
        };
        Rank {
            grpc: Reverse(self.place.section() <= Section::AnyRpc),
            service: Reverse(text(rpc.and_then(|r| r.service.as_ref()))),
            rpc: Reverse(text(rpc.and_then(|r| r.method.as_ref()))),
            path: Reverse(path),
            method: Reverse(self.method.is_some()),
            headers: Reverse(self.headers.len()),
            query: Reverse(self.query.len()),
        }
    }
}

impl Text {
    pub(crate) fn compile(source: &StringMatch) -> Result<Self, Problem> {
        Ok(match source {
            StringMatch::Exact(value) => Text::Exact(value.clone()),
            StringMatch::Regex(pattern) => Text::Regex(Box::new(Pattern::compile(pattern)?)),
        })
    }

    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        match self {
            Text::Exact(exact) => equal(exact.as_bytes(), value),
            Text::Regex(pattern) => pattern.matches(value),
        }
    }

    /// Of an encoded query value.
    fn matches_encoded(&self, value: &[u8]) -> bool {
        match self {
            Text::Exact(exact) => query::equals(value, exact.as_bytes()),
            Text::Regex(pattern) => query::with_decoded(value, |v| pattern.matches(v)),
        }
    }

    /// Of the values of all fields of a name, joined by `,` (RFC 9110 §5.3); of none: no match.
    fn matches_joined<'v>(&self, mut values: impl Iterator<Item = &'v [u8]>) -> bool {
        let Some(first) = values.next() else { return false };
        match values.next() {
            None => self.matches(first),
            Some(second) => {
                let mut joined = [first, second].join(&b',');
                for value in values {
                    joined.push(b',');
                    joined.extend_from_slice(value);
                }
                self.matches(&joined)
            }
        }
    }

    fn length(&self) -> Length {
        match self {
            Text::Exact(exact) => Length::new(Kind::Exact, exact.len()),
            Text::Regex(pattern) => Length::new(Kind::Regex, pattern.source().len()),
        }
    }
}

impl<'r, R: Request> Facts<'r, R> {
    pub(crate) fn new(request: &'r R) -> Self {
        Facts { request, grpc: Cell::new(None), query: OnceCell::new() }
    }

    /// By its content type, as Envoy has it.
    pub(crate) fn is_grpc(&self) -> bool {
        self.grpc.get().unwrap_or_else(|| {
            let grpc = self.request.header(b"content-type").next().is_some_and(is_grpc);
            self.grpc.set(Some(grpc));
            grpc
        })
    }

    fn query(&self, name: &[u8]) -> Option<&'r [u8]> {
        self.query.get_or_init(|| Query::parse(self.request.query().unwrap_or_default())).first(name)
    }
}

fn fields(list: &str, source: impl Iterator<Item = (Box<str>, StringMatch)>) -> Result<Box<[Field]>, Problem> {
    let compile = |(index, (name, value)): (usize, (Box<str>, StringMatch))| {
        let value = Text::compile(&value).map_err(|p| p.within(&format!("{list}[{index}].value")))?;
        Ok(Field { name, value })
    };
    source.enumerate().map(compile).collect()
}

/// As it stands in a request line.
pub(crate) fn method_name(method: Method) -> &'static str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
    }
}
