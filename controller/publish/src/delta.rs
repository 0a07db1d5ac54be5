//! The difference between two configurations, and its application.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fairlead_ir::{Config, Id, Push, Resource, ResourceId};

/// What makes `new` of `old`, with version 0. Upserts are in the order secrets, endpoints, clusters, routes, listeners, so that
/// none precedes what it names; removals are in the reverse order. Within a kind the order is that of the ids.
pub fn delta(old: &Config, new: &Config) -> Push {
    let mut upserts = Vec::new();
    let mut gone = Vec::new();
    compare(&old.secrets, &new.secrets, |r| upserts.push(Resource::Secret(r)), |id| gone.push(ResourceId::Secret(id)));
    compare(
        &old.endpoints,
        &new.endpoints,
        |r| upserts.push(Resource::Endpoints(r)),
        |id| gone.push(ResourceId::Endpoints(id)),
    );
    compare(
        &old.clusters,
        &new.clusters,
        |r| upserts.push(Resource::Cluster(r)),
        |id| gone.push(ResourceId::Cluster(id)),
    );
    compare(&old.routes, &new.routes, |r| upserts.push(Resource::Route(r)), |id| gone.push(ResourceId::Route(id)));
    compare(
        &old.listeners,
        &new.listeners,
        |r| upserts.push(Resource::Listener(r)),
        |id| gone.push(ResourceId::Listener(id)),
    );
    gone.reverse();
    Push { version: 0, upserts, removals: gone }
}

/// As [`delta`], looking at `touched` only. The order of [`ResourceId`] is that of upserts.
pub fn delta_of(old: &Config, new: &Config, touched: &BTreeSet<ResourceId>) -> Push {
    let mut push = Push::default();
    for id in touched {
        let (before, after) = (find(old, id), find(new, id));
        match after {
            Some(after) if before.as_ref() != Some(&after) => push.upserts.push(after),
            None if before.is_some() => push.removals.push(id.clone()),
            _ => {}
        }
    }
    push.removals.reverse();
    push
}

/// A resource of a configuration.
pub(crate) fn find(config: &Config, id: &ResourceId) -> Option<Resource> {
    match id {
        ResourceId::Secret(id) => config.secrets.get(id).cloned().map(Resource::Secret),
        ResourceId::Endpoints(id) => config.endpoints.get(id).cloned().map(Resource::Endpoints),
        ResourceId::Cluster(id) => config.clusters.get(id).cloned().map(Resource::Cluster),
        ResourceId::Route(id) => config.routes.get(id).cloned().map(Resource::Route),
        ResourceId::Listener(id) => config.listeners.get(id).cloned().map(Resource::Listener),
    }
}

/// Applies a push: `apply(&mut a, delta(&a, &b))` makes `a` equal to `b`. Removing what is not there does nothing.
pub fn apply(config: &mut Config, push: Push) {
    for resource in push.upserts {
        match resource {
            Resource::Secret(r) => drop(config.secrets.insert(r.id.clone(), r)),
            Resource::Endpoints(r) => drop(config.endpoints.insert(r.id.clone(), r)),
            Resource::Cluster(r) => drop(config.clusters.insert(r.id.clone(), r)),
            Resource::Route(r) => drop(config.routes.insert(r.id.clone(), r)),
            Resource::Listener(r) => drop(config.listeners.insert(r.id.clone(), r)),
        }
    }
    for id in push.removals {
        match id {
            ResourceId::Secret(id) => drop(config.secrets.remove(&id)),
            ResourceId::Endpoints(id) => drop(config.endpoints.remove(&id)),
            ResourceId::Cluster(id) => drop(config.clusters.remove(&id)),
            ResourceId::Route(id) => drop(config.routes.remove(&id)),
            ResourceId::Listener(id) => drop(config.listeners.remove(&id)),
        }
    }
}

/// Walks two maps side by side.
fn compare<T: PartialEq>(
    old: &BTreeMap<Id, Arc<T>>,
    new: &BTreeMap<Id, Arc<T>>,
    mut upsert: impl FnMut(Arc<T>),
    mut remove: impl FnMut(Id),
) {
    let (mut olds, mut news) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (olds.peek(), news.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            // Ids are shared as their resources are: most comparisons are of one pointer.
            (Some((a, _)), Some((b, _))) if Arc::ptr_eq(a, b) => Ordering::Equal,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let before = if order.is_le() { olds.next() } else { None };
        let after = if order.is_ge() { news.next() } else { None };
        match (before, after) {
            (Some((id, _)), None) => remove(id.clone()),
            (None, Some((_, resource))) => upsert(resource.clone()),
            (Some((_, a)), Some((_, b))) if !Arc::ptr_eq(a, b) && a != b => upsert(b.clone()),
            _ => {}
        }
    }
}
