//! The routes of one listener.

use crate::Request;
use crate::bucket::Bucket;
use crate::entry::Entry;
use crate::hosts::Hosts;
use crate::predicate::Facts;
use fairlead_ir::Id;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::collections::{BTreeMap, HashSet};
use std::hash::BuildHasher;
use std::sync::Arc;

/// The routes of one listener. Immutable: a change makes a new table that shares all buckets of host names that it does not concern.
pub struct Table<T> {
    hosts: Hosts<Arc<Bucket<T>>>,
    entries: HashTable<Arc<Entry<T>>>,
    hasher: RandomState,
}

/// Which route takes a request.
pub struct Hit<'a, T> {
    /// What the route stands for.
    pub route: &'a T,
    /// The route's id.
    pub id: &'a Id,
    /// Which of its matches took the request; 0 for a route without matches.
    pub match_index: usize,
    /// Bytes of the path that a prefix match took, without trailing `/`: 0 for `/`. `None` when it was no prefix.
    pub prefix_len: Option<usize>,
}

impl<T> Table<T> {
    /// From the routes that are attached to a listener. Of two with the same id the last counts.
    pub fn build(entries: impl IntoIterator<Item = Arc<Entry<T>>>) -> Self {
        Table::default().update(&[], entries)
    }

    /// The table after removals and then upserts. Only the buckets of host names that these routes have, or had, are
    /// made anew; within them nothing is compiled or sorted again.
    #[must_use]
    pub fn update(&self, removed: &[Id], upserted: impl IntoIterator<Item = Arc<Entry<T>>>) -> Self {
        let mut table = Table { hosts: self.hosts.clone(), entries: self.entries.clone(), hasher: self.hasher.clone() };
        let mut touched: BTreeMap<Option<Box<str>>, Vec<Arc<Entry<T>>>> = BTreeMap::new();
        let mut gone: HashSet<*const Entry<T>> = HashSet::new();
        let mut touch = |entry: &Arc<Entry<T>>, add: bool| {
            for hostname in entry.hostnames() {
                let added = touched.entry(hostname.map(Into::into)).or_default();
                if add {
                    added.push(entry.clone());
                }
            }
        };
        for id in removed {
            if let Some(old) = table.take(id) {
                gone.insert(Arc::as_ptr(&old));
                touch(&old, false);
            }
        }
        for entry in upserted {
            if let Some(old) = table.take(entry.id()) {
                gone.insert(Arc::as_ptr(&old));
                touch(&old, false);
            }
            touch(&entry, true);
            table.put(entry);
        }
        for (hostname, mut added) in touched {
            // Of two upserts with the same id, only the one that the table holds.
            added.retain(|e| table.entry(e.id()).is_some_and(|held| Arc::ptr_eq(held, e)));
            let old = table.hosts.get(hostname.as_deref());
            let bucket = Bucket::patch(old.map(|b| &**b), |e| gone.contains(&Arc::as_ptr(e)), &added);
            match bucket.is_empty() {
                true => table.hosts.remove(hostname.as_deref()),
                false => table.hosts.insert(hostname.as_deref(), Arc::new(bucket)),
            }
        }
        table
    }

    /// The route that takes a request; `None` is a 404. Allocates nothing, except to join several fields of one name that a
    /// header predicate names, and to decode a query value of more than 256 bytes for a regular expression.
    pub fn find<R: Request>(&self, request: &R) -> Option<Hit<'_, T>> {
        let facts = Facts::new(request);
        let candidate = self.hosts.first(request.host(), |bucket| bucket.find(&facts))?;
        let entry = &*candidate.entry;
        let prefix_len = candidate.matched().place.prefix_len();
        Some(Hit { route: entry.payload(), id: entry.id(), match_index: candidate.index as usize, prefix_len })
    }

    /// The route with an id.
    pub fn entry(&self, id: &str) -> Option<&Arc<Entry<T>>> {
        self.entries.find(self.hasher.hash_one(id), |e| **e.id() == *id)
    }

    /// All routes, in no order.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry<T>>> {
        self.entries.iter()
    }

    /// How many routes there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of the index, without the entries.
    pub fn memory(&self) -> usize {
        let buckets: usize = self.hosts.values().map(|b| b.memory()).sum();
        buckets + self.entries.allocation_size() + self.hosts.memory()
    }

    #[cfg(test)]
    pub(crate) fn bucket(&self, hostname: &str) -> Option<&Arc<Bucket<T>>> {
        self.hosts.get(Some(hostname))
    }

    fn take(&mut self, id: &str) -> Option<Arc<Entry<T>>> {
        let found = self.entries.find_entry(self.hasher.hash_one(id), |e| **e.id() == *id);
        found.ok().map(|found| found.remove().0)
    }

    fn put(&mut self, entry: Arc<Entry<T>>) {
        let hasher = &self.hasher;
        let hash = hasher.hash_one(&**entry.id());
        self.entries.insert_unique(hash, entry, |e| hasher.hash_one(&**e.id()));
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { hosts: Hosts::default(), entries: HashTable::new(), hasher: RandomState::default() }
    }
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Table { hosts: self.hosts.clone(), entries: self.entries.clone(), hasher: self.hasher.clone() }
    }
}
