//! `/routes`: which requests go where, in the order in which routes are asked.

use crate::query::Query;
use crate::reply::Reply;
use crate::table;
use fairlead_ir::{
    BackendTarget, Config, Filter, MethodMatch, Order, PathMatch, Route, RouteKind, RouteMatch, StringMatch,
};
use serde::Serialize;
use std::cmp::Reverse;

/// One match of a route on one host name of one listener.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    listener: String,
    host: String,
    path: String,
    method: String,
    /// On headers, query parameters and port.
    conditions: Vec<String>,
    filters: Vec<&'static str>,
    backends: Vec<String>,
    route: String,
}

/// `?listener=` and `?name=` parts of ids, `?format=` text or json.
pub(crate) fn show(config: &Config, query: &Query) -> Result<Reply, Reply> {
    let json = query.choice("format", &["text", "json"])? == Some("json");
    let rows = rows(config, query.get("listener").unwrap_or(""), query.get("name").unwrap_or(""));
    if json {
        return Ok(Reply::json(&rows));
    }
    let cells: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let (conditions, filters, backends) =
                (row.conditions.join(" "), row.filters.join(","), row.backends.join(" "));
            [row.listener, row.host, row.path, row.method, conditions, filters, backends, row.route]
        })
        .collect();
    let header = ["LISTENER", "HOST", "PATH", "METHOD", "CONDITIONS", "FILTERS", "BACKENDS", "ROUTE"];
    Ok(Reply::text(http::StatusCode::OK, table::render(header, &cells)))
}

/// In order of precedence within each listener.
pub(crate) fn rows(config: &Config, listener: &str, name: &str) -> Vec<Row> {
    let everything = RouteMatch::default();
    let mut ranked = Vec::new();
    for route in config.routes.values().filter(|route| route.id.contains(name)) {
        let hosts: Vec<&str> =
            if route.hostnames.is_empty() { vec!["*"] } else { route.hostnames.iter().map(|h| &**h).collect() };
        let matches = if route.matches.is_empty() { std::slice::from_ref(&everything) } else { &route.matches };
        for id in route.listeners.iter().filter(|id| id.contains(listener)) {
            for &host in &hosts {
                ranked.extend(matches.iter().enumerate().map(|(i, m)| (Rank::of(id, host, route, m, i), route, m)));
            }
        }
    }
    ranked.sort_by(|a, b| a.0.cmp(&b.0));
    ranked.into_iter().map(|(rank, route, m)| row(rank.listener, rank.host.name, route, m)).collect()
}

fn row(listener: &str, host: &str, route: &Route, m: &RouteMatch) -> Row {
    Row {
        listener: listener.into(),
        host: host.into(),
        path: path(m),
        method: m.method.map_or_else(|| "*".into(), |method| format!("{method:?}").to_ascii_uppercase()),
        conditions: conditions(m),
        filters: route.filters.iter().map(filter).collect(),
        backends: backends(route),
        route: route.id.to_string(),
    }
}

fn path(m: &RouteMatch) -> String {
    match (&m.grpc, &m.path) {
        (Some(MethodMatch { service, method }), _) => {
            let part = |m: &Option<StringMatch>| m.as_ref().map_or_else(|| "*".into(), string);
            format!("/{}/{}", part(service), part(method))
        }
        (None, Some(PathMatch::Exact(path))) => format!("={path}"),
        (None, Some(PathMatch::Prefix(path))) if &**path == "/" => "/*".into(),
        (None, Some(PathMatch::Prefix(path))) => format!("{path}/*"),
        (None, Some(PathMatch::Regex(pattern))) => format!("~{pattern}"),
        (None, None) => "*".into(),
    }
}

fn string(m: &StringMatch) -> String {
    match m {
        StringMatch::Exact(text) => text.to_string(),
        StringMatch::Regex(pattern) => format!("~{pattern}"),
    }
}

fn conditions(m: &RouteMatch) -> Vec<String> {
    let sign = |m: &StringMatch| if matches!(m, StringMatch::Exact(_)) { "=" } else { "" };
    let headers = m.headers.iter().map(|h| format!("{}:{}{}", h.name, sign(&h.value), string(&h.value)));
    let query = m.query.iter().map(|q| format!("?{}{}{}", q.name, sign(&q.value), string(&q.value)));
    headers.chain(query).chain(m.port.map(|port| format!("port={port}"))).collect()
}

fn backends(route: &Route) -> Vec<String> {
    if let Some(problem) = &route.broken {
        return vec![format!("500 ({problem})")];
    }
    let share = |weight: u32| if route.backends.len() > 1 { format!("×{weight}") } else { String::new() };
    let target = |target: &BackendTarget| match target {
        BackendTarget::Cluster(id) => id.to_string(),
        BackendTarget::Invalid(problem) => format!("500 ({problem})"),
    };
    route.backends.iter().map(|b| format!("{}{}", target(&b.target), share(b.weight))).collect()
}

fn filter(filter: &Filter) -> &'static str {
    match filter {
        Filter::RequestHeaders(_) => "requestHeaders",
        Filter::ResponseHeaders(_) => "responseHeaders",
        Filter::Redirect(_) => "redirect",
        Filter::Rewrite(_) => "rewrite",
        Filter::Mirror(_) => "mirror",
        Filter::Cors(_) => "cors",
        Filter::DirectResponse(_) => "directResponse",
        Filter::ExternalAuth(_) => "externalAuth",
    }
}

/// The derived order is that in which `fairlead-route` asks: see its crate documentation for the rules.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank<'a> {
    listener: &'a str,
    host: HostRank<'a>,
    grpc: Reverse<bool>,
    service: Reverse<(Kind, usize)>,
    rpc: Reverse<(Kind, usize)>,
    path: Reverse<(Kind, usize)>,
    method: Reverse<bool>,
    headers: Reverse<usize>,
    query: Reverse<usize>,
    order: &'a Order,
    id: &'a str,
    index: usize,
}

/// Exact names, then wildcards, longest first, then `*`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct HostRank<'a> {
    wildcard: bool,
    length: Reverse<usize>,
    name: &'a str,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    None,
    Prefix,
    Regex,
    Exact,
}

impl<'a> Rank<'a> {
    fn of(listener: &'a str, host: &'a str, route: &'a Route, m: &RouteMatch, index: usize) -> Self {
        let wildcard = host.starts_with('*');
        let (service, rpc) = m.grpc.as_ref().map_or((&None, &None), |g| (&g.service, &g.method));
        Rank {
            listener,
            host: HostRank { wildcard, length: Reverse(if wildcard { host.len() } else { 0 }), name: host },
            grpc: Reverse(route.kind == RouteKind::Grpc),
            service: Reverse(string_rank(service.as_ref())),
            rpc: Reverse(string_rank(rpc.as_ref())),
            path: Reverse(path_rank(route.kind, m.path.as_ref())),
            method: Reverse(m.method.is_some()),
            headers: Reverse(m.headers.len()),
            query: Reverse(m.query.len()),
            order: &route.order,
            id: &route.id,
            index,
        }
    }
}

fn string_rank(m: Option<&StringMatch>) -> (Kind, usize) {
    match m {
        None => (Kind::None, 0),
        Some(StringMatch::Exact(text)) => (Kind::Exact, text.len()),
        Some(StringMatch::Regex(pattern)) => (Kind::Regex, pattern.len()),
    }
}

/// Without a path an HTTPRoute has the prefix `/`.
fn path_rank(kind: RouteKind, m: Option<&PathMatch>) -> (Kind, usize) {
    match m {
        None if kind == RouteKind::Http => (Kind::Prefix, 1),
        None => (Kind::None, 0),
        Some(PathMatch::Exact(text)) => (Kind::Exact, text.len()),
        Some(PathMatch::Prefix(text)) => (Kind::Prefix, text.len()),
        Some(PathMatch::Regex(pattern)) => (Kind::Regex, pattern.len()),
    }
}

#[cfg(test)]
mod tests;
