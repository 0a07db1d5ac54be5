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
mod judge;
mod refresh;
mod secrets;
mod trace;
mod tracing;
mod tracked;
mod uses;

use crate::endpoints::Allowed;
use crate::fleet::Fleet;
use crate::frame::Frame;
use crate::policy::Policies;
use crate::reader::Dependency;
use crate::status::RouteStatus;
use crate::tls::Vault;
use crate::tracing::Telemetry;
use crate::{Note, Plan, Settings, StatusSet};
use counts::Counts;
use endpoints::Slices;
use fairlead_crds::Kind;
use fairlead_ir::{Config, ResourceId};
use fairlead_store::{Key, World};
use few::Group;
use foldhash::{HashMap, HashSet};
use imbl::OrdMap;
use secrets::Needed;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use trace::Trace;
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
    dependents: HashMap<Dependency, Group<RouteId>>,
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
