//! Matches, misses and criteria in words.

use super::{Claim, Criterion};
use crate::Request;
use crate::place::{Place, Rpc};
use crate::predicate::{Failed, Field, Match, Text, method_name};
use crate::query::{Query, with_decoded};
use crate::rank::{Kind, Length};

/// A match in words: `path prefix /cart, method GET, header x-env = canary`.
pub(super) fn matched(matched: &Match) -> String {
    let mut words = vec![place(&matched.place)];
    words.extend(matched.method.map(|m| format!("method {}", method_name(m))));
    words.extend(matched.headers.iter().map(|h| format!("header {} {}", h.name, value(&h.value))));
    words.extend(matched.query.iter().map(|q| format!("query {} {}", q.name, value(&q.value))));
    words.extend(matched.port.map(|p| format!("port {p}")));
    words.join(", ")
}

/// What a route lacks to take the request.
pub(super) fn missed<R: Request>(failed: Failed, matched: &Match, hostnames: &[&str], request: &R) -> String {
    match failed {
        Failed::Host => format!("host {} is not among {}", show(request.host()), hostnames.join(", ")),
        Failed::Grpc => "a GRPCRoute takes only requests with content-type application/grpc".to_owned(),
        Failed::Path => format!("path {} does not match {}", show(request.path()), place(&matched.place)),
        Failed::Service | Failed::Rpc => format!("{} does not match {}", show(request.path()), place(&matched.place)),
        Failed::Method => {
            let wanted = matched.method.map_or("", method_name);
            format!("method is {}, not {wanted}", show(request.method()))
        }
        Failed::Header(index) => {
            let header = &matched.headers[index];
            let values: Vec<&[u8]> = request.header(header.name.as_bytes()).collect();
            field("header", header, (!values.is_empty()).then(|| show(&values.join(&b','))))
        }
        Failed::Query(index) => {
            let parameter = &matched.query[index];
            let query = Query::parse(request.query().unwrap_or_default());
            let came = query.first(parameter.name.as_bytes()).map(|v| with_decoded(v, show));
            field("query parameter", parameter, came)
        }
        Failed::Port => format!("port is {}, not {}", request.port(), matched.port.unwrap_or_default()),
    }
}

/// Why a claim lost to the winner, with the values that were compared.
pub(super) fn lost<T, R: Request>(
    criterion: Criterion,
    claim: &Claim<'_, T>,
    winner: &Claim<'_, T>,
    request: &R,
) -> String {
    let name = |c: &Claim<'_, T>| c.hostname.map_or("no host name".to_owned(), |h| format!("host name {h}"));
    let (mine, theirs) = (&claim.rank, &winner.rank);
    let count = |criterion: &str, mine: usize, theirs: usize| format!("{mine} {criterion}, the winner has {theirs}");
    match criterion {
        Criterion::HostnameType | Criterion::HostnameLength => {
            format!("{} is less specific for {} than {}", name(claim), show(request.host()), name(winner))
        }
        Criterion::Kind => "an HTTPRoute is asked after the GRPCRoutes of the same host name".to_owned(),
        Criterion::Service => lengths("service", mine.service.0, theirs.service.0),
        Criterion::GrpcMethod => lengths("method", mine.rpc.0, theirs.rpc.0),
        Criterion::PathType | Criterion::PathLength => lengths("path", mine.path.0, theirs.path.0),
        Criterion::Method => "no method, the winner names one".to_owned(),
        Criterion::Headers => count("header predicates", mine.headers.0, theirs.headers.0),
        Criterion::Query => count("query predicates", mine.query.0, theirs.query.0),
        Criterion::Age => "the winner's object is older".to_owned(),
        Criterion::Name => {
            let (mine, theirs) = (&claim.entry.order().object, &winner.entry.order().object);
            format!("{mine} comes after {theirs} in alphabetical order")
        }
        Criterion::Rule => {
            let (mine, theirs) = (claim.entry.order().rule, winner.entry.order().rule);
            format!("rule {mine} comes after rule {theirs}")
        }
    }
}

fn place(place: &Place) -> String {
    match place {
        Place::Exact(path) => format!("path exactly {path}"),
        Place::Regex(pattern) => format!("path matching {}", pattern.source()),
        Place::Prefix(prefix) if prefix.is_empty() => "path prefix /".to_owned(),
        Place::Prefix(prefix) => format!("path prefix {prefix}"),
        Place::AnyRpc(None) => "any gRPC method".to_owned(),
        Place::Rpc(_, rpc) | Place::Service(_, rpc) | Place::AnyRpc(Some(rpc)) => self::rpc(rpc),
    }
}

fn rpc(rpc: &Rpc) -> String {
    let service = rpc.service.as_ref().map(|s| format!("gRPC service {}", value(s)));
    let method = rpc.method.as_ref().map(|m| format!("gRPC method {}", value(m)));
    service.into_iter().chain(method).collect::<Vec<_>>().join(", ")
}

fn value(text: &Text) -> String {
    match text {
        Text::Exact(exact) => format!("= {exact}"),
        Text::Regex(pattern) => format!("matching {}", pattern.source()),
    }
}

fn field(what: &str, wanted: &Field, came: Option<String>) -> String {
    let name = &wanted.name;
    let wanted = value(&wanted.value);
    match came {
        None => format!("there is no {what} {name}; wanted {wanted}"),
        Some(came) => format!("{what} {name} is {came}; wanted {wanted}"),
    }
}

fn lengths(what: &str, mine: Length, theirs: Length) -> String {
    let words = |length: Length| {
        let plural = if length.characters == 1 { "" } else { "s" };
        let characters = format!("{} character{plural}", length.characters);
        match length.kind {
            Kind::None => "absent".to_owned(),
            Kind::Prefix => format!("a prefix of {characters}"),
            Kind::Regex => format!("a regular expression of {characters}"),
            Kind::Exact => format!("exact with {characters}"),
        }
    };
    format!("its {what} is {}, the winner's is {}", words(mine), words(theirs))
}

/// Untrusted bytes for people: escaped, and cut at a length that fits a line.
fn show(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(100)];
    let dots = if cut.len() < bytes.len() { "…" } else { "" };
    format!("`{}{dots}`", cut.escape_ascii())
}
