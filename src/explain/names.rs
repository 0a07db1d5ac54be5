//! From ids of the configuration to objects, where they stand, and what they do.

use super::answer::{Door, Other, Share, Taken, failure};
use super::words;
use fairlead_crds::Kind;
use fairlead_ir::{
    Address, Backend, BackendTarget, Cluster, Config, Discovery, Listener, ListenerFilters, ListenerProtocol, Protocol,
    Route, RouteKind,
};
use fairlead_route::Taker;
use fairlead_store::{Key, Locator, World};

/// See the module.
pub struct Names<'a> {
    world: &'a World,
    locator: Locator,
}

impl<'a> Names<'a> {
    /// Of the objects of a World.
    pub fn of(world: &'a World) -> Names<'a> {
        Names { world, locator: Locator::default() }
    }

    /// Whether a route's own host names take a host.
    pub fn names_host(&self, kind: Kind, key: &Key, host: &str) -> bool {
        let entry = self.world.entry(kind, &key.namespace, &key.name);
        let value = entry.and_then(|entry| entry.object.to_value().ok()).unwrap_or_default();
        let names = value["spec"]["hostnames"].as_array().cloned().unwrap_or_default();
        let takes = |name: &str| match name.strip_prefix('*') {
            Some(suffix) => host.ends_with(suffix),
            None => host == name,
        };
        names.is_empty() || names.iter().filter_map(|name| name.as_str()).any(|name| takes(&name.to_ascii_lowercase()))
    }

    /// Where an object's field stands, `file:line`.
    pub fn place(&mut self, kind: Kind, key: &Key, path: &str) -> Option<String> {
        let source = self.world.source(kind, key)?;
        let place = self.locator.place(source, path);
        Some(format!("{}:{}", place.file, place.line))
    }

    /// A listener, and why it takes a server name.
    pub fn door(&mut self, listener: &Listener, server_name: &str) -> Door {
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
        let filters = match &listener.filters {
            Some(ListenerFilters::Run(filters)) => filters.iter().map(words::filter).collect(),
            Some(ListenerFilters::Broken(_)) | None => Vec::new(),
        };
        Door { name, place, port: listener.bind.port, hostname: listener.hostname.clone(), why, filters }
    }

    /// A rule that does not take the request.
    pub fn other(&mut self, route: &str, match_index: Option<usize>, why: String) -> Other {
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

    /// The rule that does, and what it does.
    pub fn taken(&mut self, route: &Route, taker: &Taker, why: String, config: &Config) -> Taken {
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
