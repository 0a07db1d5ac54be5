//! One object: is there something to write, and may it be written now?

use super::gate::{Basis, Gate};
use super::judge::{of_set, parent, prefix};
use super::objects::{Live, Refused, Writing};
use super::{Desk, Job, Name, obstacles_of};
use crate::Severity;
use crate::merge::{Document, Merge, Patch, Wanted};
use crate::overlay::{self, Facts, Port, Ports};
use crate::writer::Desired;
use fairlead_crds::Kind;
use fairlead_crds::gateway::{Gateway, ListenerSet};
use fairlead_ir::{Id, Transport};
use fairlead_store::Entry;
use fairlead_translate::fleet::selection_key;
use fairlead_translate::status::{Condition, ListenerSetStatus};
use foldhash::fast::FixedState;
use serde_json::{Value, json};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A planned status.
struct Planned {
    wanted: Wanted,
    basis: Basis,
    /// Gateways whose proxies serve what it says.
    gateways: Vec<Id>,
}

/// How often a write may be undone before it is a quarrel.
pub(super) const QUARREL: u32 = 3;

/// After so many writes in a row, counts alone wait longer: so many times the usual spacing. A thousand routes may take a minute to come.
const ROW: u32 = 10;
const SLOWER: u32 = 5;

impl Desk {
    /// The write that an object needs now, if any.
    pub(super) fn evaluate(&mut self, name: Name, now: Instant, stamp: &str) -> Option<Job> {
        let desired = self.desired.clone()?;
        let job = self.weigh(&desired, &name, now, stamp);
        if job.is_none() && self.objects.find(&name).is_some_and(|state| state.gate.is_none()) {
            self.gated.remove(&name);
        }
        job
    }

    fn weigh(&mut self, desired: &Desired, name: &Name, now: Instant, stamp: &str) -> Option<Job> {
        let (kind, key) = name;
        let entry = desired.world.entry(*kind, &key.namespace, &key.name);
        let Some((entry, stored)) = entry.and_then(|entry| Some((entry, entry.stored.as_ref()?))) else {
            self.objects.forget(name);
            return None;
        };
        if self.denied.contains_key(kind) {
            self.objects.rest(name);
            return None;
        }
        let state = self.objects.state(name);
        // What the watch brought is as new as ours, or newer.
        if state
            .local
            .as_ref()
            .is_some_and(|local| *local.uid != *stored.uid || !local.is_later_than(&stored.resource_version))
        {
            state.local = None;
        }
        let Some(planned) = self.planned(desired, name, entry) else {
            self.objects.rest(name);
            return None;
        };
        let state = self.objects.state(name);
        let live = state.local.take().unwrap_or_else(|| read(entry));
        let patch = match (planned.basis.1, live.generation) {
            // Computed from an older object: a newer status follows.
            (Some(planned), Some(generation)) if generation > planned => Patch::default(),
            _ => {
                let who = Merge { controller: &self.settings.controller_name, namespace: &key.namespace, now: stamp };
                who.patch(&live.status, &planned.wanted)
            }
        };
        let version = live.version.clone();
        if live.is_later_than(&stored.resource_version) {
            self.objects.state(name).local = Some(live);
        }
        if patch.is_empty() {
            self.problems.remove(&(*kind, Some(key.clone())));
            self.objects.rest(name);
            return None;
        }
        let fingerprint = fingerprint(&patch.fields);
        if !self.may_write(desired, name, &planned, &patch, (fingerprint, &version), now) {
            return None;
        }
        let state = self.objects.state(name);
        state.gate = None;
        let body = json!({ "metadata": { "resourceVersion": &*version }, "status": patch.fields });
        self.objects.start(name, Writing { fingerprint, version, turns: patch.turns });
        Some(Job { name: name.clone(), body: serde_json::to_vec(&body).unwrap_or_default() })
    }

    /// Whether nothing speaks against a write now; if something does, the object is looked at again when that may have passed.
    fn may_write(
        &mut self,
        desired: &Desired,
        name: &Name,
        planned: &Planned,
        patch: &Patch,
        (fingerprint, version): (u64, &str),
        now: Instant,
    ) -> bool {
        let ack_wait = self.settings.ack_wait;
        let state = self.objects.state(name);
        let is = |print: u64, of: &str| print == fingerprint && *of == *version;
        if let Some(refused) = state.refused.as_ref().filter(|refused| is(refused.fingerprint, &refused.version)) {
            match refused.until {
                Some(until) if now >= until => state.refused = None,
                Some(until) => {
                    self.objects.push_at(name.clone(), until);
                    return false;
                }
                None => return false,
            }
        }
        if state.last.as_ref().is_some_and(|(last, of)| is(*last, of)) {
            // It was written, and the server's object is still without it.
            state.refused =
                state.last.take().map(|(fingerprint, version)| Refused { fingerprint, version, until: None });
            let message = "the API server drops part of the status: the installed CRDs are older than v1.7".to_owned();
            self.problems.insert((name.0, Some(name.1.clone())), message);
            return false;
        }
        if let Some(until) = self.quarrel(name, fingerprint)
            && now < until
        {
            self.objects.push_at(name.clone(), until);
            return false;
        }
        let state = self.objects.state(name);
        // Counts may wait, and longer the longer they change; news may not.
        let spacing = match patch.turns.is_empty() {
            true if state.row >= ROW => self.settings.spacing * SLOWER,
            true => self.settings.spacing,
            false => self.settings.spacing / 10,
        };
        if let Some(next) = state.written.map(|written| written + spacing)
            && now < next
        {
            self.objects.push_at(name.clone(), next);
            return false;
        }
        if patch.turns.is_empty() {
            return true;
        }
        let state = self.objects.state(name);
        if state.gate.as_ref().is_none_or(|gate| gate.basis != planned.basis) {
            let until = state.gate.as_ref().map_or(now + ack_wait, |gate| gate.until);
            let version = |gateway: &Id| Some((gateway.clone(), *desired.versions.get(gateway)?));
            let need = planned.gateways.iter().filter_map(version).collect();
            state.gate = Some(Gate { basis: planned.basis, need, until });
        }
        if self.is_open(name, now) {
            self.gated.remove(name);
            return true;
        }
        self.gated.insert(name.clone());
        let until = self.objects.find(name).and_then(|state| state.gate.as_ref()).map_or(now, |gate| gate.until);
        self.objects.push_at(name.clone(), until);
        false
    }

    /// When the same may be written again that somebody undid.
    fn quarrel(&mut self, name: &Name, fingerprint: u64) -> Option<Instant> {
        let state = self.objects.state(name);
        let written = state.written?;
        if state.last.as_ref().is_none_or(|(last, _)| *last != fingerprint) {
            state.undone = 0;
            return None;
        }
        let undone = state.undone.saturating_add(1);
        if undone < QUARREL {
            return None;
        }
        if undone == QUARREL && !self.problems.contains_key(&(name.0, Some(name.1.clone()))) {
            let message = format!(
                "somebody undoes what is written to the status; is there a second controller named {}, or an old one?",
                self.settings.controller_name
            );
            tracing::warn!("{} {}: {message}", name.0, name.1);
            self.problems.insert((name.0, Some(name.1.clone())), message.clone());
            self.tell(name, Severity::Warning, "StatusUndone", message);
        }
        let delay = Duration::from_secs(1) * 2u32.saturating_pow((undone - QUARREL).min(5));
        Some(written + delay)
    }

    /// What an object's status should say, proxies considered; `None`: it is no concern of ours.
    fn planned(&self, desired: &Desired, name: &Name, entry: &Entry) -> Option<Planned> {
        let (kind, key) = name;
        let (status, world) = (&desired.status, &desired.world);
        let gateway_of = |reference| parent(world, &key.namespace, reference);
        let none = Facts::default();
        Some(match kind {
            Kind::GatewayClass => {
                let planned = status.gateway_classes.get(key)?;
                let basis = basis(planned, &planned.conditions);
                Planned { wanted: Wanted::Class(planned.clone()), basis, gateways: Vec::new() }
            }
            Kind::Gateway => {
                let planned = status.gateways.get(key)?;
                let (id, object) = (super::gateway_id(key), world.all::<Gateway>().get(key)?);
                let each = object.spec.listeners.iter();
                let ports: Ports<'_> = each.map(|l| (&*l.name, port(l.port, l.protocol.as_str()))).collect();
                let facts = self.standings.facts(&id).unwrap_or(&none);
                let overlaid = overlay::gateway(planned, key, facts, &ports);
                let basis = basis(planned, &planned.conditions);
                Planned { wanted: Wanted::Gateway(overlaid), basis, gateways: vec![id] }
            }
            Kind::ListenerSet => {
                let Some(planned) = status.listener_sets.get(key) else {
                    return status.orphans.get(key).and_then(|planned| orphan(entry, planned));
                };
                let object = world.all::<ListenerSet>().get(key)?;
                let each = object.spec.listeners.iter();
                let ports: Ports<'_> = each.map(|l| (&*l.name, port(l.port, l.protocol.as_str()))).collect();
                let gateways: Vec<Id> = gateway_of(&of_set(object)).into_iter().collect();
                let facts = gateways.first().and_then(|id| self.standings.facts(id)).unwrap_or(&none);
                let parent = gateways.first().map_or("", |id| &**id);
                let overlaid = overlay::listener_set(planned, key, parent, facts, &ports);
                Planned { wanted: Wanted::Set(overlaid), basis: basis(planned, &planned.conditions), gateways }
            }
            Kind::Backend | Kind::RouteFilter | Kind::ProxyClass => {
                let planned = status.objects.get(name)?;
                let basis = basis(planned, &planned.conditions);
                Planned { wanted: Wanted::Object(planned.clone()), basis, gateways: Vec::new() }
            }
            Kind::HTTPRoute | Kind::GRPCRoute | Kind::TLSRoute | Kind::TCPRoute | Kind::UDPRoute => {
                let Some(planned) = status.routes.get(name) else { return self.leftover(entry, Wanted::NoParent) };
                let parents: Vec<Option<Id>> = planned.parents.iter().map(|p| gateway_of(&p.parent_ref)).collect();
                let facts: Vec<Option<&Facts>> =
                    parents.iter().map(|id| id.as_ref().and_then(|id| self.standings.facts(id))).collect();
                let overlaid = overlay::route(planned, || prefix(name), &facts);
                let conditions = planned.parents.first().map_or(&[][..], |parent| &parent.conditions);
                let basis = basis(planned, conditions);
                Planned { wanted: Wanted::Route(overlaid), basis, gateways: unique(parents) }
            }
            _ => {
                let Some(planned) = status.policies.get(name) else { return self.leftover(entry, Wanted::NoAncestor) };
                let ancestors = planned.ancestors.iter().map(|a| gateway_of(&a.ancestor_ref)).collect();
                let conditions = planned.ancestors.first().map_or(&[][..], |ancestor| &ancestor.conditions);
                let basis = basis(planned, conditions);
                let overlaid = match kind {
                    Kind::XBackend => overlay::xbackend(planned, obstacles_of(&self.obstacles, &selection_key(key))),
                    _ => planned.clone(),
                };
                Planned { wanted: Wanted::Policy(overlaid), basis, gateways: unique(ancestors) }
            }
        })
    }

    /// For an object that is not ours (any more): an entry of ours that is left there goes.
    fn leftover(&self, entry: &Entry, wanted: Wanted) -> Option<Planned> {
        let status = entry.stored.as_ref()?.status.as_ref()?;
        let mentioned = status.get().contains(&*self.settings.controller_name);
        mentioned.then(|| Planned { wanted, basis: Basis(0, None), gateways: Vec::new() })
    }
}

fn basis<T>(planned: &Arc<T>, conditions: &[Condition]) -> Basis {
    Basis(Arc::as_ptr(planned).addr(), conditions.iter().find_map(|condition| condition.observed_generation))
}

fn unique(gateways: Vec<Option<Id>>) -> Vec<Id> {
    let mut gateways: Vec<Id> = gateways.into_iter().flatten().collect();
    gateways.sort_unstable();
    gateways.dedup();
    gateways
}

fn port(number: impl TryInto<u16>, protocol: &str) -> Port {
    let transport = if protocol == "UDP" { Transport::Udp } else { Transport::Tcp };
    (number.try_into().unwrap_or(0), transport)
}

/// For a ListenerSet whose Gateway is gone. Whose Gateway it was can't be known any more; that it is attached or served is
/// wrong whoever said so, and anything else is left alone.
fn orphan(entry: &Entry, planned: &Arc<ListenerSetStatus>) -> Option<Planned> {
    let claims = |condition: &Value| {
        ["Accepted", "Programmed"].iter().any(|kind| condition["type"] == *kind) && condition["status"] == "True"
    };
    let status: Document = serde_json::from_str(entry.stored.as_ref()?.status.as_ref()?.get()).ok()?;
    let wrong = status.get("conditions")?.as_array()?.iter().any(claims);
    let basis = basis(planned, &planned.conditions);
    wrong.then(|| Planned { wanted: Wanted::Set(planned.clone()), basis, gateways: Vec::new() })
}

/// The state of an object that the watch brought.
fn read(entry: &Entry) -> Live {
    let Some(stored) = &entry.stored else { return Live::default() };
    let status = stored.status.as_ref().and_then(|status| serde_json::from_str::<Document>(status.get()).ok());
    Live {
        uid: stored.uid.clone(),
        version: stored.resource_version.clone(),
        generation: entry.object.metadata().generation,
        status: status.unwrap_or_default(),
    }
}

/// The same for two patches that differ in times only.
fn fingerprint(fields: &Document) -> u64 {
    fn object(fields: &Document, hasher: &mut impl Hasher) {
        for (name, value) in fields.iter().filter(|(name, _)| *name != "lastTransitionTime") {
            name.hash(hasher);
            any(value, hasher);
        }
    }
    fn any(value: &Value, hasher: &mut impl Hasher) {
        match value {
            Value::Object(fields) => object(fields, hasher),
            Value::Array(items) => {
                items.len().hash(hasher);
                items.iter().for_each(|item| any(item, hasher));
            }
            Value::String(text) => text.hash(hasher),
            other => other.to_string().hash(hasher),
        }
    }
    let mut hasher = FixedState::with_seed(0).build_hasher();
    object(fields, &mut hasher);
    hasher.finish()
}
