//! An index by host name: exact, wildcard, none.

use crate::bytes::equal;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::sync::Arc;

/// Values by host name pattern. A clone shares names and copies values, so it suits values that are cheap to clone.
#[derive(Clone)]
pub(crate) struct Hosts<V> {
    hasher: RandomState,
    exact: HashTable<(Arc<str>, V)>,
    /// By what follows the `*`: `.example.com`.
    wildcard: HashTable<(Arc<str>, V)>,
    /// Which numbers of labels wildcards have; the last bit stands for 127 and more. Only these are looked up.
    depths: u128,
    any: Option<V>,
}

impl<V> Hosts<V> {
    /// What a pattern (`None`, `name`, `*.name`) stands for.
    pub(crate) fn get(&self, pattern: Option<&str>) -> Option<&V> {
        match split(pattern) {
            Kind::Any => self.any.as_ref(),
            Kind::Exact(name) => lookup(&self.hasher, &self.exact, name.as_bytes()),
            Kind::Wildcard(suffix) => lookup(&self.hasher, &self.wildcard, suffix.as_bytes()),
        }
    }

    pub(crate) fn insert(&mut self, pattern: Option<&str>, value: V) {
        let (table, name) = match split(pattern) {
            Kind::Any => {
                self.any = Some(value);
                return;
            }
            Kind::Exact(name) => (&mut self.exact, name),
            Kind::Wildcard(suffix) => {
                self.depths |= depth_bit(suffix.bytes().filter(|b| *b == b'.').count());
                (&mut self.wildcard, suffix)
            }
        };
        let hasher = &self.hasher;
        let hash = hasher.hash_one(name.as_bytes());
        match table.find_mut(hash, |(n, _)| **n == *name) {
            Some(old) => old.1 = value,
            None => {
                table.insert_unique(hash, (name.into(), value), |(n, _)| hasher.hash_one(n.as_bytes()));
            }
        }
    }

    pub(crate) fn remove(&mut self, pattern: Option<&str>) {
        let (table, name) = match split(pattern) {
            Kind::Any => {
                self.any = None;
                return;
            }
            Kind::Exact(name) => (&mut self.exact, name),
            Kind::Wildcard(suffix) => (&mut self.wildcard, suffix),
        };
        if let Ok(found) = table.find_entry(self.hasher.hash_one(name.as_bytes()), |(n, _)| **n == *name) {
            found.remove();
        }
        // `depths` keeps its bit: a look-up more, never one less.
    }

    /// The first answer of the values whose pattern takes the host: exact, wildcards longest first, none.
    pub(crate) fn first<'a, R>(&'a self, host: &[u8], mut ask: impl FnMut(&'a V) -> Option<R>) -> Option<R> {
        if !self.exact.is_empty()
            && let Some(value) = lookup(&self.hasher, &self.exact, host)
            && let Some(answer) = ask(value)
        {
            return Some(answer);
        }
        if self.depths != 0 {
            let mut depth = memchr::memchr_iter(b'.', host).count();
            for dot in memchr::memchr_iter(b'.', host) {
                // A wildcard stands for at least one label: an empty one is none.
                if dot > 0
                    && self.depths & depth_bit(depth) != 0
                    && let Some(value) = lookup(&self.hasher, &self.wildcard, &host[dot..])
                    && let Some(answer) = ask(value)
                {
                    return Some(answer);
                }
                depth -= 1;
            }
        }
        self.any.as_ref().and_then(ask)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        let named = self.exact.iter().chain(self.wildcard.iter()).map(|(_, value)| value);
        named.chain(self.any.as_ref())
    }

    /// Bytes on the heap, without what values point to. Names are counted as if nobody else held them.
    pub(crate) fn memory(&self) -> usize {
        let names: usize = self.exact.iter().chain(self.wildcard.iter()).map(|(name, _)| name.len() + 16).sum();
        names + self.exact.allocation_size() + self.wildcard.allocation_size()
    }

    pub(crate) fn len(&self) -> usize {
        self.exact.len() + self.wildcard.len() + usize::from(self.any.is_some())
    }
}

impl<V> Default for Hosts<V> {
    fn default() -> Self {
        Hosts {
            hasher: RandomState::default(),
            exact: HashTable::new(),
            wildcard: HashTable::new(),
            depths: 0,
            any: None,
        }
    }
}

/// How specific a pattern is for a host that it takes: exact before wildcard before none, then by characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum HostFit {
    None,
    Wildcard(usize),
    Exact(usize),
}

/// `None` when the pattern does not take the host.
pub(crate) fn fit(pattern: Option<&str>, host: &[u8]) -> Option<HostFit> {
    match split(pattern) {
        Kind::Any => Some(HostFit::None),
        Kind::Exact(name) => (name.as_bytes() == host).then_some(HostFit::Exact(name.len())),
        Kind::Wildcard(suffix) => {
            let takes = host.len() > suffix.len() && host.ends_with(suffix.as_bytes());
            takes.then_some(HostFit::Wildcard(suffix.len() + 1))
        }
    }
}

enum Kind<'a> {
    Any,
    Exact(&'a str),
    Wildcard(&'a str),
}

fn split(pattern: Option<&str>) -> Kind<'_> {
    match pattern {
        None => Kind::Any,
        Some(pattern) => match pattern.strip_prefix('*') {
            Some(suffix) if suffix.starts_with('.') => Kind::Wildcard(suffix),
            Some("") => Kind::Any,
            _ => Kind::Exact(pattern),
        },
    }
}

fn lookup<'a, V>(hasher: &RandomState, table: &'a HashTable<(Arc<str>, V)>, name: &[u8]) -> Option<&'a V> {
    table.find(hasher.hash_one(name), |(n, _)| equal(n.as_bytes(), name)).map(|(_, value)| value)
}

fn depth_bit(depth: usize) -> u128 {
    1 << depth.min(127)
}
