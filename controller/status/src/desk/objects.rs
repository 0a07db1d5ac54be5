//! Objects with which something is going on, and the order in which they are looked at.

use super::Gate;
use crate::merge::Document;
use fairlead_crds::Kind;
use fairlead_store::{Entry, Key};
use foldhash::HashMap;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// What an object is called.
pub(crate) type Name = (Kind, Key);

/// What is remembered, and who is next.
#[derive(Default)]
pub(super) struct Objects {
    states: HashMap<Name, State>,
    /// Classes, Gateways and ListenerSets: few, and waited for.
    urgent: VecDeque<Name>,
    queue: VecDeque<Name>,
    timers: BTreeSet<(Instant, Name)>,
    in_flight: usize,
    swept: Option<Instant>,
}

/// What is remembered of one object.
#[derive(Default)]
pub(super) struct State {
    queued: bool,
    in_flight: bool,
    /// It is to be looked at again once the write under way has ended.
    dirty: bool,
    timer: Option<Instant>,
    /// When it was written last.
    pub written: Option<Instant>,
    /// How often it was written before that, each time less than [`CALM`] after the time before.
    pub row: u32,
    /// What it waits for.
    pub gate: Option<Gate>,
    /// A state that is newer than the World's: that of our own write, or one that was read after a conflict.
    pub local: Option<Live>,
    /// The write under way.
    pub writing: Option<Writing>,
    /// Fingerprint of the last patch that was written, and the resource version that it led to.
    pub last: Option<(u64, Box<str>)>,
    /// A patch that the server refused.
    pub refused: Option<Refused>,
    /// Conflicts in a row.
    pub attempts: u32,
    /// How often the last patch was undone by somebody.
    pub undone: u32,
}

/// A write under way.
pub(super) struct Writing {
    pub fingerprint: u64,
    /// The resource version that it is for.
    pub version: Box<str>,
    pub turns: Vec<crate::merge::Turn>,
}

/// A patch that is of no use.
pub(super) struct Refused {
    pub fingerprint: u64,
    /// The resource version that it was for.
    pub version: Box<str>,
    /// When to try it again; `None`: not for this version.
    pub until: Option<Instant>,
}

/// An object as an API server has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Live {
    pub uid: Box<str>,
    pub version: Box<str>,
    pub generation: Option<i64>,
    pub status: Document,
}

/// An object that was not written for so long begins a new row of writes.
const CALM: Duration = Duration::from_secs(2);

/// How long what was written is remembered, to notice who undoes it.
const REMEMBERED: Duration = Duration::from_secs(120);

impl Objects {
    /// An object is to be looked at.
    pub fn push(&mut self, name: Name) {
        let state = self.states.entry(name.clone()).or_default();
        if state.in_flight {
            state.dirty = true;
        } else if !state.queued {
            state.queued = true;
            if let Some(at) = state.timer.take() {
                self.timers.remove(&(at, name.clone()));
            }
            let urgent = matches!(name.0, Kind::GatewayClass | Kind::Gateway | Kind::ListenerSet);
            if urgent { self.urgent.push_back(name) } else { self.queue.push_back(name) }
        }
    }

    /// Looks at an object again at some time, at the latest.
    pub fn push_at(&mut self, name: Name, at: Instant) {
        let Some(state) = self.states.get_mut(&name).filter(|state| !state.queued && !state.in_flight) else { return };
        if let Some(earlier) = state.timer {
            if earlier <= at {
                return;
            }
            self.timers.remove(&(earlier, name.clone()));
        }
        state.timer = Some(at);
        self.timers.insert((at, name));
    }

    /// The next one to look at.
    pub fn pop(&mut self) -> Option<Name> {
        let name = self.urgent.pop_front().or_else(|| self.queue.pop_front())?;
        if let Some(state) = self.states.get_mut(&name) {
            state.queued = false;
        }
        Some(name)
    }

    pub fn state(&mut self, name: &Name) -> &mut State {
        self.states.entry(name.clone()).or_default()
    }

    pub fn find(&self, name: &Name) -> Option<&State> {
        self.states.get(name)
    }

    /// A write begins.
    pub fn start(&mut self, name: &Name, writing: Writing) {
        let state = self.states.entry(name.clone()).or_default();
        state.in_flight = true;
        state.writing = Some(writing);
        self.in_flight += 1;
    }

    /// A write has ended: its object, when it is still known.
    pub fn end(&mut self, name: &Name) -> Option<(&mut State, Writing)> {
        self.in_flight = self.in_flight.saturating_sub(1);
        let state = self.states.get_mut(name)?;
        state.in_flight = false;
        let dirty = std::mem::take(&mut state.dirty);
        let writing = state.writing.take();
        if dirty {
            self.push(name.clone());
        }
        Some((self.states.get_mut(name)?, writing?))
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether an object is to be looked at now.
    pub fn is_waiting(&self) -> bool {
        !self.urgent.is_empty() || !self.queue.is_empty()
    }

    /// Whether an object's new state is what our write led to; then nothing more needs to be remembered of it.
    pub fn is_echo(&mut self, name: &Name, entry: &Entry, now: Instant) -> bool {
        let Some(state) = self.states.get_mut(name) else { return false };
        let (Some(local), Some(stored)) = (&state.local, &entry.stored) else { return false };
        if local.version != stored.resource_version {
            return false;
        }
        state.local = None;
        state.written.is_some_and(|written| now.duration_since(written) < REMEMBERED) && state.gate.is_none()
    }

    pub fn forget(&mut self, name: &Name) {
        let Some(state) = self.states.get_mut(name) else { return };
        if let Some(at) = state.timer.take() {
            self.timers.remove(&(at, name.clone()));
        }
        // One that is queued or under way is looked at once more, and found to be gone.
        if !state.queued && !state.in_flight {
            self.states.remove(name);
        }
    }

    /// Nothing is to be done about an object for now.
    pub fn rest(&mut self, name: &Name) {
        let Some(state) = self.states.get_mut(name) else { return };
        state.gate = None;
        let idle = state.written.is_none() && state.local.is_none() && state.refused.is_none();
        if idle && !state.queued && !state.in_flight && state.timer.is_none() {
            self.states.remove(name);
        }
    }

    /// Queues what is due.
    pub fn due(&mut self, now: Instant) {
        while let Some((at, _)) = self.timers.first()
            && *at <= now
        {
            let Some((_, name)) = self.timers.pop_first() else { break };
            if let Some(state) = self.states.get_mut(&name) {
                state.timer = None;
            }
            self.push(name);
        }
        if self.swept.is_none_or(|swept| now.duration_since(swept) >= REMEMBERED / 2) {
            self.swept = Some(now);
            self.states.retain(|_, state| state.is_alive(now));
        }
    }

    /// When something is due next.
    pub fn wake(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }
}

impl State {
    /// It was written.
    pub fn wrote(&mut self, now: Instant) {
        let soon = self.written.is_some_and(|before| now.duration_since(before) < CALM);
        self.row = if soon { self.row.saturating_add(1) } else { 0 };
        self.written = Some(now);
    }

    fn is_alive(&self, now: Instant) -> bool {
        let recent = self.written.is_some_and(|written| now.duration_since(written) < REMEMBERED);
        let going_on = self.queued || self.in_flight || self.timer.is_some() || self.gate.is_some();
        recent || going_on || self.local.is_some() || self.refused.is_some()
    }
}

impl Live {
    /// Whether this state is later than one of another resource version.
    ///
    /// They are numbers that grow (KEP-5504); of any others it is not known, and the one that the watch brought is taken.
    pub fn is_later_than(&self, version: &str) -> bool {
        match (self.version.parse::<u64>(), version.parse::<u64>()) {
            (Ok(own), Ok(other)) => own > other,
            _ => false,
        }
    }
}
