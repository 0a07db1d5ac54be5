//! What is wanted, what there is, and what to do about it. Pure: time and the outside come in as arguments.

use crate::live::{Live, Sight};
use crate::problem::{Failure, Problem, ProblemReason};
use fairlead_store::Key;
use fairlead_translate::fleet::{Fleet, ObjectKind};
use foldhash::{HashMap, HashSet};
use imbl::OrdMap;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An object, existing or not.
pub(crate) type Id = (ObjectKind, Key);

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    Apply(Apply),
    /// Only if it is still this one.
    Delete {
        id: Id,
        uid: Box<str>,
    },
}

/// An object to be made what it should be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Apply {
    pub id: Id,
    /// Name of the Gateway that owns it.
    pub gateway: Arc<str>,
    pub fleet: Arc<Fleet>,
    pub hash: u64,
    /// What is known of it; `None`: look first.
    pub live: Option<Live>,
    /// Somebody else says how many replicas there are, from this number on.
    pub scaled: Option<i64>,
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Applied { hash: u64, live: Live },
    Deleted,
    Failed(Failure),
}

/// How long a Deployment waits for the DaemonSet that takes its place to be ready, and the other way round.
const SUCCESSION: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Default)]
pub(crate) struct Book {
    fleets: OrdMap<Key, Arc<Fleet>>,
    wants: HashMap<Id, Want>,
    live: HashMap<Id, Live>,
    /// As we left them.
    confirmed: HashMap<Id, Confirmed>,
    busy: HashSet<Id>,
    failed: HashMap<Id, Failed>,
    /// Since when a workload waits for its successor.
    outgoing: HashMap<Id, Instant>,
    /// The urgent ones first.
    due: BTreeSet<(Urgency, Id)>,
    /// What a watch has told since it began again.
    telling: HashMap<(ObjectKind, Option<Box<str>>), HashSet<Id>>,
    told: HashSet<(ObjectKind, Option<Box<str>>)>,
    settled: bool,
    problems_changed: bool,
}

struct Want {
    gateway: Key,
    hash: u64,
    update_only: bool,
}

struct Confirmed {
    hash: u64,
    uid: Box<str>,
    fields: u64,
}

struct Failed {
    attempt: u32,
    until: Instant,
    failure: Failure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    /// It is known to differ.
    Differs,
    /// It was as it should be when another leader left it.
    Unchecked,
    Unwanted,
}

impl Book {
    /// What there should be from now on.
    pub fn want(&mut self, fleets: OrdMap<Key, Arc<Fleet>>, now: Instant) {
        let old = std::mem::replace(&mut self.fleets, fleets.clone());
        let gone = old.iter().filter(|(key, _)| !fleets.contains_key(*key));
        let changed = fleets.iter().filter(|(key, fleet)| !old.get(*key).is_some_and(|old| Arc::ptr_eq(old, fleet)));
        let mut touched: Vec<Id> = Vec::new();
        for (key, fleet) in gone.chain(changed) {
            for object in old.get(key).iter().flat_map(|fleet| &fleet.objects) {
                self.wants.remove(&(object.kind, object.key.clone()));
            }
            let place = Key::new(key.namespace.clone(), &*fleet.name);
            touched.extend(ObjectKind::ALL.iter().map(|kind| (*kind, place.clone())));
        }
        for (key, fleet) in &fleets {
            if old.get(key).is_some_and(|old| Arc::ptr_eq(old, fleet)) {
                continue;
            }
            for object in &fleet.objects {
                let id = (object.kind, object.key.clone());
                let hash = hash(&object.manifest);
                self.problems_changed |= self.failed.remove(&id).is_some();
                self.wants.insert(id, Want { gateway: key.clone(), hash, update_only: fleet.partial });
            }
        }
        for id in touched {
            self.touch(id, now);
        }
    }

    /// What a watch tells.
    pub fn see(&mut self, sight: Sight, now: Instant) {
        match sight {
            Sight::Again(kind, place) => {
                self.telling.insert((kind, place), HashSet::default());
            }
            Sight::Is(id, live) => {
                for place in [None, Some((*id.1.namespace).into())] {
                    if let Some(seen) = self.telling.get_mut(&(id.0, place)) {
                        seen.insert(id.clone());
                    }
                }
                self.set_live(id, live, now);
            }
            Sight::Gone(id) => self.lose(id, now),
            Sight::Told(kind, place) => {
                let seen = self.telling.remove(&(kind, place.clone())).unwrap_or_default();
                let here = |id: &Id| id.0 == kind && place.as_deref().is_none_or(|place| *id.1.namespace == *place);
                let gone: Vec<Id> = self.live.keys().filter(|id| here(id) && !seen.contains(*id)).cloned().collect();
                gone.into_iter().for_each(|id| self.lose(id, now));
                self.told.insert((kind, place));
            }
            Sight::Broken(..) => {}
        }
    }

    /// How many watches have told everything.
    pub fn told(&self) -> usize {
        self.told.len()
    }

    /// From now on, what was not told does not exist, as far as is known.
    pub fn settle(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.settled, true) {
            let all: HashSet<Id> = self.wants.keys().chain(self.live.keys()).cloned().collect();
            all.into_iter().for_each(|id| self.touch(id, now));
        }
    }

    /// The next thing to do, which is being done from now on.
    pub fn next(&mut self, now: Instant) -> Option<Action> {
        while let Some((_, id)) = self.due.pop_first() {
            if let Some((_, action)) = self.judge(&id, now) {
                self.busy.insert(id);
                return Some(action);
            }
        }
        None
    }

    /// How an action ended.
    pub fn done(&mut self, id: Id, outcome: Outcome, now: Instant) {
        self.busy.remove(&id);
        match outcome {
            Outcome::Applied { hash, live } => {
                self.solved(&id);
                self.confirmed.insert(id.clone(), Confirmed { hash, uid: live.uid.clone(), fields: live.fields });
                self.set_live(id, live, now);
                return;
            }
            Outcome::Deleted => {
                self.solved(&id);
                if let Some(live) = self.live.get_mut(&id) {
                    live.leaving = true;
                }
            }
            Outcome::Failed(failure) => {
                let attempt = self.failed.get(&id).map_or(1, |failed| failed.attempt.saturating_add(1));
                let until = now + failure.pause(attempt);
                self.problems_changed |= failure.reason.is_some();
                self.failed.insert(id.clone(), Failed { attempt, until, failure });
            }
        }
        self.touch(id, now);
    }

    /// When to [wake](Book::wake) up at the latest.
    pub fn alarm(&self) -> Option<Instant> {
        let outgoing =
            self.outgoing.iter().filter(|(id, _)| !self.busy.contains(*id)).map(|(_, since)| *since + SUCCESSION);
        let failed = self.failed.iter().filter(|(id, _)| !self.busy.contains(*id)).map(|(_, failed)| failed.until);
        // What is due has been looked at; what is over and not due is nothing to wake up for.
        failed.chain(outgoing).min()
    }

    /// Looks at what had to wait.
    pub fn wake(&mut self, now: Instant) {
        let failed = self.failed.iter().filter(|(_, failed)| failed.until <= now).map(|(id, _)| id);
        let outgoing = self.outgoing.iter().filter(|(_, since)| **since + SUCCESSION <= now).map(|(id, _)| id);
        let ids: Vec<Id> = failed.chain(outgoing).cloned().collect();
        for id in ids {
            if self.judge(&id, now).is_none() && !self.busy.contains(&id) {
                self.solved(&id);
                self.outgoing.remove(&id);
            }
            self.touch(id, now);
        }
    }

    /// What is wrong, when that is something else than the last time.
    pub fn take_problems(&mut self) -> Option<BTreeMap<Key, Vec<Problem>>> {
        if !std::mem::take(&mut self.problems_changed) {
            return None;
        }
        let mut problems: BTreeMap<Key, Vec<Problem>> = BTreeMap::new();
        let mut add = |id: &Id, gateway: &Key, reason: ProblemReason, message: &str| {
            let problem = Problem { kind: id.0, name: (*id.1.name).into(), reason, message: message.into() };
            problems.entry(gateway.clone()).or_default().push(problem);
        };
        for (id, failed) in &self.failed {
            let gateway = self.wants.get(id).map(|want| want.gateway.clone()).or_else(|| self.owner(id));
            if let (Some(gateway), Some(reason)) = (gateway, failed.failure.reason) {
                add(id, &gateway, reason, &failed.failure.message);
            }
        }
        for (id, live) in &self.live {
            if let (Some(want), Some(message)) = (self.wants.get(id), &live.refused) {
                add(id, &want.gateway, ProblemReason::PodsRefused, message);
            }
        }
        for problems in problems.values_mut() {
            problems.sort_by(|a, b| (a.kind, a.reason.as_str()).cmp(&(b.kind, b.reason.as_str())));
        }
        Some(problems)
    }

    fn set_live(&mut self, id: Id, live: Live, now: Instant) {
        let old = self.live.get(&id);
        // A watch may lag behind what we were told when we applied.
        if old.is_some_and(|old| old.uid == live.uid && old.version > live.version) {
            return;
        }
        self.problems_changed |= old.and_then(|old| old.refused.as_ref()) != live.refused.as_ref();
        let ready_changed = old.is_some_and(|old| old.ready) != live.ready;
        self.live.insert(id.clone(), live);
        if let Some(kind) = sibling(id.0).filter(|_| ready_changed) {
            self.touch((kind, id.1.clone()), now);
        }
        self.touch(id, now);
    }

    fn lose(&mut self, id: Id, now: Instant) {
        if self.live.remove(&id).is_some_and(|live| live.refused.is_some()) {
            self.problems_changed = true;
        }
        self.confirmed.remove(&id);
        self.outgoing.remove(&id);
        self.touch(id, now);
    }

    fn solved(&mut self, id: &Id) {
        self.problems_changed |= self.failed.remove(id).is_some_and(|failed| failed.failure.reason.is_some());
    }

    fn touch(&mut self, id: Id, now: Instant) {
        if let Some((urgency, _)) = self.judge(&id, now) {
            self.due.insert((urgency, id));
        }
    }

    /// What to do about an object now.
    fn judge(&mut self, id: &Id, now: Instant) -> Option<(Urgency, Action)> {
        if !self.settled || self.busy.contains(id) || self.failed.get(id).is_some_and(|failed| failed.until > now) {
            return None;
        }
        let live = self.live.get(id);
        if live.is_some_and(|live| live.leaving) {
            return None;
        }
        match (self.wants.get(id), live) {
            (Some(want), live) => {
                self.outgoing.remove(id);
                let (urgency, live) = match live {
                    None if want.update_only => return None,
                    None => (Urgency::Differs, None),
                    Some(live) if self.confirmed.get(id).is_some_and(|confirmed| confirmed.holds(want, live)) => {
                        return None;
                    }
                    Some(live) if live.applied.as_deref() == Some(&*digits(want.hash)) => {
                        (Urgency::Unchecked, Some(live.clone()))
                    }
                    Some(live) => (Urgency::Differs, Some(live.clone())),
                };
                let fleet = self.fleets.get(&want.gateway)?.clone();
                let (gateway, hash, scaled) = (want.gateway.name.clone(), want.hash, scaled(&fleet, id.0));
                Some((urgency, Action::Apply(Apply { id: id.clone(), gateway, fleet, hash, live, scaled })))
            }
            (None, Some(live)) => {
                let uid = live.uid.clone();
                let unwanted = self.unwanted(id, now);
                unwanted.then(|| (Urgency::Unwanted, Action::Delete { id: id.clone(), uid }))
            }
            (None, None) => None,
        }
    }

    /// Whether an object of ours that is not wanted is to go.
    fn unwanted(&mut self, id: &Id, now: Instant) -> bool {
        let Some(gateway) = self.live.get(id).filter(|live| live.ours).and_then(|_| self.owner(id)) else {
            return false;
        };
        match self.fleets.get(&gateway) {
            None => true,
            Some(fleet) if fleet.partial => false,
            // What it owns by another name is not its proxies'.
            Some(fleet) if *fleet.name != *id.1.name => false,
            Some(_) => {
                let successor = sibling(id.0).map(|kind| (kind, id.1.clone()));
                let Some(successor) = successor.filter(|successor| self.wants.contains_key(successor)) else {
                    return true;
                };
                let since = *self.outgoing.entry(id.clone()).or_insert(now);
                self.live.get(&successor).is_some_and(|live| live.ready) || now >= since + SUCCESSION
            }
        }
    }

    /// The Gateway that owns an object that there is.
    fn owner(&self, id: &Id) -> Option<Key> {
        let gateway = self.live.get(id)?.gateway.as_deref()?;
        Some(Key::new(id.1.namespace.clone(), gateway))
    }
}

impl Confirmed {
    /// Whether an object is still as it was left, and that is as it should be.
    fn holds(&self, want: &Want, live: &Live) -> bool {
        self.hash == want.hash && self.uid == live.uid && self.fields == live.fields
    }
}

/// The other kind of workload.
fn sibling(kind: ObjectKind) -> Option<ObjectKind> {
    match kind {
        ObjectKind::Deployment => Some(ObjectKind::DaemonSet),
        ObjectKind::DaemonSet => Some(ObjectKind::Deployment),
        _ => None,
    }
}

/// The least number of replicas, when an autoscaler says how many there are.
fn scaled(fleet: &Fleet, kind: ObjectKind) -> Option<i64> {
    let autoscaler = fleet.objects.iter().find(|object| object.kind == ObjectKind::HorizontalPodAutoscaler)?;
    (kind == ObjectKind::Deployment).then(|| autoscaler.manifest["spec"]["minReplicas"].as_i64().unwrap_or(1))
}

/// FNV-1a over the JSON text, whose maps are ordered. It stands in annotations, so it must not change with a library.
pub(crate) fn hash(manifest: &Value) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    manifest.to_string().bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// A hash as [`APPLIED`](crate::APPLIED) has it.
pub(crate) fn digits(hash: u64) -> String {
    format!("{hash:016x}")
}
