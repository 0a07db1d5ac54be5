//! What is made again: policies, the frame, routes; and what each of them makes dirty.

use super::few::Group;
use super::trace::{Trace, only};
use super::{Memo, ROUTES, RouteId, pair, set};
use crate::Settings;
use crate::fleet;
use crate::frame::Frame;
use crate::policy::Policies;
use crate::reader::Dependency;
use crate::route::{self, RoutePlan, Surroundings, Uses};
use crate::status::RouteStatus;
use fairlead_crds::Kind;
use fairlead_crds::gateway::{GRPCRoute, HTTPRoute, TCPRoute, TLSRoute, UDPRoute};
use fairlead_ir::Route;
use fairlead_store::{Key, World};
use foldhash::HashSet;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Memo {
    /// Policies; the targets for which something else holds now are dirty.
    pub(super) fn refresh_policies(
        &mut self,
        world: &World,
        settings: &Settings,
        all: bool,
        dirty: &mut HashSet<Dependency>,
    ) -> bool {
        if !all && !dirty.iter().any(|d| self.policies.depend_on(d)) {
            return false;
        }
        let old = std::mem::replace(&mut self.policies, Policies::build(world, settings, &mut self.vault));
        dirty.extend(self.policies.differing(&old));
        true
    }

    /// The frame. Routes care for its parents only as far as they came out different.
    pub(super) fn refresh_frame(
        &mut self,
        world: &World,
        settings: &Settings,
        all: bool,
        changed: &[(Kind, Key)],
        dirty: &mut HashSet<Dependency>,
    ) -> bool {
        let made_of = |kind: Kind| matches!(kind, Kind::GatewayClass | Kind::Gateway | Kind::ListenerSet);
        let concerns = |d: &Dependency| {
            made_of(d.0) || d.0 == Kind::ProxyClass || self.frame.reads.contains(d) || self.frame.publishes(d, world)
        };
        if !all && !dirty.iter().any(concerns) {
            return false;
        }
        let mut new = Frame::build(world, settings, &self.policies, &mut self.vault);
        let old = std::mem::take(&mut self.frame);
        for (id, parent) in &mut new.parents {
            match old.parents.get(id) {
                Some(known) if known == parent => {
                    *parent = known.clone();
                    dirty.remove(id);
                }
                _ => {
                    dirty.insert(id.clone());
                }
            }
        }
        dirty.extend(old.parents.keys().filter(|id| !new.parents.contains_key(id)).cloned());
        // What has no parent before and after may still exist now, or no longer.
        dirty.extend(changed.iter().filter(|id| made_of(id.0) && !new.parents.contains_key(id)).cloned());
        self.alike.clear();
        self.users.secrets.swap(&mut self.config, &new.secrets, old.secrets.keys());
        self.use_filters(&new);
        self.status.gateway_classes = std::mem::take(&mut new.classes);
        let gone: Vec<Key> = self.status.orphans.keys().filter(|key| !new.orphans.contains_key(key)).cloned().collect();
        for key in gone {
            self.status.orphans.remove(&key);
        }
        for (key, status) in std::mem::take(&mut new.orphans) {
            set(&mut self.status.orphans, &key, Some(Arc::new(status)));
        }
        self.fleet = {
            let stays = |key: &Key| new.fleets.contains_key(key) || fleet::is_selection(key);
            self.fleet.iter().filter(|(key, _)| stays(key)).map(pair).collect()
        };
        for (key, fleet) in std::mem::take(&mut new.fleets) {
            set(&mut self.fleet, &key, Some(Arc::new(fleet)));
        }
        self.frame = new;
        true
    }

    /// What the filters of listeners use, counted as if each Gateway were a route.
    fn use_filters(&mut self, frame: &Frame) {
        let keys: BTreeSet<Key> = frame.uses.keys().chain(self.entries.keys()).cloned().collect();
        let nothing = Uses::default();
        for key in keys {
            let uses = frame.uses.get(&key);
            let new = uses.map(|uses| Trace::of_gateway(&key, uses)).unwrap_or_default();
            let old = self.entries.remove(&key).unwrap_or_default();
            self.users.swap(&mut self.config, uses.unwrap_or(&nothing), &old);
            self.counts.swap(&(Kind::Gateway, key.clone()), &new, &old);
            if uses.is_some() {
                self.entries.insert(key, new);
            }
        }
    }

    pub(super) fn dirty_routes(
        &self,
        world: &World,
        all: bool,
        changed: &[(Kind, Key)],
        dirty: &HashSet<Dependency>,
    ) -> HashSet<RouteId> {
        let mut routes: HashSet<RouteId> =
            dirty.iter().filter_map(|d| self.dependents.get(d)).flat_map(Group::iter).cloned().collect();
        routes.extend(changed.iter().filter(|id| ROUTES.contains(&id.0)).cloned());
        if all {
            routes.extend(self.routes.keys().cloned());
            routes.extend(ROUTES.iter().flat_map(|kind| world.entries(*kind).map(|(key, _)| (*kind, key.clone()))));
        }
        routes
    }

    /// Plans a route again, and moves all that follows from it from the old to the new.
    pub(super) fn refresh_route(&mut self, id: RouteId, world: &World, settings: &Settings) {
        let around = Surroundings { world, frame: &self.frame, policies: &self.policies, settings };
        let plan = plan_route(&id, &around);
        let exists = plan.is_some();
        let plan = plan.unwrap_or_default();
        let new = Trace::of(&plan);
        let old = self.routes.remove(&id).unwrap_or_default();
        for route in &plan.routes {
            self.config.set(&route.id, route);
        }
        for gone in only(&old.routes, &new.routes) {
            self.config.remove::<Route>(gone);
        }
        let status = self.shared(plan.status, &new);
        set(&mut self.status.routes, &id, status);
        for gone in only(&old.reads, &new.reads) {
            if self.dependents.get_mut(gone).is_some_and(|routes| routes.remove(&id)) {
                self.secrets.changed |= gone.0 == Kind::Secret;
                self.dependents.remove(gone);
            }
        }
        for read in only(&new.reads, &old.reads) {
            self.secrets.changed |= read.0 == Kind::Secret;
            match self.dependents.get_mut(read) {
                Some(routes) => routes.insert(id.clone()),
                None => {
                    self.dependents.insert(read.clone(), Group::One(id.clone()));
                }
            }
        }
        self.users.swap(&mut self.config, &plan.uses, &old);
        self.counts.swap(&id, &new, &old);
        if exists {
            self.routes.insert(id, new);
        }
    }

    /// A status, or the equal one of another route.
    fn shared(&mut self, status: Option<Arc<RouteStatus>>, route: &Trace) -> Option<Arc<RouteStatus>> {
        let (status, gateway) = (status?, route.gateways.first());
        let Some(gateway) = gateway else { return Some(status) };
        match self.alike.get(gateway) {
            Some(known) if *known == status => Some(known.clone()),
            _ => {
                self.alike.insert(gateway.clone(), status.clone());
                Some(status)
            }
        }
    }
}

fn plan_route(id: &RouteId, around: &Surroundings<'_>) -> Option<RoutePlan> {
    let (kind, key) = id;
    Some(match kind {
        Kind::HTTPRoute => route::plan(key, &**around.world.all::<HTTPRoute>().get(key)?, around),
        Kind::GRPCRoute => route::plan(key, &**around.world.all::<GRPCRoute>().get(key)?, around),
        Kind::TLSRoute => route::plan(key, &**around.world.all::<TLSRoute>().get(key)?, around),
        Kind::TCPRoute => route::plan(key, &**around.world.all::<TCPRoute>().get(key)?, around),
        Kind::UDPRoute => route::plan(key, &**around.world.all::<UDPRoute>().get(key)?, around),
        _ => return None,
    })
}
