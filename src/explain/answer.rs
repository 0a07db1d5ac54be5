//! What takes a request and why, as data.

use super::request::Asked;
use super::words;
use crate::findings;
use fairlead_crds::Kind;
use fairlead_ir::{
    Address, Backend, BackendTarget, Bind, Cluster, Config, Discovery, Listener, ListenerProtocol, Protocol, Route,
    RouteKind,
};
use fairlead_route::{Entry, Explanation, ListenerIndex, Probe, Table, Taker};
use fairlead_store::{Key, Locator, World};
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
    fn listeners<'c>(self, config: &'c Config) -> impl Iterator<Item = &'c Listener> {
        let all = config.listeners.values().map(|listener| &**listener);
        all.filter(move |listener| self.gateway.is_none_or(|gateway| *listener.gateway == *gateway))
    }
}

impl Answer {
    /// Asks the listeners, then the routes of the one that takes the request.
    pub fn of(asked: &Asked, entrance: Entrance<'_>, world: &World, plan: &Plan) -> Answer {
        let mut names = Names { world, locator: Locator::default() };
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
fn failure(kind: RouteKind, status: &'static str) -> &'static str {
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
    let mut there: Vec<String> =
        entrance.listeners(config).map(|listener| format!("{} on {}", protocol(listener), listener.bind.port)).collect();
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

/// From ids to objects and places.
struct Names<'a> {
    world: &'a World,
    locator: Locator,
}

impl Names<'_> {
    /// Whether a route's own host names take a host.
    fn names_host(&self, kind: Kind, key: &Key, host: &str) -> bool {
        let entry = self.world.entry(kind, &key.namespace, &key.name);
        let value = entry.and_then(|entry| entry.object.to_value().ok()).unwrap_or_default();
        let names = value["spec"]["hostnames"].as_array().cloned().unwrap_or_default();
        let takes = |name: &str| match name.strip_prefix('*') {
            Some(suffix) => host.ends_with(suffix),
            None => host == name,
        };
        names.is_empty() || names.iter().filter_map(|name| name.as_str()).any(|name| takes(&name.to_ascii_lowercase()))
    }

    fn place(&mut self, kind: Kind, key: &Key, path: &str) -> Option<String> {
        let source = self.world.source(kind, key)?;
        let place = self.locator.place(source, path);
        Some(format!("{}:{}", place.file, place.line))
    }

    fn door(&mut self, listener: &Listener, server_name: &str) -> Door {
        let parts: Vec<&str> = listener.id.split('/').collect();
        let mut place = None;
        let mut name = listener.id.to_string();
        if let [kind, namespace, object, section, ..] = parts[..]
            && let Some(kind) = kind_of(kind)
        {
            let key = Key::new(namespace, object);
            name = format!("{kind} {key}, listener {section}");
            let entry = self.world.entry(kind, namespace, object);
            let value = entry.and_then(|entry| entry.object.to_value().ok()).unwrap_or_default();
            let sections = value["spec"]["listeners"].as_array();
            let index = sections.and_then(|all| all.iter().position(|one| one["name"] == section)).unwrap_or_default();
            place = self.place(kind, &key, &format!("spec.listeners[{index}].name"));
        }
        let why = match listener.hostname.as_deref() {
            None if matches!(listener.protocol, ListenerProtocol::Tcp | ListenerProtocol::Udp) => {
                "takes everything that comes to its port".to_owned()
            }
            None => "takes every host".to_owned(),
            Some(host) if host.starts_with("*.") => format!("{host} is the longest wildcard that takes {server_name}"),
            Some(host) => format!("{host} is the very name"),
        };
        Door { name, place, port: listener.bind.port, hostname: listener.hostname.clone(), why }
    }

    fn other(&mut self, route: &str, match_index: Option<usize>, why: String) -> Other {
        let (name, place) = self.rule(route, match_index);
        Other { name, place, why }
    }

    /// `HTTPRoute shop/cart, rule 1` and where it stands.
    fn rule(&mut self, route: &str, match_index: Option<usize>) -> (String, Option<String>) {
        let parts: Vec<&str> = route.split('/').collect();
        let [kind, namespace, object, rule, ..] = parts[..] else { return (route.to_owned(), None) };
        let Some(kind) = kind_of(kind) else { return (route.to_owned(), None) };
        let key = Key::new(namespace, object);
        let mut path = format!("spec.rules[{rule}]");
        if let Some(index) = match_index {
            path += &format!(".matches[{index}]");
        }
        let place = self.place(kind, &key, &path);
        (format!("{kind} {key}, rule {rule}"), place)
    }

    fn taken(&mut self, route: &Route, taker: &Taker, why: String, config: &Config) -> Taken {
        let (name, place) = self.rule(&route.id, Some(taker.match_index));
        let total: u64 = route.backends.iter().map(|backend| u64::from(backend.weight)).sum();
        Taken {
            name,
            place,
            rule: route.order.rule as usize,
            rule_name: route.rule.clone(),
            match_index: taker.match_index,
            matched: match &taker.hostname {
                Some(hostname) if route.kind.is_l4() => format!("server name {hostname}"),
                None if route.kind.is_l4() => "everything that comes to the listener".to_owned(),
                Some(hostname) => format!("host {hostname}, {}", taker.matched),
                None => taker.matched.clone(),
            },
            why,
            filters: route.filters.iter().map(words::filter).collect(),
            backends: route.backends.iter().map(|backend| share(route.kind, backend, total, config)).collect(),
            timeouts: words::timeouts(&route.timeouts),
            retry: route.retry.as_ref().map(words::retry),
        }
    }
}

fn share(kind: RouteKind, backend: &Backend, total: u64, config: &Config) -> Share {
    let percent = if total == 0 { 0.0 } else { f64::from(backend.weight) * 100.0 / total as f64 };
    let filters = backend.filters.iter().map(words::filter).collect();
    let mut share = Share {
        weight: backend.weight,
        percent,
        name: String::new(),
        protocol: None,
        endpoints: Vec::new(),
        error: None,
        filters,
    };
    match &backend.target {
        BackendTarget::Invalid(why) => {
            share.name = "invalid".to_owned();
            share.error = Some(format!("{}: {why}", failure(kind, "500")));
        }
        BackendTarget::Cluster(id) => {
            share.name = id.to_string();
            match config.clusters.get(id) {
                None => share.error = Some(format!("{}: no such cluster", failure(kind, "500"))),
                Some(cluster) => share.reach(kind, cluster, config),
            }
        }
    }
    share
}

impl Share {
    fn reach(&mut self, kind: RouteKind, cluster: &Cluster, config: &Config) {
        let protocol = match cluster.protocol {
            Protocol::Http1 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        };
        self.protocol = Some(match &cluster.tls {
            Some(tls) => format!("{protocol} over TLS to {}", tls.hostname),
            None => protocol.to_owned(),
        });
        self.endpoints = match &cluster.discovery {
            Discovery::Dns { host, port } => vec![format!("{host}:{port} by DNS")],
            Discovery::Endpoints(id) => {
                let endpoints = config.endpoints.get(id).map(|all| &all.endpoints[..]).unwrap_or_default();
                endpoints.iter().map(|endpoint| address(&endpoint.address)).collect()
            }
        };
        if self.endpoints.is_empty() {
            self.error = Some(format!("{}: no endpoints", failure(kind, "503")));
        }
    }
}

fn address(address: &Address) -> String {
    match address {
        Address::Ip(address) => address.to_string(),
        Address::Dns { host, port } => format!("{host}:{port} by DNS"),
        Address::Unix(path) => format!("unix:{path}"),
    }
}

/// The kind that an id begins with: `httproute`, `gateway`.
fn kind_of(prefix: &str) -> Option<Kind> {
    Kind::ALL.iter().copied().find(|kind| kind.as_str().eq_ignore_ascii_case(prefix))
}
