//! What takes a request and why, as data.

use super::names::Names;
use super::request::Asked;
use super::words;
use crate::findings;
use fairlead_ir::{Bind, Config, Listener, ListenerFilters, ListenerProtocol, Route, RouteKind};
use fairlead_route::{Entry, Explanation, ListenerIndex, Probe, Table};
use fairlead_store::World;
use fairlead_translate::Plan;
use serde::Serialize;
use std::net::IpAddr;
use std::sync::Arc;

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    pub request: Asked,
    /// What the client gets, in one line.
    pub outcome: String,
    /// `None`: no listener takes it.
    pub listener: Option<Door>,
    /// `None`: no route takes it.
    pub route: Option<Taken>,
    /// Who else would take it, best first.
    pub outranked: Vec<Other>,
    /// Who would not, nearest first.
    pub near_misses: Vec<Other>,
    /// Routes that are not in force because of their conditions.
    pub not_in_force: Vec<Other>,
}

/// The listener that takes the request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Door {
    pub name: String,
    /// `file:line`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    pub port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Box<str>>,
    pub why: String,
    /// What requests pass before they are routed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
}

/// The rule that takes the request, and what it does.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Taken {
    pub name: String,
    /// `file:line`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    pub rule: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_name: Option<Box<str>>,
    #[serde(rename = "match")]
    pub match_index: usize,
    /// The match in words.
    pub matched: String,
    pub why: String,
    pub filters: Vec<String>,
    pub backends: Vec<Share>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<String>,
}

/// A backend and its share of the requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    pub weight: u32,
    /// Of all weights.
    pub percent: f64,
    pub name: String,
    /// What is spoken to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    pub endpoints: Vec<String>,
    /// Why its share gets an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
}

/// A route that does not take the request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Other {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    pub why: String,
}

/// Where the request comes in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entrance<'a> {
    /// On this address, when Gateways listen on different ones.
    pub address: Option<IpAddr>,
    /// On this Gateway, `namespace/name`, when each has sockets of its own.
    pub gateway: Option<&'a str>,
}

impl Entrance<'_> {
    fn listeners(self, config: &Config) -> impl Iterator<Item = &Listener> {
        let all = config.listeners.values().map(|listener| &**listener);
        all.filter(move |listener| self.gateway.is_none_or(|gateway| *listener.gateway == *gateway))
    }
}

impl Answer {
    /// Asks the listeners, then the routes of the one that takes the request.
    pub fn of(asked: &Asked, entrance: Entrance<'_>, world: &World, plan: &Plan) -> Answer {
        let mut names = Names::of(world);
        let config = &plan.config;
        let mut answer = Answer {
            request: asked.clone(),
            outcome: String::new(),
            listener: None,
            route: None,
            outranked: Vec::new(),
            near_misses: Vec::new(),
            not_in_force: not_in_force(asked, plan, &mut names),
        };
        let on_port = on_port(asked, entrance, config);
        if on_port.is_empty() {
            answer.outcome = no_socket(asked, entrance, config);
            return answer;
        }
        let index = ListenerIndex::new(on_port.iter().map(|listener| (listener.hostname.as_deref(), *listener)));
        let Some(listener) = index.find(asked.listener_name().as_bytes()).copied() else {
            let hosts: Vec<_> = on_port.iter().filter_map(|listener| listener.hostname.as_deref()).collect();
            let closed = on_port.iter().any(|listener| listener.protocol.is_l4());
            let what = match asked.tls {
                true if closed => CLOSED,
                true => "TLS handshake fails",
                false => "404",
            };
            answer.outcome = format!("{what}: the listeners of port {} take {} only", asked.port, hosts.join(", "));
            return answer;
        };
        answer.listener = Some(names.door(listener, &asked.server_name));
        if let Some(ListenerFilters::Broken(problem)) = &listener.filters {
            answer.outcome = format!("500: {problem}");
            return answer;
        }
        let table = table(config.routes.values().filter(|route| route.listeners.contains(&listener.id)));
        let l4 = listener.protocol.is_l4();
        let probe = match l4 {
            true => Probe { host: asked.sni().to_owned(), path: "/".to_owned(), ..Probe::default() },
            false => asked.probe(),
        };
        let explanation = table.explain(&probe);
        if !l4 {
            answer.elsewhere(asked, config, listener, &mut names);
        }
        answer.take(&explanation, listener.protocol, config, &mut names);
        answer
    }

    fn take(&mut self, explanation: &Explanation, protocol: ListenerProtocol, config: &Config, names: &mut Names<'_>) {
        for taker in &explanation.outranked {
            let why = taker.text.clone().unwrap_or_default();
            self.outranked.push(names.other(&taker.route, Some(taker.match_index), why));
        }
        let misses = explanation.missed.iter();
        self.near_misses.extend(misses.map(|miss| names.other(&miss.route, Some(miss.match_index), miss.text.clone())));
        let winner = explanation.winner.as_ref().and_then(|taker| Some((taker, config.routes.get(&taker.route)?)));
        let Some((taker, route)) = winner else {
            let what = match protocol {
                ListenerProtocol::Udp => "dropped",
                protocol if protocol.is_l4() => CLOSED,
                _ => "404",
            };
            self.outcome = format!("{what}: no route of the listener takes it");
            return;
        };
        let why = match self.outranked.first() {
            None => "no other route takes it".to_owned(),
            Some(next) => format!("it goes before {} because of its {}", next.name, criterion(explanation)),
        };
        let taken = names.taken(route, taker, why, config);
        self.outcome = outcome(route, &taken.backends);
        self.route = Some(taken);
    }

    /// Routes that would take the request, but are attached to other listeners only.
    fn elsewhere(&mut self, asked: &Asked, config: &Config, listener: &Listener, names: &mut Names<'_>) {
        let others = config.routes.values().filter(|route| !route.kind.is_l4());
        let table = table(others.filter(|route| !route.listeners.contains(&listener.id)));
        let explanation = table.explain(&asked.probe());
        for taker in explanation.winner.iter().chain(&explanation.outranked) {
            let listeners = config.routes.get(&taker.route).map(|route| route.listeners.join(", ")).unwrap_or_default();
            let why = format!("would take it, but is attached to {listeners} only");
            self.near_misses.push(names.other(&taker.route, Some(taker.match_index), why));
        }
    }
}

/// What becomes of a connection that leads nowhere.
const CLOSED: &str = "closed";

/// What becomes of a request, or of a connection.
pub fn failure(kind: RouteKind, status: &'static str) -> &'static str {
    match kind {
        RouteKind::Udp => "dropped",
        RouteKind::Tls | RouteKind::Tcp => CLOSED,
        RouteKind::Http | RouteKind::Grpc => status,
    }
}

fn table<'a>(routes: impl Iterator<Item = &'a Arc<Route>>) -> Table<()> {
    // A rule that does not compile takes nothing; `check` says so.
    Table::build(routes.filter_map(|route| Entry::compile(route, ()).ok()).map(Arc::new))
}

fn on_port<'c>(asked: &Asked, entrance: Entrance<'_>, config: &'c Config) -> Vec<&'c Listener> {
    let address = entrance.address;
    let fits = |bind: &Bind| {
        bind.port == asked.port && (address.is_none() || bind.address.is_none() || bind.address == address)
    };
    let on_port = entrance.listeners(config).filter(|listener| asked.speaks(listener.protocol) && fits(&listener.bind));
    let on_port: Vec<&Listener> = on_port.collect();
    // Sockets of several addresses: a request comes in on one of them, an exact address before all addresses.
    let bind = on_port.iter().map(|listener| listener.bind).max_by_key(|bind| bind.address.is_some());
    on_port.into_iter().filter(|listener| Some(listener.bind) == bind).collect()
}

fn no_socket(asked: &Asked, entrance: Entrance<'_>, config: &Config) -> String {
    let scheme = asked.what();
    let mut there: Vec<String> = entrance
        .listeners(config)
        .map(|listener| format!("{} on {}", protocol(listener), listener.bind.port))
        .collect();
    there.sort();
    there.dedup();
    let there =
        if there.is_empty() { "there are no listeners".to_owned() } else { format!("there is {}", there.join(", ")) };
    format!("no connection: no listener serves {scheme} on port {}; {there}", asked.port)
}

fn protocol(listener: &Listener) -> String {
    format!("{:?}", listener.protocol).to_ascii_uppercase()
}

/// What the client gets, as far as the rule decides it.
fn outcome(route: &Route, shares: &[Share]) -> String {
    if let Some(problem) = &route.broken {
        return format!("500: {problem}");
    }
    let failure = failure(route.kind, "500");
    if let Some(filter) = route.filters.iter().find(|filter| words::answers(filter)) {
        return words::filter(filter);
    }
    match route.backends.iter().map(|backend| u64::from(backend.weight)).sum::<u64>() {
        0 if route.backends.is_empty() => format!("{failure}: the rule has no backends"),
        0 => format!("{failure}: the weights of all backends are 0"),
        _ => forwarded(shares),
    }
}

fn forwarded(shares: &[Share]) -> String {
    let failing: Vec<&Share> = shares.iter().filter(|share| share.weight > 0 && share.error.is_some()).collect();
    let errors: Vec<String> = failing
        .iter()
        .filter_map(|share| {
            Some(if shares.len() == 1 {
                share.error.clone()?
            } else {
                format!("{} % get {}", share.percent, share.error.as_ref()?)
            })
        })
        .collect();
    match (errors.is_empty(), shares.iter().filter(|share| share.weight > 0).count() == failing.len()) {
        (true, _) => "forwarded".to_owned(),
        (false, true) => errors.join(", "),
        (false, false) => format!("forwarded; {}", errors.join(", ")),
    }
}

fn criterion(explanation: &Explanation) -> String {
    use fairlead_route::Criterion::*;
    match explanation.because {
        Some(HostnameType | HostnameLength) => "host name",
        Some(Kind) => "kind",
        Some(Service) => "gRPC service",
        Some(GrpcMethod) => "gRPC method",
        Some(PathType | PathLength) => "path",
        Some(Method) => "method",
        Some(Headers) => "headers",
        Some(Query) => "query parameters",
        Some(Age) => "age",
        Some(Name) => "name",
        Some(Rule) | None => "place among the rules",
    }
    .to_owned()
}

fn not_in_force(asked: &Asked, plan: &Plan, names: &mut Names<'_>) -> Vec<Other> {
    let mut others = Vec::new();
    for ((kind, key), status) in &plan.status.routes {
        if !names.names_host(*kind, key, &asked.host) {
            continue;
        }
        for parent in &status.parents {
            let bad = parent.conditions.iter().find(|condition| {
                condition.kind == fairlead_translate::status::ConditionType::Accepted
                    && findings::severity(condition).is_some()
            });
            if let Some(bad) = bad {
                let why = format!("{} for {}: {}", bad.reason, parent.parent_ref.name, bad.message);
                others.push(Other { name: format!("{kind} {key}"), place: names.place(*kind, key, ""), why });
            }
        }
    }
    others
}
