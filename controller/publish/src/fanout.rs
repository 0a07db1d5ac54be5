//! One configuration of everything to one per Gateway: each proxy is told what its Gateway needs, and nothing else.
//!
//! A Gateway has its listeners; with them come the routes that name them, the clusters that both name, and the endpoints
//! and secrets behind. What is behind is counted by its users, so that a change costs what it touches.

use crate::delta;
use fairlead_ir::{
    BackendTarget, CaSource, Cluster, Config, Discovery, Filter, Id, Listener, ListenerFilters, Push, Resource,
    ResourceId, Route,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;

/// What the proxies of each Gateway were told last.
#[derive(Debug, Default)]
pub struct Fanout {
    views: BTreeMap<Id, View>,
    /// Listener id → Gateway.
    homes: HashMap<Id, Id>,
    version: u64,
}

/// What one Gateway's proxies were told.
#[derive(Debug, Default)]
struct View {
    config: Config,
    /// Of the last push that was not empty.
    version: u64,
    /// How often something is named by what is in the view.
    uses: HashMap<ResourceId, u32>,
    /// What differs from what was told, with what it is now.
    changes: BTreeMap<ResourceId, Option<Resource>>,
}

impl Fanout {
    /// Of proxies that were told nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What each Gateway's proxies are to be told so that they have their part of `config`, when `touched` holds at least the ids of all
    /// that may differ. Gateways for which nothing differs are left out. Versions increase over all Gateways.
    pub fn update(&mut self, config: &Config, touched: &BTreeSet<ResourceId>) -> BTreeMap<Id, Push> {
        self.version += 1;
        let mut routes: BTreeSet<Id> = BTreeSet::new();
        let mut moved: BTreeSet<Id> = BTreeSet::new();
        for id in touched {
            match id {
                ResourceId::Listener(id) if self.listener(id, config) => drop(moved.insert(id.clone())),
                ResourceId::Route(id) => drop(routes.insert(id.clone())),
                _ => {}
            }
        }
        if !moved.is_empty() {
            let naming = config.routes.values().filter(|route| route.listeners.iter().any(|id| moved.contains(id)));
            routes.extend(naming.map(|route| route.id.clone()));
        }
        for id in &routes {
            self.route(id, config);
        }
        for id in touched {
            if !matches!(id, ResourceId::Listener(_) | ResourceId::Route(_)) {
                self.views
                    .values_mut()
                    .filter(|view| view.is_used(id))
                    .for_each(|view| view.settle(id.clone(), config));
            }
        }
        let version = self.version;
        let push = |(gateway, view): (&Id, &mut View)| Some((gateway.clone(), view.push(version)?));
        let pushes = self.views.iter_mut().filter_map(push).collect();
        self.views.retain(|_, view| view.config != Config::default());
        pushes
    }

    /// The version of the last push of each Gateway that has something to serve.
    pub fn versions(&self) -> BTreeMap<Id, u64> {
        self.views.iter().map(|(gateway, view)| (gateway.clone(), view.version)).collect()
    }

    /// What a Gateway's proxies were told.
    pub fn config(&self, gateway: &str) -> Option<&Config> {
        self.views.get(gateway).map(|view| &view.config)
    }

    /// Says whether it belongs to another Gateway than before.
    fn listener(&mut self, id: &Id, config: &Config) -> bool {
        let after = config.listeners.get(id).map(|listener| listener.gateway.clone());
        let before = match &after {
            Some(gateway) => self.homes.insert(id.clone(), gateway.clone()),
            None => self.homes.remove(id),
        };
        let key = ResourceId::Listener(id.clone());
        let moved = before != after;
        if let Some(view) = before.filter(|_| moved).and_then(|before| self.views.get_mut(&before)) {
            view.put(key.clone(), None, config);
        }
        if let Some(gateway) = after {
            self.views.entry(gateway).or_default().settle(key, config);
        }
        moved
    }

    fn route(&mut self, id: &Id, config: &Config) {
        let listeners = config.routes.get(id).map(|route| route.listeners.as_slice()).unwrap_or_default();
        let gateways: BTreeSet<&Id> = listeners.iter().filter_map(|listener| self.homes.get(listener)).collect();
        let key = ResourceId::Route(id.clone());
        for (gateway, view) in &mut self.views {
            if gateways.contains(gateway) {
                view.settle(key.clone(), config);
            } else if view.config.routes.contains_key(id) {
                view.put(key.clone(), None, config);
            }
        }
    }
}

impl View {
    fn is_used(&self, id: &ResourceId) -> bool {
        self.uses.contains_key(id)
    }

    /// Makes a resource what it is in `config`.
    fn settle(&mut self, id: ResourceId, config: &Config) {
        let now = delta::find(config, &id);
        self.put(id, now, config);
    }

    /// Makes a resource `now`, and lets those come and go that it names or no longer names.
    fn put(&mut self, id: ResourceId, now: Option<Resource>, config: &Config) {
        let before = self.current(&id);
        if before == now {
            return;
        }
        let old = before.as_ref().map(named).unwrap_or_default();
        let new = now.as_ref().map(named).unwrap_or_default();
        self.changes.insert(id, now);
        for id in new {
            let uses = self.uses.entry(id.clone()).or_default();
            *uses += 1;
            if *uses == 1 {
                self.settle(id, config);
            }
        }
        for id in old {
            if let Some(uses) = self.uses.get_mut(&id) {
                *uses -= 1;
                if *uses == 0 {
                    self.uses.remove(&id);
                    self.put(id, None, config);
                }
            }
        }
    }

    /// As it will have been told.
    fn current(&self, id: &ResourceId) -> Option<Resource> {
        self.changes.get(id).cloned().unwrap_or_else(|| delta::find(&self.config, id))
    }

    fn push(&mut self, version: u64) -> Option<Push> {
        let mut push = Push { version, ..Push::default() };
        for (id, now) in mem::take(&mut self.changes) {
            let before = delta::find(&self.config, &id);
            match now {
                Some(now) if before.as_ref() != Some(&now) => push.upserts.push(now),
                None if before.is_some() => push.removals.push(id),
                _ => {}
            }
        }
        if push.is_empty() {
            return None;
        }
        push.removals.reverse();
        self.version = version;
        delta::apply(&mut self.config, push.clone());
        Some(push)
    }
}

/// What a resource names, once for each time that it does. (Routes name listeners too, but belong to them.)
fn named(resource: &Resource) -> Vec<ResourceId> {
    match resource {
        Resource::Secret(_) | Resource::Endpoints(_) => Vec::new(),
        Resource::Cluster(cluster) => named_by_cluster(cluster),
        Resource::Route(route) => named_by_route(route),
        Resource::Listener(listener) => named_by_listener(listener),
    }
}

fn named_by_cluster(cluster: &Cluster) -> Vec<ResourceId> {
    let mut named = Vec::new();
    if let Discovery::Endpoints(id) = &cluster.discovery {
        named.push(ResourceId::Endpoints(id.clone()));
    }
    if let Some(tls) = &cluster.tls {
        if let CaSource::Secrets(ids) = &tls.ca {
            named.extend(ids.iter().cloned().map(ResourceId::Secret));
        }
        named.extend(tls.client_certificate.iter().cloned().map(ResourceId::Secret));
    }
    named
}

fn named_by_route(route: &Route) -> Vec<ResourceId> {
    let targets = route.backends.iter().filter_map(|backend| match &backend.target {
        BackendTarget::Cluster(id) => Some(id),
        BackendTarget::Invalid(_) => None,
    });
    let filters = route.filters.iter().chain(route.backends.iter().flat_map(|backend| &backend.filters));
    targets.chain(filters.filter_map(Filter::cluster)).cloned().map(ResourceId::Cluster).collect()
}

fn named_by_listener(listener: &Listener) -> Vec<ResourceId> {
    let mut named = Vec::new();
    if let Some(tls) = &listener.tls {
        let cas = tls.client_validation.iter().flat_map(|validation| &validation.cas);
        named.extend(tls.certificates.iter().chain(cas).cloned().map(ResourceId::Secret));
    }
    if let Some(ListenerFilters::Run(filters)) = &listener.filters {
        named.extend(filters.iter().filter_map(Filter::cluster).cloned().map(ResourceId::Cluster));
    }
    named.extend(listener.http.tracing.iter().map(|tracing| ResourceId::Cluster(tracing.cluster.clone())));
    named
}

#[cfg(test)]
mod tests;
