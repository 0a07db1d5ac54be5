//! The same Plan with less work: what did not change is not done again, and is the same `Arc` as before.
//!
//! ```text
//! changed objects ─► policies ─► frame ─► tracing ─► routes that read any of it ─► what they use ─► endpoints ─► statuses
//! ```
//!
//! Every route remembers what it looked up, found or not. A change looks at the routes that looked it up, a change of an
//! EndpointSlice at none. [`plan`](crate::plan()) is the same code with an empty memo; a property test compares them.

mod counts;
mod endpoints;
mod few;
mod secrets;
mod trace;
mod tracing;
mod tracked;
mod uses;

use crate::endpoints::Allowed;
use crate::fleet::{self, Fleet};
use crate::frame::Frame;
use crate::policy::Policies;
use crate::reader::{Dependency, Reader};
use crate::route::{self, RoutePlan, Surroundings, Uses};
use crate::status::{Condition, ConditionType, Fault, ObjectStatus, Reason, RouteStatus, observed};
use crate::tls::Vault;
use crate::tracing::Telemetry;
use crate::{Note, Plan, Settings, StatusSet, cluster};
use counts::Counts;
use endpoints::Slices;
use fairlead_crds::Kind;
use fairlead_crds::gateway::{GRPCRoute, HTTPRoute, TCPRoute, TLSRoute, UDPRoute, XBackend};
use fairlead_crds::v1alpha1::{Backend, ProxyClass, RouteFilter};
use fairlead_ir::{Config, ResourceId, Route};
use fairlead_store::{Key, World};
use foldhash::{HashMap, HashSet};
use imbl::OrdMap;
use secrets::Needed;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use trace::{Trace, only};
use tracked::Tracked;
use uses::Users;

/// Makes Plan after Plan of one changing World.
pub struct Planner {
    settings: Settings,
    memo: Memo,
    /// Whether everything is to be looked at.
    cold: bool,
    looked_at: usize,
}

/// Kind and key of a route.
type RouteId = (Kind, Key);

/// Kinds of routes that are planned.
const ROUTES: &[Kind] = &[Kind::HTTPRoute, Kind::GRPCRoute, Kind::TLSRoute, Kind::TCPRoute, Kind::UDPRoute];

/// Kinds that are read and not served.
const UNSERVED: &[Kind] = &[Kind::XMesh];

#[derive(Default)]
struct Memo {
    frame: Frame,
    policies: Policies,
    telemetry: Telemetry,
    vault: Vault,
    routes: BTreeMap<RouteId, Trace>,
    /// What filters of listeners put into the configuration, by Gateway.
    entries: BTreeMap<Key, Trace>,
    /// What XTelemetryPolicies put into the configuration.
    tracing: BTreeMap<Key, Trace>,
    /// Who looked something up.
    dependents: HashMap<Dependency, HashSet<RouteId>>,
    counts: Counts,
    users: Users,
    slices: Slices,
    config: Tracked,
    status: StatusSet,
    fleet: OrdMap<Key, Arc<Fleet>>,
    /// The last status of a route of each Gateway: those of the others are mostly equal, and then the same.
    alike: HashMap<Key, Arc<RouteStatus>>,
    notes: Vec<Arc<Note>>,
    secrets: Needed,
}

impl Planner {
    /// A planner that has seen nothing yet.
    pub fn new(settings: Settings) -> Self {
        Planner { settings, memo: Memo::default(), cold: true, looked_at: 0 }
    }

    /// The settings that Plans are made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Other settings from now on. The next Plan looks at everything again, but what comes out equal stays the same `Arc`.
    pub fn set_settings(&mut self, settings: Settings) {
        self.cold |= self.settings != settings;
        self.settings = settings;
    }

    /// The Plan of a World. `changed` names every object that is new, different or gone since the last call (more is
    /// harmless, less is not); the first call looks at everything.
    ///
    /// Copies the maps of the configuration; [`update`](Planner::update) doesn't.
    pub fn plan(&mut self, world: &World, changed: &[(Kind, Key)]) -> Plan {
        self.update(world, changed);
        Plan {
            config: self.memo.config.config().clone(),
            status: self.memo.status.clone(),
            fleet: self.memo.fleet.clone(),
            notes: self.memo.notes.clone(),
        }
    }

    /// As [`plan`](Planner::plan), but leaves the Plan here, to be read in place. Returns the resources that are new, different or gone
    /// in [`config`](Planner::config) since the last call.
    pub fn update(&mut self, world: &World, changed: &[(Kind, Key)]) -> BTreeSet<ResourceId> {
        let changed = if std::mem::take(&mut self.cold) { None } else { Some(changed) };
        self.looked_at = self.memo.update(world, &self.settings, changed);
        self.memo.config.take_touched()
    }

    /// The configuration of the last Plan.
    pub fn config(&self) -> &Config {
        self.memo.config.config()
    }

    /// The statuses of the last Plan.
    pub fn status(&self) -> &StatusSet {
        &self.memo.status
    }

    /// What runs the proxies of each Gateway, as of the last Plan; empty outside of a cluster.
    pub fn fleet(&self) -> &OrdMap<Key, Arc<Fleet>> {
        &self.memo.fleet
    }

    /// The notes of the last Plan.
    pub fn notes(&self) -> &[Arc<Note>] {
        &self.memo.notes
    }

    /// The Secrets that were looked up for the last Plan, of whatever type and whether they exist or not, when they are others than the
    /// last time this was asked.
    pub fn take_secrets(&mut self) -> Option<BTreeSet<Key>> {
        self.memo.take_secrets()
    }

    /// How many routes the last Plan looked at.
    pub fn looked_at(&self) -> usize {
        self.looked_at
    }
}

impl Memo {
    fn update(&mut self, world: &World, settings: &Settings, changed: Option<&[(Kind, Key)]>) -> usize {
        let all = changed.is_none();
        let changed = changed.unwrap_or_default();
        for (kind, key) in changed {
            let holds_keys = matches!(kind, Kind::Secret | Kind::ConfigMap | Kind::ClusterTrustBundle);
            if holds_keys && world.entry(*kind, &key.namespace, &key.name).is_none() {
                self.vault.forget(*kind, key);
            }
        }
        let mut dirty: HashSet<Dependency> = changed.iter().map(dependency).collect();
        let policies_changed = self.refresh_policies(world, settings, all, &mut dirty);
        let frame_changed = self.refresh_frame(world, settings, all, changed, &mut dirty);
        let tracing_changed = self.refresh_tracing(world, settings, all || policies_changed || frame_changed, &dirty);
        self.secrets.changed |= frame_changed || policies_changed || tracing_changed;
        if frame_changed || tracing_changed {
            self.publish_listeners();
        }
        let routes = self.dirty_routes(world, all, changed, &dirty);
        let looked_at = routes.len();
        for id in routes {
            self.refresh_route(id, world, settings);
        }
        self.slices.refresh(world, all, changed, &mut self.users, &mut self.config, Allowed::of(settings));
        self.select(world, settings);
        self.attach(frame_changed);
        // Asked for first: it forgets.
        if self.counts.take_reach_changed() || policies_changed || tracing_changed {
            self.judge_policies(settings);
        }
        self.judge_objects(world, settings, all, changed);
        self.notes = self.collect_notes(world);
        looked_at
    }

    /// Policies; the targets for which something else holds now are dirty.
    fn refresh_policies(
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
    fn refresh_frame(
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

    fn dirty_routes(
        &self,
        world: &World,
        all: bool,
        changed: &[(Kind, Key)],
        dirty: &HashSet<Dependency>,
    ) -> HashSet<RouteId> {
        let mut routes: HashSet<RouteId> =
            dirty.iter().filter_map(|d| self.dependents.get(d)).flatten().cloned().collect();
        routes.extend(changed.iter().filter(|id| ROUTES.contains(&id.0)).cloned());
        if all {
            routes.extend(self.routes.keys().cloned());
            routes.extend(ROUTES.iter().flat_map(|kind| world.entries(*kind).map(|(key, _)| (*kind, key.clone()))));
        }
        routes
    }

    /// Plans a route again, and moves all that follows from it from the old to the new.
    fn refresh_route(&mut self, id: RouteId, world: &World, settings: &Settings) {
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
            if let Some(routes) = self.dependents.get_mut(gone) {
                routes.remove(&id);
                if routes.is_empty() {
                    self.secrets.changed |= gone.0 == Kind::Secret;
                    self.dependents.remove(gone);
                }
            }
        }
        for read in only(&new.reads, &old.reads) {
            self.secrets.changed |= read.0 == Kind::Secret;
            self.dependents.entry(read.clone()).or_default().insert(id.clone());
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

    /// Statuses of Gateways and ListenerSets, with the number of routes that are attached.
    fn attach(&mut self, all: bool) {
        let changed = self.counts.take_changed();
        if all {
            let frame = &self.frame;
            self.status.gateways =
                self.status.gateways.iter().filter(|(key, _)| frame.gateways.contains_key(*key)).map(pair).collect();
            let kept = self.status.listener_sets.iter().filter(|(key, _)| frame.listener_sets.contains_key(*key));
            self.status.listener_sets = kept.map(pair).collect();
        }
        let every = self.frame.parents.keys().filter(|_| all);
        for id in changed.iter().chain(every) {
            let (kind, key) = id;
            if let (Kind::Gateway, Some(base)) = (kind, self.frame.gateways.get(key)) {
                let mut status = base.clone();
                self.counts.fill(id, &mut status.listeners);
                set(&mut self.status.gateways, key, Some(Arc::new(status)));
            } else if let (Kind::ListenerSet, Some(base)) = (kind, self.frame.listener_sets.get(key)) {
                let mut status = base.clone();
                self.counts.fill(id, &mut status.listeners);
                set(&mut self.status.listener_sets, key, Some(Arc::new(status)));
            }
        }
    }

    /// In a cluster: what finds the pods of the XBackends that Gateways of ours reach.
    fn select(&mut self, world: &World, settings: &Settings) {
        if settings.fleet.is_none() {
            return;
        }
        let mut wanted: BTreeMap<Key, Fleet> = BTreeMap::new();
        for (key, object) in world.all::<XBackend>().iter() {
            let target = (Kind::XBackend, key.clone());
            let usable = self.policies.xbackend(&target).is_some_and(Result::is_ok);
            if usable && self.counts.gateways(&target).next().is_some() {
                wanted.extend(fleet::selection(key, object).map(|fleet| (fleet::selection_key(key), fleet)));
            }
        }
        let gone = |key: &&Key| fleet::is_selection(key) && !wanted.contains_key(*key);
        let gone: Vec<Key> = self.fleet.keys().filter(gone).cloned().collect();
        for key in gone {
            self.fleet.remove(&key);
        }
        for (key, fleet) in wanted {
            set(&mut self.fleet, &key, Some(Arc::new(fleet)));
        }
    }

    fn judge_policies(&mut self, settings: &Settings) {
        let mut new = self.policies.status(&settings.controller_name, |target| self.counts.gateways(target));
        new.extend(self.telemetry.statuses().map(|(key, status)| ((Kind::XTelemetryPolicy, key), status)));
        let gone: Vec<_> = self.status.policies.keys().filter(|id| !new.contains_key(*id)).cloned().collect();
        for id in gone {
            self.status.policies.remove(&id);
        }
        for (id, status) in new {
            set(&mut self.status.policies, &id, Some(Arc::new(status)));
        }
    }

    /// Our own kinds by themselves.
    fn judge_objects(&mut self, world: &World, settings: &Settings, all: bool, changed: &[(Kind, Key)]) {
        let touched = |kinds: &[Kind]| all || changed.iter().any(|(kind, _)| kinds.contains(kind));
        let verdict = |generation: Option<i64>, fault: Option<Fault>| {
            let accepted =
                Condition::of(ConditionType::Accepted, fault.as_ref(), Reason::Accepted, "The object is valid");
            Some(Arc::new(ObjectStatus { conditions: observed(vec![accepted], generation) }))
        };
        let mut found: BTreeMap<(Kind, Key), Option<Arc<ObjectStatus>>> = BTreeMap::new();
        let known = |kind: Kind| self.status.objects.keys().filter(move |id| id.0 == kind).map(|id| (id.clone(), None));
        if touched(&[Kind::Backend]) {
            found.extend(known(Kind::Backend));
            for (key, backend) in world.all::<Backend>().iter() {
                let fault = cluster::check_backend(key, backend, Allowed::of(settings)).err();
                found.insert((Kind::Backend, key.clone()), verdict(backend.metadata.generation, fault));
            }
        }
        if touched(&[Kind::RouteFilter, Kind::ConfigMap]) {
            found.extend(known(Kind::RouteFilter));
            for (key, filter) in world.all::<RouteFilter>().iter() {
                let fault = route::check_route_filter(key, filter, &mut Reader::new(world)).err();
                found.insert((Kind::RouteFilter, key.clone()), verdict(filter.metadata.generation, fault));
            }
        }
        if touched(&[Kind::ProxyClass]) {
            found.extend(known(Kind::ProxyClass));
            for (key, class) in world.all::<ProxyClass>().iter() {
                let fault = fleet::check(&class.spec).err();
                found.insert((Kind::ProxyClass, key.clone()), verdict(class.metadata.generation, fault));
            }
        }
        for (id, status) in found {
            set(&mut self.status.objects, &id, status);
        }
    }

    fn collect_notes(&self, world: &World) -> Vec<Arc<Note>> {
        let routes = self.counts.noted().iter().filter_map(|id| self.routes.get(id)).flat_map(|trace| &trace.notes);
        let mut notes: Vec<Arc<Note>> = self
            .frame
            .notes
            .iter()
            .chain(self.policies.notes())
            .chain(&self.telemetry.notes)
            .chain(routes)
            .cloned()
            .collect();
        for kind in UNSERVED {
            let said = |key: &Key| Note {
                kind: *kind,
                key: key.clone(),
                path: "kind".into(),
                message: "this kind is not served yet".into(),
            };
            notes.extend(world.entries(*kind).map(|(key, _)| Arc::new(said(key))));
        }
        notes.sort_by(|a, b| (a.kind, &a.key, &a.path, &a.message).cmp(&(b.kind, &b.key, &b.path, &b.message)));
        notes
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

/// ReferenceGrants are read by namespace.
fn dependency(changed: &(Kind, Key)) -> Dependency {
    match changed {
        (Kind::ReferenceGrant, key) => (Kind::ReferenceGrant, Key::new(key.namespace.clone(), "")),
        other => other.clone(),
    }
}

/// Keeps the known `Arc` when it is equal.
fn set<K: Ord + Clone, V: PartialEq>(map: &mut imbl::OrdMap<K, Arc<V>>, key: &K, value: Option<Arc<V>>) {
    match (map.get(key), value) {
        (Some(known), Some(value)) if *known == value => {}
        (_, Some(value)) => {
            map.insert(key.clone(), value);
        }
        (Some(_), None) => {
            map.remove(key);
        }
        (None, None) => {}
    }
}

fn pair<V>((key, value): (&Key, &Arc<V>)) -> (Key, Arc<V>) {
    (key.clone(), value.clone())
}
