//! What is to be written next: all decisions of the writer, without a clock or a socket of its own.
//!
//! ```text
//! submit, acked, lead, tick ──► queue ──(evaluate: overlay, merge, gate, spacing)──► Job ──► done
//! ```
//!
//! An object is looked at when something about it changed, and its patch is computed when there is room for a write: what happened
//! in between is one write. Nothing is remembered of objects whose status is as it should be.

mod evaluate;
mod gate;
mod judge;
mod notices;
mod objects;
mod outcome;
mod pause;

pub(crate) use objects::{Live, Name};
pub(crate) use outcome::Outcome;

use crate::writer::{Desired, Obstacle, Obstacles, Problem, Settings};
use crate::{Event, Severity};
use fairlead_crds::Kind;
use fairlead_ir::Id;
use fairlead_publish::Progress;
use fairlead_store::{Entry, Key, World};
use fairlead_translate::fleet::selected;
use foldhash::HashSet;
use gate::Gate;
use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use judge::Standings;
use k8s_openapi::api::core::v1::ObjectReference;
use notices::Notices;
use objects::Objects;
use pause::Pause;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Everything that the writer knows.
pub(crate) struct Desk {
    settings: Settings,
    leading: bool,
    desired: Option<Arc<Desired>>,
    progress: Arc<Progress>,
    obstacles: Obstacles,
    standings: Standings,
    objects: Objects,
    /// Objects whose writes wait for proxies.
    gated: HashSet<Name>,
    notices: Notices,
    /// Events to be told now.
    told: Vec<Event>,
    pause: Pause,
    /// Kinds whose statuses we may not write, and when to try again.
    denied: BTreeMap<Kind, Instant>,
    problems: BTreeMap<(Kind, Option<Key>), String>,
    /// The problems that were told last.
    published: BTreeMap<(Kind, Option<Key>), String>,
}

/// A write to be made.
#[derive(Debug)]
pub(crate) struct Job {
    pub name: Name,
    /// The merge patch of the object, with the resource version that it is for.
    pub body: Vec<u8>,
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Step {
    Write(Job),
    /// Much was looked at: let others have their turn, then ask again.
    Breathe,
    /// Nothing until something happens, or [`Desk::wake`].
    Rest,
}

/// The kinds whose statuses are written, those first on which others wait.
const KINDS: &[Kind] = &[
    Kind::GatewayClass,
    Kind::Gateway,
    Kind::ListenerSet,
    Kind::HTTPRoute,
    Kind::GRPCRoute,
    Kind::TLSRoute,
    Kind::TCPRoute,
    Kind::UDPRoute,
    Kind::BackendTLSPolicy,
    Kind::XBackendTrafficPolicy,
    Kind::XTelemetryPolicy,
    Kind::XBackend,
    Kind::Backend,
    Kind::RouteFilter,
    Kind::ProxyClass,
];

/// How many objects are looked at without a pause.
const BREATH: usize = 64;

/// After how long a kind that we may not write is tried again.
const DENIED: Duration = Duration::from_secs(60);

impl Desk {
    pub fn new(settings: Settings) -> Self {
        Desk {
            settings,
            leading: false,
            desired: None,
            progress: Arc::default(),
            obstacles: Arc::default(),
            standings: Standings::default(),
            objects: Objects::default(),
            gated: HashSet::default(),
            notices: Notices::default(),
            told: Vec::new(),
            pause: Pause::default(),
            denied: BTreeMap::new(),
            problems: BTreeMap::new(),
            published: BTreeMap::new(),
        }
    }

    /// Takes what statuses should be from now on.
    pub fn submit(&mut self, desired: Desired, now: Instant) {
        let before = self.desired.replace(Arc::new(desired));
        if !self.leading {
            return;
        }
        match before {
            Some(before) => self.compare(&before, now),
            None => self.compare_all(),
        }
        self.judge(now);
    }

    /// Takes what the proxies have.
    pub fn acked(&mut self, progress: Arc<Progress>, now: Instant) {
        self.progress = progress;
        if !self.leading {
            return;
        }
        self.judge(now);
        let open: Vec<Name> = self.gated.iter().filter(|name| self.is_open(name, now)).cloned().collect();
        for name in open {
            self.gated.remove(&name);
            self.objects.push(name);
        }
    }

    /// Takes what keeps proxies from being as they should be.
    pub fn obstruct(&mut self, obstacles: Obstacles, now: Instant) {
        let before = std::mem::replace(&mut self.obstacles, obstacles);
        if self.leading {
            self.judge(now);
            self.look_at_selections(&before);
        }
    }

    /// Looks again at XBackends of which there is something else to tell than before.
    fn look_at_selections(&mut self, before: &Obstacles) {
        let now = self.obstacles.clone();
        for fleet in before.keys().chain(now.keys()).filter(|fleet| before.get(*fleet) != now.get(*fleet)) {
            let Some(xbackend) = selected(fleet) else { continue };
            let name = (Kind::XBackend, xbackend);
            let known = obstacles_of(before, fleet);
            for obstacle in obstacles_of(&now, fleet).iter().filter(|obstacle| !known.contains(obstacle)) {
                self.tell(&name, Severity::Warning, obstacle.reason, obstacle.message.to_string());
            }
            self.objects.push(name);
        }
    }

    /// Begins or stops to write. What was under way when it stops is of no interest any more.
    pub fn lead(&mut self, leading: bool, now: Instant) {
        if self.leading == leading {
            return;
        }
        self.leading = leading;
        self.standings = Standings::default();
        self.objects = Objects::default();
        self.gated.clear();
        self.notices = Notices::default();
        self.pause = Pause::default();
        self.denied.clear();
        self.problems.clear();
        if leading {
            self.compare_all();
            self.judge(now);
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant) {
        if !self.leading {
            return;
        }
        self.objects.due(now);
        if self.standings.until.is_some_and(|until| until <= now) {
            self.judge(now);
        }
        for notice in self.notices.due(now) {
            let known = self.entry(&notice.0).is_some();
            self.told.extend(known.then_some(notice.1));
        }
        let over: Vec<Kind> = self.denied.iter().filter(|(_, until)| **until <= now).map(|(kind, _)| *kind).collect();
        for kind in over {
            self.denied.remove(&kind);
            self.compare_kind(kind);
        }
    }

    /// When [`tick`](Self::tick) and [`next`](Self::next) have something to do without anything happening.
    pub fn wake(&self) -> Option<Instant> {
        if !self.leading {
            return None;
        }
        let denied = self.denied.values().min().copied();
        // While a write is under way, its end is what is waited for.
        let idle = self.objects.in_flight() == 0;
        let pause = self.pause.until.filter(|_| idle && self.objects.is_waiting());
        [self.objects.wake(), self.standings.until, self.notices.wake(), denied, pause].into_iter().flatten().min()
    }

    /// The next write.
    ///
    /// `stamp` is the time of day for `lastTransitionTime`.
    pub fn next(&mut self, now: Instant, stamp: &str) -> Step {
        if !self.leading || self.desired.is_none() {
            return Step::Rest;
        }
        for _ in 0..BREATH {
            if self.objects.in_flight() >= self.pause.room(self.settings.in_flight, now) {
                return Step::Rest;
            }
            let Some(name) = self.objects.pop() else { return Step::Rest };
            if let Some(job) = self.evaluate(name, now, stamp) {
                return Step::Write(job);
            }
        }
        Step::Breathe
    }

    /// Events that are to be told now.
    pub fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.told)
    }

    /// What keeps statuses from being written, when that is another than before.
    pub fn problems(&mut self) -> Option<Vec<Problem>> {
        if self.problems == self.published {
            return None;
        }
        self.published = self.problems.clone();
        let problem = |((kind, key), message): (&(Kind, Option<Key>), &String)| Problem {
            kind: *kind,
            key: key.clone(),
            message: message.clone(),
        };
        Some(self.problems.iter().map(problem).collect())
    }

    /// Looks at all objects again.
    fn compare_all(&mut self) {
        for kind in KINDS {
            self.compare_kind(*kind);
        }
    }

    fn compare_kind(&mut self, kind: Kind) {
        let Some(desired) = self.desired.clone() else { return };
        for (key, _) in desired.world.entries(kind) {
            self.objects.push((kind, key.clone()));
        }
    }

    /// Looks at all objects that differ, or should.
    fn compare(&mut self, before: &Desired, now: Instant) {
        let Some(desired) = self.desired.clone() else { return };
        let (old, new) = (&before.status, &desired.status);
        self.keyed(Kind::GatewayClass, &old.gateway_classes, &new.gateway_classes);
        self.keyed(Kind::Gateway, &old.gateways, &new.gateways);
        self.keyed(Kind::ListenerSet, &old.listener_sets, &new.listener_sets);
        self.keyed(Kind::ListenerSet, &old.orphans, &new.orphans);
        self.named(&old.routes, &new.routes);
        self.named(&old.policies, &new.policies);
        self.named(&old.objects, &new.objects);
        for kind in KINDS {
            if !desired.world.same(&before.world, *kind) {
                self.stored(*kind, &before.world, &desired.world, now);
            }
        }
    }

    fn keyed<T: PartialEq>(&mut self, kind: Kind, before: &OrdMap<Key, T>, after: &OrdMap<Key, T>) {
        for item in before.diff(after) {
            let (DiffItem::Add(key, _) | DiffItem::Remove(key, _) | DiffItem::Update { new: (key, _), .. }) = item;
            self.objects.push((kind, key.clone()));
        }
    }

    fn named<T: PartialEq>(&mut self, before: &OrdMap<Name, T>, after: &OrdMap<Name, T>) {
        for item in before.diff(after) {
            let (DiffItem::Add(name, _) | DiffItem::Remove(name, _) | DiffItem::Update { new: (name, _), .. }) = item;
            self.objects.push(name.clone());
        }
    }

    /// Objects of a kind that are new, stored in another state, or gone.
    fn stored(&mut self, kind: Kind, before: &World, after: &World, now: Instant) {
        let (mut old, mut new) = (before.entries(kind).peekable(), after.entries(kind).peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (Some((old, _)), Some((new, _))) => old.cmp(new),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (None, None) => return,
            };
            let was = if order.is_le() { old.next() } else { None };
            let is = if order.is_ge() { new.next() } else { None };
            match (was, is) {
                (Some((key, was)), Some((_, is))) if !same(was, is) => {
                    let name = (kind, key.clone());
                    if !self.objects.is_echo(&name, is, now) {
                        self.objects.push(name);
                    }
                }
                (None, Some((key, _))) => self.objects.push((kind, key.clone())),
                (Some((key, _)), None) => self.forget(&(kind, key.clone())),
                _ => {}
            }
        }
    }

    fn forget(&mut self, name: &Name) {
        self.objects.forget(name);
        self.gated.remove(name);
        self.problems.remove(&(name.0, Some(name.1.clone())));
    }

    fn entry(&self, (kind, key): &Name) -> Option<&Entry> {
        self.desired.as_ref()?.world.entry(*kind, &key.namespace, &key.name)
    }

    /// The object as events name it.
    fn reference(&self, name: &Name) -> ObjectReference {
        let (kind, key) = name;
        let version = kind.versions().first().copied().unwrap_or_default();
        ObjectReference {
            api_version: Some(format!("{}/{version}", kind.group())),
            kind: Some(kind.as_str().to_owned()),
            namespace: (!key.namespace.is_empty()).then(|| key.namespace.to_string()),
            name: Some(key.name.to_string()),
            uid: self.entry(name).and_then(|entry| entry.stored.as_ref()).map(|stored| stored.uid.to_string()),
            ..ObjectReference::default()
        }
    }

    fn tell(&mut self, name: &Name, severity: Severity, reason: &str, message: String) {
        let regarding = self.reference(name);
        let action = "UpdateStatus".to_owned();
        self.told.push(Event { regarding, severity, reason: reason.to_owned(), action, message });
    }
}

/// What keeps a fleet from being as it should be.
fn obstacles_of<'a>(obstacles: &'a Obstacles, fleet: &Key) -> &'a [Obstacle] {
    obstacles.get(fleet).map(Vec::as_slice).unwrap_or_default()
}

/// Whether an object is stored in the same state.
fn same(one: &Entry, other: &Entry) -> bool {
    let stored = match (&one.stored, &other.stored) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one.resource_version == other.resource_version,
        (None, None) => true,
        _ => false,
    };
    stored && one.revision() == other.revision()
}

/// `<namespace>/<name>`, as versions and progress have it.
fn gateway_id(key: &Key) -> Id {
    Id::from(format!("{}/{}", key.namespace, key.name))
}
