//! Tests of the crate as a whole, and what they share.

mod limits;
mod property;
mod spec;
mod update;

use crate::{Entry, Probe, Table};
use fairlead_ir::{
    HeaderMatch, Method, MethodMatch, Order, PathMatch, QueryMatch, Route, RouteKind, RouteMatch, StringMatch, Timeouts,
};
use std::sync::Arc;

/// An HTTPRoute's rule. The id is `<object>/<rule>`.
pub(crate) fn route(id: &str, hostnames: &[&str], matches: Vec<RouteMatch>) -> Route {
    let (object, rule) = id.rsplit_once('/').unwrap_or((id, "0"));
    Route {
        id: id.into(),
        name: object.into(),
        rule: None,
        kind: RouteKind::Http,
        listeners: Vec::new(),
        hostnames: hostnames.iter().map(|h| (*h).into()).collect(),
        matches,
        order: Order { created: 0, object: object.into(), rule: rule.parse().unwrap_or_default() },
        filters: Vec::new(),
        backends: Vec::new(),
        broken: None,
        timeouts: Timeouts::default(),
        retry: None,
    }
}

pub(crate) fn grpc(id: &str, hostnames: &[&str], matches: Vec<RouteMatch>) -> Route {
    Route { kind: RouteKind::Grpc, ..route(id, hostnames, matches) }
}

pub(crate) fn table(routes: &[Route]) -> Table<Arc<str>> {
    Table::build(routes.iter().map(entry))
}

pub(crate) fn entry(route: &Route) -> Arc<Entry<Arc<str>>> {
    Arc::new(Entry::compile(&Arc::new(route.clone()), route.id.clone()).unwrap())
}

pub(crate) fn get(url: &str) -> Probe {
    let (host, rest) = url.split_once('/').unwrap_or((url, ""));
    let (path, query) = rest.split_once('?').map_or((rest, None), |(p, q)| (p, Some(q.to_owned())));
    Probe { host: host.into(), path: format!("/{path}"), query, method: "GET".into(), headers: Vec::new(), port: 80 }
}

pub(crate) fn call(url: &str) -> Probe {
    Probe { method: "POST".into(), ..get(url).with("content-type", "application/grpc") }
}

impl Probe {
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn by(self, method: &str) -> Self {
        Probe { method: method.into(), ..self }
    }
}

pub(crate) fn found<'a>(table: &'a Table<Arc<str>>, request: &Probe) -> Option<&'a str> {
    table.find(request).map(|hit| &**hit.id)
}

pub(crate) fn exact(path: &str) -> RouteMatch {
    RouteMatch { path: Some(PathMatch::Exact(path.into())), ..RouteMatch::default() }
}

pub(crate) fn prefix(path: &str) -> RouteMatch {
    RouteMatch { path: Some(PathMatch::Prefix(path.into())), ..RouteMatch::default() }
}

pub(crate) fn regex(path: &str) -> RouteMatch {
    RouteMatch { path: Some(PathMatch::Regex(path.into())), ..RouteMatch::default() }
}

pub(crate) fn rpc(service: Option<&str>, method: Option<&str>) -> RouteMatch {
    let text = |t: Option<&str>| t.map(|t| StringMatch::Exact(t.into()));
    RouteMatch { grpc: Some(MethodMatch { service: text(service), method: text(method) }), ..RouteMatch::default() }
}

/// `RouteMatch`es in the order in which they are written in a manifest.
pub(crate) trait Also {
    fn method(self, method: Method) -> Self;
    fn header(self, name: &str, value: &str) -> Self;
    fn query(self, name: &str, value: &str) -> Self;
}

impl Also for RouteMatch {
    fn method(self, method: Method) -> Self {
        RouteMatch { method: Some(method), ..self }
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(HeaderMatch { name: name.into(), value: StringMatch::Exact(value.into()) });
        self
    }

    fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push(QueryMatch { name: name.into(), value: StringMatch::Exact(value.into()) });
        self
    }
}
