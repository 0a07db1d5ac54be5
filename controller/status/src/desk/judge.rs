//! How the Gateways stand, and whose status that changes.

use super::{Desk, Name, gateway_id, obstacles_of};
use crate::Severity;
use crate::overlay::Facts;
use crate::standing::{Sight, Standing, Verdict};
use crate::writer::Desired;
use fairlead_crds::Kind;
use fairlead_crds::gateway::{GROUP, ListenerSet, ParentReference};
use fairlead_ir::{Id, ResourceId};
use fairlead_store::{Entry, Key, World};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// All Gateways.
#[derive(Debug, Default)]
pub(super) struct Standings {
    known: BTreeMap<Id, Known>,
    /// When to judge again.
    pub until: Option<Instant>,
}

#[derive(Debug)]
struct Known {
    standing: Standing,
    verdict: Verdict,
    facts: Facts,
}

impl Standings {
    /// What the statuses around a Gateway have to tell.
    pub fn facts(&self, gateway: &Id) -> Option<&Facts> {
        self.known.get(gateway).map(|known| &known.facts)
    }

    /// Whether a Gateway without a proxy had one a moment ago.
    pub fn expects(&self, gateway: &Id) -> bool {
        self.known.get(gateway).is_some_and(|known| known.verdict.expected)
    }
}

impl Desk {
    /// Judges all Gateways, and looks again at what depends on those that stand differently.
    pub(super) fn judge(&mut self, now: Instant) {
        let Some(desired) = self.desired.clone() else { return };
        let mut changed: Vec<(Key, Id, Facts)> = Vec::new();
        self.standings.until = None;
        let mut present: BTreeMap<Id, Known> = BTreeMap::new();
        for (key, status) in &desired.status.gateways {
            let id = gateway_id(key);
            let progress = self.progress.get(&id).map(|progress| &**progress);
            let generation = status.conditions.iter().find_map(|c| c.observed_generation).unwrap_or(0);
            let version = desired.versions.get(&id).copied().unwrap_or(0);
            let known = self.standings.known.remove(&id);
            let seed = || desired.world.entry(Kind::Gateway, &key.namespace, &key.name).and_then(programmed);
            let mut standing = match &known {
                Some(_) => Standing::default(),
                None => seed().map(Standing::programmed).unwrap_or_default(),
            };
            let before = known.map(|known| {
                standing = known.standing;
                known.facts
            });
            let verdict = standing.judge(Sight { progress, version, generation }, now, self.settings.grace);
            self.standings.until = [self.standings.until, verdict.until].into_iter().flatten().min();
            let facts = Facts::of(verdict.pending.clone(), progress, obstacles_of(&self.obstacles, key));
            if before.as_ref() != Some(&facts) {
                changed.push((key.clone(), id.clone(), before.unwrap_or_default()));
            }
            present.insert(id, Known { standing, verdict, facts });
        }
        self.standings.known = present;
        for (key, id, before) in changed {
            self.spread(&desired, key, &id, &before);
        }
    }

    /// Looks again at a Gateway and what belongs to it.
    fn spread(&mut self, desired: &Desired, key: Key, id: &Id, before: &Facts) {
        let facts = self.standings.facts(id).cloned().unwrap_or_default();
        for (set, object) in desired.world.all::<ListenerSet>().iter() {
            if parent(&desired.world, &set.namespace, &of_set(object)).as_ref() == Some(id) {
                self.objects.push((Kind::ListenerSet, set.clone()));
            }
        }
        let news = |resource: &&ResourceId| facts.rejected.get(*resource) != before.rejected.get(*resource);
        for resource in facts.rejected.keys().chain(before.rejected.keys()).filter(news) {
            if let Some(route) = route_of(resource) {
                self.objects.push(route);
            }
        }
        let name = (Kind::Gateway, key);
        for (resource, why) in &facts.rejected {
            if before.rejected.contains_key(resource) {
                continue;
            }
            let message = format!("{resource:?}: {why}; the last good version of it is served on");
            self.tell(&name, Severity::Warning, "ResourceRejected", message);
        }
        for obstacle in facts.obstacles.iter().filter(|obstacle| !before.obstacles.contains(obstacle)) {
            self.tell(&name, Severity::Warning, obstacle.reason, obstacle.message.to_string());
        }
        self.objects.push(name);
    }
}

/// The generation in which a Gateway's stored status says that it is programmed.
fn programmed(entry: &Entry) -> Option<i64> {
    let status: crate::merge::Document = serde_json::from_str(entry.stored.as_ref()?.status.as_ref()?.get()).ok()?;
    let conditions = status.get("conditions")?.as_array()?;
    let condition = conditions.iter().find(|c| c.get("type").is_some_and(|kind| kind == "Programmed"))?;
    (condition.get("status")? == "True").then(|| condition.get("observedGeneration")?.as_i64())?
}

/// A ListenerSet's reference to its Gateway.
pub(super) fn of_set(set: &ListenerSet) -> ParentReference {
    let parent = &set.spec.parent_ref;
    ParentReference {
        group: parent.group.clone(),
        kind: parent.kind.clone(),
        namespace: parent.namespace.clone(),
        name: parent.name.clone(),
        ..ParentReference::default()
    }
}

/// The Gateway behind a reference, which may name a ListenerSet.
pub(super) fn parent(world: &World, namespace: &str, reference: &ParentReference) -> Option<Id> {
    let (group, kind) = (reference.group.as_deref().unwrap_or(GROUP), reference.kind.as_deref().unwrap_or("Gateway"));
    let namespace = reference.namespace.as_deref().unwrap_or(namespace);
    match Kind::of_group(group, kind)? {
        Kind::Gateway => Some(Id::from(format!("{namespace}/{}", reference.name))),
        Kind::ListenerSet => {
            let parent = of_set(world.all::<ListenerSet>().find(namespace, &reference.name)?);
            // Gateways only: ListenerSets don't nest.
            (parent.kind.as_deref() != Some("ListenerSet")).then(|| self::parent(world, namespace, &parent))?
        }
        _ => None,
    }
}

/// The route of which a rule is part: `httproute/<namespace>/<name>/<rule>`.
fn route_of(resource: &ResourceId) -> Option<Name> {
    let ResourceId::Route(id) = resource else { return None };
    let mut parts = id.splitn(4, '/');
    let (prefix, namespace, name) = (parts.next()?, parts.next()?, parts.next()?);
    let kind = Kind::ALL.iter().find(|kind| kind.as_str().eq_ignore_ascii_case(prefix))?;
    Some((*kind, Key::new(namespace, name)))
}

/// First part of the ids of a route's rules, with all that is before the rule's number.
pub(super) fn prefix((kind, key): &Name) -> String {
    format!("{}/{key}/", kind.as_str().to_ascii_lowercase())
}
