//! Why a request is taken by a route, and why not by the others.
//!
//! Every match of every route is checked with the predicates that [`Table::find`] uses, and those that would take the request are
//! compared criterion by criterion. Linear in the table: for people, not for traffic.

#[cfg(test)]
mod tests;
mod text;

use crate::Request;
use crate::entry::Entry;
use crate::hosts::{HostFit, fit};
use crate::predicate::{Facts, Failed};
use crate::rank::Rank;
use crate::table::Table;
use fairlead_ir::Id;
use serde::Serialize;
use std::cmp::Reverse;

/// Who takes a request and why, who else would, and what is missing for the others. One item per route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Who takes it; `None` is a 404.
    pub winner: Option<Taker>,
    /// Why that one and not the first of `outranked`; `None` when no other route would take it.
    pub because: Option<Criterion>,
    /// Who else would take it, best first.
    pub outranked: Vec<Taker>,
    /// Who would not, nearest first: the later the predicate that failed, the nearer.
    pub missed: Vec<Miss>,
}

/// A route that takes a request, or would.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Taker {
    /// Its id.
    pub route: Id,
    /// Index of the match.
    pub match_index: usize,
    /// The host name of the route that takes the request's host; `None` when it has none.
    pub hostname: Option<String>,
    /// The match in words.
    pub matched: String,
    /// Bytes of the path that a prefix took.
    pub prefix_len: Option<usize>,
    /// What put it behind the winner; `None` for the winner.
    pub lost_by: Option<Criterion>,
    /// `lost_by` in words, with the two values that were compared.
    pub text: Option<String>,
}

/// A route that does not take a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Miss {
    /// Its id.
    pub route: Id,
    /// Index of the match that got furthest.
    pub match_index: usize,
    /// The first predicate that failed.
    pub failed: Predicate,
    /// The same in words, with what is wanted and what came.
    pub text: String,
}

/// A predicate of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Predicate {
    /// The route's host names.
    Host,
    /// A GRPCRoute takes gRPC requests only.
    Grpc,
    /// Path.
    Path,
    /// gRPC service.
    Service,
    /// gRPC method.
    GrpcMethod,
    /// HTTP method.
    Method,
    /// The header of this name.
    Header(String),
    /// The query parameter of this name.
    Query(String),
    /// The listener's port.
    Port,
}

/// What decides between two routes that would both take a request; in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Criterion {
    /// An exact host name before a wildcard before none.
    HostnameType,
    /// The longer host name.
    HostnameLength,
    /// A GRPCRoute before an HTTPRoute.
    Kind,
    /// An exact gRPC service, then a regular expression, then none; then the longer.
    Service,
    /// An exact gRPC method, then a regular expression, then none; then the longer.
    GrpcMethod,
    /// An exact path, then a regular expression, then a prefix.
    PathType,
    /// The longer path.
    PathLength,
    /// One with a method.
    Method,
    /// More headers.
    Headers,
    /// More query parameters.
    Query,
    /// The older object.
    Age,
    /// The object that comes first in alphabetical order.
    Name,
    /// The earlier rule.
    Rule,
}

impl<T> Table<T> {
    /// Explains which route takes a request.
    pub fn explain<R: Request>(&self, request: &R) -> Explanation {
        let facts = Facts::new(request);
        let mut takers = Vec::new();
        let mut missed = Vec::new();
        for entry in self.entries() {
            match attempt(entry, &facts) {
                Ok(claim) => takers.push(claim),
                Err(near) => missed.push(near),
            }
        }
        takers.sort_unstable_by(|a, b| a.key().cmp(&b.key()).then_with(|| a.entry.cmp_order(b.entry)));
        missed.sort_unstable_by(|a, b| b.nearness.cmp(&a.nearness).then_with(|| a.entry.cmp_order(b.entry)));
        let mut takers = takers.into_iter();
        let winner = takers.next();
        let outranked: Vec<Taker> = takers.map(|claim| claim.taker(winner.as_ref(), request)).collect();
        Explanation {
            because: outranked.first().and_then(|t| t.lost_by),
            winner: winner.map(|claim| claim.taker(None, request)),
            outranked,
            missed: missed.into_iter().map(|near| near.miss(request)).collect(),
        }
    }
}

/// The best match of a route that takes the request.
struct Claim<'a, T> {
    entry: &'a Entry<T>,
    hostname: Option<&'a str>,
    fit: HostFit,
    rank: Rank,
    index: usize,
}

/// The match of a route that gets furthest.
struct Near<'a, T> {
    entry: &'a Entry<T>,
    index: usize,
    failed: Failed,
    /// The later predicate, then the longer common beginning of the paths.
    nearness: (Failed, usize),
}

fn attempt<'a, T, R: Request>(entry: &'a Entry<T>, facts: &Facts<'_, R>) -> Result<Claim<'a, T>, Near<'a, T>> {
    let host = facts.request.host();
    let best = entry.hostnames().filter_map(|name| fit(name, host).map(|fit| (fit, name))).max();
    let outcomes = entry.matches.iter().map(|m| m.check(facts)).enumerate();
    let taken =
        outcomes.clone().filter(|(_, o)| o.is_ok()).map(|(index, _)| (entry.matches[index].rank(), index)).min();
    if let (Some((fit, hostname)), Some((rank, index))) = (best, taken) {
        return Ok(Claim { entry, hostname, fit, rank, index });
    }
    let common = |index: usize| {
        let wanted = entry.matches[index].place.key().as_bytes();
        wanted.iter().zip(facts.request.path()).take_while(|(a, b)| a == b).count()
    };
    let nearest = outcomes.filter_map(|(index, outcome)| {
        let failed = if best.is_none() { Failed::Host } else { outcome.err()? };
        Some(((failed, common(index)), Reverse(index)))
    });
    let (nearness, Reverse(index)) = nearest.max().unwrap_or(((Failed::Host, 0), Reverse(0)));
    Err(Near { entry, index, failed: nearness.0, nearness })
}

impl<T> Claim<'_, T> {
    fn key(&self) -> (Reverse<HostFit>, Rank) {
        (Reverse(self.fit), self.rank)
    }

    fn taker<R: Request>(&self, winner: Option<&Self>, request: &R) -> Taker {
        let matched = &self.entry.matches[self.index];
        let lost_by = winner.map(|w| w.before(self));
        Taker {
            route: self.entry.id().clone(),
            match_index: self.index,
            hostname: self.hostname.map(str::to_owned),
            matched: text::matched(matched),
            prefix_len: matched.place.prefix_len(),
            lost_by,
            text: lost_by.zip(winner).map(|(criterion, winner)| text::lost(criterion, self, winner, request)),
        }
    }

    /// The first criterion in which two claims differ.
    fn before(&self, other: &Self) -> Criterion {
        let (a, b) = (&self.rank, &other.rank);
        let (orders, others) = (self.entry.order(), other.entry.order());
        let class = |fit| match fit {
            HostFit::Exact(_) => 2,
            HostFit::Wildcard(_) => 1,
            HostFit::None => 0,
        };
        let path_type = |rank: &Rank| rank.path.0.kind;
        let differ = [
            (class(self.fit) != class(other.fit), Criterion::HostnameType),
            (self.fit != other.fit, Criterion::HostnameLength),
            (a.grpc != b.grpc, Criterion::Kind),
            (a.service != b.service, Criterion::Service),
            (a.rpc != b.rpc, Criterion::GrpcMethod),
            (path_type(a) != path_type(b), Criterion::PathType),
            (a.path != b.path, Criterion::PathLength),
            (a.method != b.method, Criterion::Method),
            (a.headers != b.headers, Criterion::Headers),
            (a.query != b.query, Criterion::Query),
            (orders.created != others.created, Criterion::Age),
            (orders.object != others.object, Criterion::Name),
        ];
        differ.into_iter().find(|(differs, _)| *differs).map_or(Criterion::Rule, |(_, criterion)| criterion)
    }
}

impl<T> Near<'_, T> {
    fn miss<R: Request>(&self, request: &R) -> Miss {
        let matched = &self.entry.matches[self.index];
        let failed = match self.failed {
            Failed::Host => Predicate::Host,
            Failed::Grpc => Predicate::Grpc,
            Failed::Path => Predicate::Path,
            Failed::Service => Predicate::Service,
            Failed::Rpc => Predicate::GrpcMethod,
            Failed::Method => Predicate::Method,
            Failed::Header(index) => Predicate::Header(matched.headers[index].name.to_string()),
            Failed::Query(index) => Predicate::Query(matched.query[index].name.to_string()),
            Failed::Port => Predicate::Port,
        };
        let hostnames: Vec<&str> = self.entry.hostnames().flatten().collect();
        let text = text::missed(self.failed, matched, &hostnames, request);
        Miss { route: self.entry.id().clone(), match_index: self.index, failed, text }
    }
}
