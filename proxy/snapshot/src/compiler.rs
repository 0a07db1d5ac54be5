//! Turns pushes into snapshots, each sharing with the one before it what did not change.

use crate::listener::{self, ListenerFilters, Secrets};
use crate::tracing::Tracers;
use crate::{ClusterEntry, Listener, Port, Route, Snapshot};
use fairlead_ir as ir;
use fairlead_ir::{Bind, Id, Push, Resource, ResourceId};
use fairlead_net::tls::{Identity, ServerTls, Tickets};
use fairlead_route::{Entry, ListenerIndex, Table};
use fairlead_telemetry::{ListenerLabels, Registry};
use fairlead_upstream::{ClusterConfig, EndpointList};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

/// What became of a push.
#[derive(Debug, Default)]
pub struct Applied {
    /// What can't be served, and why. The last good version of each serves on.
    pub rejected: Vec<(ResourceId, String)>,
}

/// Keeps the configuration and compiles what changes.
pub struct Compiler {
    registry: Arc<Registry>,
    tickets: Tickets,
    config: ir::Config,
    version: u64,
    slots: HashMap<Id, u32>,
    clusters: Vec<Option<Arc<ClusterEntry>>>,
    entries: HashMap<Id, SharedEntry>,
    tables: HashMap<Id, Table<Arc<Route>>>,
    ports: foldhash::HashMap<Bind, Arc<Port>>,
    /// Compiled listeners; one is taken out when it must be compiled anew.
    listeners: HashMap<Id, Arc<Listener>>,
    /// Their TLS, likewise.
    tls: HashMap<Id, ServerTls>,
    /// Their filters, likewise.
    filters: HashMap<Id, Arc<ListenerFilters>>,
    secrets: Secrets,
    tracers: Tracers,
    resolved: HashMap<Box<str>, Vec<IpAddr>>,
    users: Users,
}

/// Who names what, so that a change reaches just those.
#[derive(Default)]
struct Users {
    /// Endpoints id → cluster ids: one, or one for each way to speak to a Service.
    endpoints: HashMap<Id, Vec<Id>>,
    /// Host name → cluster ids.
    hosts: HashMap<Box<str>, HashSet<Id>>,
}

/// A compiled route, as the tables of all its listeners share it.
type SharedEntry = Arc<Entry<Arc<Route>>>;

/// What a push made stale.
#[derive(Default)]
struct Stale {
    clusters: BTreeSet<Id>,
    lists: BTreeSet<Id>,
    tables: BTreeMap<Id, (Vec<Id>, Vec<SharedEntry>)>,
    ports: BTreeSet<Bind>,
    secrets: HashSet<Id>,
}

impl Compiler {
    /// With nothing to serve. `tickets` are the process's TLS session ticket keys.
    pub fn new(registry: Arc<Registry>, tickets: Tickets) -> Compiler {
        Compiler {
            registry,
            tickets,
            config: ir::Config::default(),
            version: 0,
            slots: HashMap::new(),
            clusters: Vec::new(),
            entries: HashMap::new(),
            tables: HashMap::new(),
            ports: foldhash::HashMap::default(),
            listeners: HashMap::new(),
            tls: HashMap::new(),
            filters: HashMap::new(),
            secrets: Secrets::default(),
            tracers: Tracers::default(),
            resolved: HashMap::new(),
            users: Users::default(),
        }
    }

    /// The configuration as pushed.
    pub fn config(&self) -> &ir::Config {
        &self.config
    }

    /// Host names whose addresses clusters want to know.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.users.hosts.keys().map(|host| &**host)
    }

    /// Takes a push in.
    pub fn apply(&mut self, push: &Push) -> Applied {
        let mut applied = Applied::default();
        let mut stale = Stale::default();
        for resource in &push.upserts {
            self.upsert(resource, &mut stale, &mut applied);
        }
        for id in &push.removals {
            self.remove(id, &mut stale);
        }
        self.version = push.version;
        self.refresh(stale, &mut applied);
        applied
    }

    /// New addresses of a host name.
    pub fn resolve(&mut self, host: &str, addresses: &[IpAddr]) {
        self.resolved.insert(host.into(), addresses.to_vec());
        let lists = self.users.hosts.get(host).into_iter().flatten().cloned().collect();
        self.refresh(Stale { lists, ..Stale::default() }, &mut Applied::default());
    }

    /// What is served now. Costs one reference count per cluster and port.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { version: self.version, clusters: self.clusters.clone(), ports: self.ports.clone() }
    }

    fn upsert(&mut self, resource: &Resource, stale: &mut Stale, applied: &mut Applied) {
        match resource {
            Resource::Secret(secret) => {
                self.config.secrets.insert(secret.id.clone(), secret.clone());
                if let Err(message) = self.compile_secret(secret) {
                    applied.rejected.push((resource.id(), message));
                }
                stale.secrets.insert(secret.id.clone());
            }
            Resource::Endpoints(endpoints) => {
                self.config.endpoints.insert(endpoints.id.clone(), endpoints.clone());
                stale.lists.extend(self.users.endpoints.get(&endpoints.id).into_iter().flatten().cloned());
            }
            Resource::Cluster(cluster) => {
                if let Some(old) = self.config.clusters.insert(cluster.id.clone(), cluster.clone()) {
                    self.users.forget(&old);
                }
                stale.clusters.insert(cluster.id.clone());
            }
            Resource::Route(route) => {
                if let Some(old) = self.config.routes.insert(route.id.clone(), route.clone()) {
                    for listener in &old.listeners {
                        stale.tables.entry(listener.clone()).or_default().0.push(route.id.clone());
                    }
                }
                match self.compile_route(route) {
                    Ok(entry) => {
                        self.entries.insert(route.id.clone(), entry);
                    }
                    Err(message) => applied.rejected.push((resource.id(), message)),
                }
                if let Some(entry) = self.entries.get(&route.id) {
                    for listener in &route.listeners {
                        stale.tables.entry(listener.clone()).or_default().1.push(entry.clone());
                    }
                }
            }
            Resource::Listener(listener) => {
                if let Some(old) = self.config.listeners.insert(listener.id.clone(), listener.clone()) {
                    stale.ports.insert(old.bind);
                    self.forget_listener(&listener.id);
                }
                stale.ports.insert(listener.bind);
            }
        }
    }

    fn remove(&mut self, id: &ResourceId, stale: &mut Stale) {
        match id {
            ResourceId::Secret(id) => {
                self.config.secrets.remove(id);
                self.secrets.identities.remove(id);
                self.secrets.bundles.remove(id);
                stale.secrets.insert(id.clone());
            }
            ResourceId::Endpoints(id) => {
                self.config.endpoints.remove(id);
                stale.lists.extend(self.users.endpoints.get(id).into_iter().flatten().cloned());
            }
            ResourceId::Cluster(id) => {
                if let Some(old) = self.config.clusters.remove(id) {
                    self.users.forget(&old);
                }
                stale.clusters.insert(id.clone());
            }
            ResourceId::Route(id) => {
                if let Some(old) = self.config.routes.remove(id) {
                    for listener in &old.listeners {
                        stale.tables.entry(listener.clone()).or_default().0.push(id.clone());
                    }
                }
                self.entries.remove(id);
            }
            ResourceId::Listener(id) => {
                if let Some(old) = self.config.listeners.remove(id) {
                    stale.ports.insert(old.bind);
                    self.forget_listener(id);
                }
            }
        }
    }

    fn refresh(&mut self, mut stale: Stale, applied: &mut Applied) {
        self.spread_secrets(&mut stale);
        for id in &stale.clusters {
            if let Err(message) = self.compile_cluster(id) {
                applied.rejected.push((ResourceId::Cluster(id.clone()), message));
            }
        }
        for id in stale.lists.difference(&stale.clusters) {
            self.refresh_list(id);
        }
        for (listener, (removed, upserted)) in stale.tables {
            let table = self.tables.entry(listener.clone()).or_default();
            *table = table.update(&removed, upserted);
            match self.config.listeners.get(&listener) {
                Some(config) => {
                    self.listeners.remove(&listener);
                    stale.ports.insert(config.bind);
                }
                None if table.is_empty() => {
                    self.tables.remove(&listener);
                }
                None => {}
            }
        }
        for bind in stale.ports {
            self.compile_port(bind, applied);
        }
    }

    /// Listeners and clusters that name a changed secret are compiled anew.
    fn spread_secrets(&mut self, stale: &mut Stale) {
        if stale.secrets.is_empty() {
            return;
        }
        let changed = |id: &Id| stale.secrets.contains(id);
        for listener in self.config.listeners.values() {
            let Some(tls) = &listener.tls else { continue };
            let cas = tls.client_validation.iter().flat_map(|v| &v.cas);
            if tls.certificates.iter().chain(cas).any(changed) {
                self.tls.remove(&listener.id);
                stale.ports.insert(listener.bind);
            }
        }
        for cluster in self.config.clusters.values() {
            let Some(tls) = &cluster.tls else { continue };
            let cas = match &tls.ca {
                ir::CaSource::Secrets(ids) => &ids[..],
                _ => &[],
            };
            if cas.iter().chain(&tls.client_certificate).any(changed) {
                stale.clusters.insert(cluster.id.clone());
            }
        }
    }

    fn compile_secret(&mut self, secret: &Arc<ir::Secret>) -> Result<(), String> {
        self.secrets.bundles.insert(secret.id.clone(), secret.clone());
        let Some(key) = &secret.key else { return Ok(()) };
        let identity = Identity::from_pem(secret.certificates.as_bytes(), key.as_bytes()).map_err(|e| e.to_string())?;
        self.secrets.identities.insert(secret.id.clone(), Arc::new(identity));
        Ok(())
    }

    fn compile_route(&mut self, route: &Arc<ir::Route>) -> Result<SharedEntry, String> {
        let (registry, slots, clusters) = (&self.registry, &mut self.slots, &mut self.clusters);
        let compiled = Route::compile(route, registry, |id| slot(slots, clusters, id))?;
        let entry = Entry::compile(route, Arc::new(compiled)).map_err(|problem| problem.to_string())?;
        Ok(Arc::new(entry))
    }

    fn compile_cluster(&mut self, id: &Id) -> Result<(), String> {
        let slot = slot(&mut self.slots, &mut self.clusters, id) as usize;
        let Some(config) = self.config.clusters.get(id) else {
            self.clusters[slot] = None;
            return Ok(());
        };
        self.users.remember(config, self.config.endpoints_of(config));
        let secret = |id: &str| self.config.secrets.get(id).cloned();
        let compiled = ClusterConfig::compile(config, secret).map_err(|problem| problem.to_string())?;
        let entry = ClusterEntry { config: compiled, endpoints: self.list(config), metrics: self.registry.cluster(id) };
        self.clusters[slot] = Some(Arc::new(entry));
        Ok(())
    }

    /// A cluster's endpoints changed, nothing else of it.
    fn refresh_list(&mut self, id: &Id) {
        let Some(config) = self.config.clusters.get(id).cloned() else { return };
        self.users.remember(&config, self.config.endpoints_of(&config));
        let endpoints = self.list(&config);
        let slot = slot(&mut self.slots, &mut self.clusters, id) as usize;
        if let Some(Some(entry)) = self.clusters.get_mut(slot) {
            let (config, metrics) = (entry.config.clone(), entry.metrics.clone());
            *entry = Arc::new(ClusterEntry { config, endpoints, metrics });
        }
    }

    fn list(&self, config: &ir::Cluster) -> Arc<EndpointList> {
        let resolved = |host: &str| self.resolved.get(host).cloned().unwrap_or_default();
        EndpointList::compile(config, self.config.endpoints_of(config), resolved, &self.registry)
    }

    fn compile_port(&mut self, bind: Bind, applied: &mut Applied) {
        let configs: Vec<_> = self.config.listeners.values().filter(|l| l.bind == bind).cloned().collect();
        let Some(first) = configs.first() else {
            self.ports.remove(&bind);
            return;
        };
        let label = match bind.transport {
            ir::Transport::Tcp => format!("port/{}", bind.port),
            ir::Transport::Udp => format!("port/{}/udp", bind.port),
        };
        let metrics = self.registry.listener(&ListenerLabels { listener: &label, gateway: "" });
        let mut tls = Vec::new();
        let mut listeners = Vec::with_capacity(configs.len());
        for config in &configs {
            if !self.listeners.contains_key(&config.id) {
                if let Err(message) = self.compile_filters(config) {
                    applied.rejected.push((ResourceId::Listener(config.id.clone()), message));
                }
                let compiled = Arc::new(self.compile_listener(config));
                self.listeners.insert(config.id.clone(), compiled);
            }
            listeners.extend(self.listeners.get(&config.id).map(|l| (config.hostname.as_deref(), l.clone())));
            match self.compile_tls(config) {
                Ok(compiled) => tls.extend(compiled.map(|compiled| (config.hostname.as_deref(), compiled))),
                Err(message) => applied.rejected.push((ResourceId::Listener(config.id.clone()), message)),
            }
        }
        let is_tls = configs.iter().any(|config| config.tls.is_some());
        let is_l4 = |config: &&Arc<ir::Listener>| config.protocol == ir::ListenerProtocol::Tls;
        let port = Port {
            bind,
            protocol: configs.iter().find(is_l4).unwrap_or(first).protocol,
            listeners: ListenerIndex::new(listeners),
            tls: is_tls.then(|| ListenerIndex::new(tls)),
            http: first.http.clone(),
            metrics,
        };
        self.ports.insert(bind, Arc::new(port));
    }

    fn compile_tls(&mut self, config: &ir::Listener) -> Result<Option<ServerTls>, String> {
        let Some(settings) = &config.tls else { return Ok(None) };
        let alpn = match config.protocol {
            // Passed through.
            ir::ListenerProtocol::Tls if settings.certificates.is_empty() => return Ok(None),
            // Whatever is spoken inside is between the client and the backend.
            ir::ListenerProtocol::Tls => &[][..],
            _ => listener::HTTP_ALPN,
        };
        if let Some(tls) = self.tls.get(&config.id) {
            return Ok(Some(tls.clone()));
        }
        let tls = listener::tls(settings, alpn, &self.secrets, &self.tickets)?;
        self.tls.insert(config.id.clone(), tls.clone());
        Ok(Some(tls))
    }

    fn forget_listener(&mut self, id: &Id) {
        self.listeners.remove(id);
        self.tls.remove(id);
        self.filters.remove(id);
    }

    /// What does not compile is broken: nobody gets past it.
    fn compile_filters(&mut self, config: &ir::Listener) -> Result<(), String> {
        let Some(filters) = &config.filters else { return Ok(()) };
        if self.filters.contains_key(&config.id) {
            return Ok(());
        }
        let (slots, clusters) = (&mut self.slots, &mut self.clusters);
        let compiled = ListenerFilters::compile(filters, |id| slot(slots, clusters, id));
        let (filters, result) = match compiled {
            Ok(filters) => (filters, Ok(())),
            Err(message) => (ListenerFilters::Broken, Err(message)),
        };
        self.filters.insert(config.id.clone(), Arc::new(filters));
        result
    }

    fn compile_listener(&mut self, config: &Arc<ir::Listener>) -> Listener {
        let tracer = config.http.tracing.as_ref().map(|tracing| {
            let slot = slot(&mut self.slots, &mut self.clusters, &tracing.cluster);
            self.tracers.tracer(tracing, slot, &self.registry.build().version)
        });
        Listener {
            tracer,
            table: self.tables.get(&config.id).cloned().unwrap_or_default(),
            metrics: self.registry.listener(&ListenerLabels { listener: &config.id, gateway: &config.gateway }),
            stream_idle_timeout: config.http.stream_idle_timeout.limit(),
            filters: self.filters.get(&config.id).cloned(),
            config: config.clone(),
        }
    }
}

impl Users {
    fn remember(&mut self, cluster: &ir::Cluster, endpoints: Option<&ir::Endpoints>) {
        if let ir::Discovery::Endpoints(id) = &cluster.discovery {
            let users = self.endpoints.entry(id.clone()).or_default();
            if !users.contains(&cluster.id) {
                users.reserve_exact(1);
                users.push(cluster.id.clone());
            }
        }
        for host in EndpointList::hosts(cluster, endpoints) {
            self.hosts.entry(host.into()).or_default().insert(cluster.id.clone());
        }
    }

    fn forget(&mut self, cluster: &ir::Cluster) {
        if let ir::Discovery::Endpoints(id) = &cluster.discovery
            && let Some(users) = self.endpoints.get_mut(id)
        {
            users.retain(|user| *user != cluster.id);
            if users.is_empty() {
                self.endpoints.remove(id);
            }
        }
        self.hosts.retain(|_, users| {
            users.remove(&cluster.id);
            !users.is_empty()
        });
    }
}

/// The slot of a cluster id, for good: routes keep it, whether the cluster exists (yet) or not.
fn slot(slots: &mut HashMap<Id, u32>, clusters: &mut Vec<Option<Arc<ClusterEntry>>>, id: &Id) -> u32 {
    if let Some(slot) = slots.get(id) {
        return *slot;
    }
    let slot = clusters.len() as u32;
    clusters.push(None);
    slots.insert(id.clone(), slot);
    slot
}
