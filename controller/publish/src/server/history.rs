//! What a Gateway's proxies are to have, by the version in which it last changed. From it follows, for whatever version a proxy has,
//! what it lacks; there is no queue per proxy.

use fairlead_ir::{Push, Resource, ResourceId};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Removals that are remembered beyond the number of resources. A proxy that lacks older ones gets everything.
const REMEMBERED: usize = 1024;

/// A history and those who follow it.
#[derive(Debug, Default)]
pub(super) struct Gateway {
    history: Mutex<History>,
    changed: watch::Sender<()>,
}

/// What a proxy has: nothing that is known here, or a version of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    pub epoch: u64,
    pub version: u64,
}

/// What a proxy lacks.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Lack {
    /// Where it is then.
    pub to: Cursor,
    /// It is all there is.
    pub complete: bool,
    pub upserts: Vec<Resource>,
    pub removals: Vec<ResourceId>,
}

#[derive(Debug)]
pub(super) struct History {
    /// Versions of two epochs don't compare. Never 0.
    epoch: u64,
    version: u64,
    /// Removals up to this version are forgotten.
    floor: u64,
    published: bool,
    entries: BTreeMap<ResourceId, Entry>,
    /// The same, by version.
    log: BTreeSet<(u64, ResourceId)>,
    removed: usize,
}

#[derive(Debug)]
struct Entry {
    version: u64,
    /// `None`: it was removed.
    resource: Option<Resource>,
}

impl Gateway {
    pub fn apply(&self, push: &Push) {
        self.history().apply(push);
        self.changed.send_replace(());
    }

    pub fn clear(&self) {
        *self.history() = History::default();
        self.changed.send_replace(());
    }

    /// Whether streams follow it.
    pub fn is_used(&self) -> bool {
        self.changed.receiver_count() > 0
    }

    pub fn is_published(&self) -> bool {
        self.history().published
    }

    /// Whether it holds no resource.
    pub fn is_blank(&self) -> bool {
        let history = self.history();
        history.entries.len() == history.removed
    }

    pub fn follow(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// What is lacking at `cursor`, if anything.
    pub fn lack(&self, cursor: Cursor) -> Option<Lack> {
        self.history().lack(cursor)
    }

    /// Where a proxy is that says it has `cursor`: nowhere when that is unknown here.
    pub fn place(&self, cursor: Cursor) -> Cursor {
        let history = self.history();
        if history.knows(cursor) { cursor } else { Cursor::default() }
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for History {
    fn default() -> History {
        History {
            epoch: fastrand::u64(1..),
            version: 0,
            floor: 0,
            published: false,
            entries: BTreeMap::new(),
            log: BTreeSet::new(),
            removed: 0,
        }
    }
}

impl History {
    pub fn apply(&mut self, push: &Push) {
        self.published = true;
        if push.is_empty() {
            return;
        }
        if push.version <= self.version {
            tracing::warn!(version = push.version, after = self.version, "a push with an old version: starting over");
            self.epoch = fastrand::u64(1..);
        }
        self.version = push.version;
        for resource in &push.upserts {
            self.put(resource.id(), Some(resource.clone()));
        }
        for id in &push.removals {
            if self.entries.get(id).is_some_and(|entry| entry.resource.is_some()) {
                self.put(id.clone(), None);
            }
        }
        self.forget();
    }

    pub fn lack(&self, cursor: Cursor) -> Option<Lack> {
        let to = Cursor { epoch: self.epoch, version: self.version };
        if cursor == to {
            return None;
        }
        if !self.knows(cursor) {
            let upserts = self.entries.values().filter_map(|entry| entry.resource.clone()).collect();
            return Some(Lack { to, complete: true, upserts, removals: Vec::new() });
        }
        let first = ResourceId::Secret("".into());
        let newer = self.log.range((Bound::Included((cursor.version + 1, first)), Bound::Unbounded));
        let newer: BTreeSet<&ResourceId> = newer.map(|(_, id)| id).collect();
        let mut lack = Lack { to, ..Lack::default() };
        for id in newer {
            match self.entries.get(id).map(|entry| &entry.resource) {
                Some(Some(resource)) => lack.upserts.push(resource.clone()),
                _ => lack.removals.push(id.clone()),
            }
        }
        lack.removals.reverse();
        Some(lack)
    }

    fn knows(&self, cursor: Cursor) -> bool {
        cursor.epoch == self.epoch && (self.floor..=self.version).contains(&cursor.version)
    }

    fn put(&mut self, id: ResourceId, resource: Option<Resource>) {
        let entry = Entry { version: self.version, resource };
        self.removed += usize::from(entry.resource.is_none());
        self.log.insert((self.version, id.clone()));
        if let Some(before) = self.entries.insert(id.clone(), entry) {
            self.removed -= usize::from(before.resource.is_none());
            if before.version != self.version {
                self.log.remove(&(before.version, id));
            }
        }
    }

    /// Drops the older half of the removals when there are too many.
    fn forget(&mut self) {
        let living = self.entries.len() - self.removed;
        if self.removed <= living + REMEMBERED {
            return;
        }
        let removed = |id: &ResourceId| self.entries.get(id).is_some_and(|entry| entry.resource.is_none());
        let old: Vec<(u64, ResourceId)> =
            self.log.iter().filter(|(_, id)| removed(id)).take(self.removed / 2).cloned().collect();
        for (version, id) in old {
            self.floor = version;
            self.entries.remove(&id);
            self.log.remove(&(version, id));
            self.removed -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
