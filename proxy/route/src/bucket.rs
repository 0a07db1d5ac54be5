//! The routes of one host name.
//!
//! All matches lie in one array, sorted by place and precedence; those with the same place and key are neighbours, a group. A hash
//! table leads from a key to its group: exact paths, gRPC methods and services with one look-up, prefixes with one look-up for each
//! number of segments that some prefix here has, longest first. That is the segment tree without its nodes: it costs 16 bytes
//! per match and about 14 per group, a request touches one or two groups however many there are, and a change of one
//! route merges into the sorted array without comparing the others.

use crate::Request;
use crate::bytes::equal;
use crate::entry::Entry;
use crate::place::{Section, service_and_method};
use crate::predicate::{Facts, Match};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::cmp::Ordering;
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;
use std::sync::Arc;

/// The routes of one host name.
pub(crate) struct Bucket<T> {
    candidates: Box<[Candidate<T>]>,
    hasher: RandomState,
    groups: HashTable<Group>,
    /// Side lists: no key to look up.
    any_rpc: Group,
    regexes: Group,
    has_grpc: bool,
    /// 0 when there is none.
    longest_exact: usize,
    /// Which numbers of segments prefixes have; the last bit stands for 63 and more.
    depths: u64,
    longest_prefix: usize,
}

/// A match of a route.
pub(crate) struct Candidate<T> {
    pub(crate) entry: Arc<Entry<T>>,
    pub(crate) index: u32,
}

/// Neighbours in the array.
#[derive(Clone, Copy, Default)]
struct Group {
    start: u32,
    end: u32,
}

impl<T> Bucket<T> {
    /// The same without what `drop` says and with some more.
    pub(crate) fn patch(old: Option<&Self>, drop: impl Fn(&Arc<Entry<T>>) -> bool, add: &[Arc<Entry<T>>]) -> Self {
        let every_match = |entry: &Arc<Entry<T>>| {
            let entry = entry.clone();
            (0..entry.matches.len()).map(move |index| Candidate { entry: entry.clone(), index: index as u32 })
        };
        let mut added: Vec<_> = add.iter().flat_map(every_match).collect();
        added.sort_unstable_by(Candidate::cmp);
        let kept = old.map_or(&[][..], |b| &b.candidates).iter().filter(|c| !drop(&c.entry));
        Self::index(merge(kept, added))
    }

    fn index(candidates: Vec<Candidate<T>>) -> Self {
        let mut bucket = Bucket {
            candidates: candidates.into(),
            hasher: RandomState::default(),
            groups: HashTable::new(),
            any_rpc: Group::default(),
            regexes: Group::default(),
            has_grpc: false,
            longest_exact: 0,
            depths: 0,
            longest_prefix: 0,
        };
        let groups = groups(&bucket.candidates);
        bucket.groups = HashTable::with_capacity(groups.len());
        for group in groups {
            let place = &bucket.candidates[group.start as usize].matched().place;
            let (section, key) = (place.section(), place.key());
            bucket.has_grpc |= section <= Section::AnyRpc;
            match section {
                Section::AnyRpc => bucket.any_rpc = group,
                Section::Regex => bucket.regexes = group,
                Section::Exact => bucket.longest_exact = bucket.longest_exact.max(key.len()),
                Section::Prefix => {
                    bucket.depths |= depth_bit(key.bytes().filter(|b| *b == b'/').count());
                    bucket.longest_prefix = bucket.longest_prefix.max(key.len());
                }
                Section::Rpc | Section::Service => {}
            }
            let hash = bucket.hash(section, key.as_bytes());
            let rehash = |g: &Group| {
                let place = &bucket.candidates[g.start as usize].matched().place;
                bucket_hash(&bucket.hasher, place.section(), place.key().as_bytes())
            };
            bucket.groups.insert_unique(hash, group, rehash);
        }
        bucket
    }

    /// The first match in the order of precedence that takes the request.
    pub(crate) fn find<R: Request>(&self, facts: &Facts<'_, R>) -> Option<&Candidate<T>> {
        let path = facts.request.path();
        if self.has_grpc
            && facts.is_grpc()
            && let Some(found) = self.find_grpc(path, facts)
        {
            return Some(found);
        }
        if path.len() <= self.longest_exact
            && let Some(found) = self.keyed(Section::Exact, path, facts)
        {
            return Some(found);
        }
        if let Some(found) = self.select(self.regexes, facts) {
            return Some(found);
        }
        self.find_prefix(path, facts)
    }

    fn find_grpc<R: Request>(&self, path: &[u8], facts: &Facts<'_, R>) -> Option<&Candidate<T>> {
        let named = service_and_method(path).and_then(|(service, _)| {
            self.keyed(Section::Rpc, path, facts).or_else(|| self.keyed(Section::Service, service, facts))
        });
        named.or_else(|| self.select(self.any_rpc, facts))
    }

    /// Longest first. A prefix ends where a segment ends: before a `/`, or at the end of the path.
    fn find_prefix<R: Request>(&self, path: &[u8], facts: &Facts<'_, R>) -> Option<&Candidate<T>> {
        if self.depths > 1 {
            let mut depth = memchr::memchr_iter(b'/', path).count();
            let mut end = path.len();
            while depth > 0 {
                if self.depths & depth_bit(depth) != 0
                    && end <= self.longest_prefix
                    && let Some(found) = self.keyed(Section::Prefix, &path[..end], facts)
                {
                    return Some(found);
                }
                end = memchr::memrchr(b'/', &path[..end])?;
                depth -= 1;
            }
        }
        if self.depths & 1 != 0 {
            return self.keyed(Section::Prefix, b"", facts);
        }
        None
    }

    fn keyed<R: Request>(&self, section: Section, key: &[u8], facts: &Facts<'_, R>) -> Option<&Candidate<T>> {
        let same = |group: &Group| {
            let place = &self.candidates[group.start as usize].matched().place;
            place.section() == section && equal(place.key().as_bytes(), key)
        };
        let group = self.groups.find(self.hash(section, key), same)?;
        self.select(*group, facts)
    }

    fn select<R: Request>(&self, group: Group, facts: &Facts<'_, R>) -> Option<&Candidate<T>> {
        self.candidates[group.range()].iter().find(|c| c.matched().residual(facts).is_ok())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// Bytes on the heap, without the entries.
    pub(crate) fn memory(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.candidates) + self.groups.allocation_size()
    }

    fn hash(&self, section: Section, key: &[u8]) -> u64 {
        bucket_hash(&self.hasher, section, key)
    }
}

impl<T> Candidate<T> {
    pub(crate) fn matched(&self) -> &Match {
        &self.entry.matches[self.index as usize]
    }

    /// By place, then by precedence.
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.matched(), other.matched());
        let by_place = a.place.section().cmp(&b.place.section()).then_with(|| a.place.key().cmp(b.place.key()));
        by_place
            .then_with(|| a.rank().cmp(&b.rank()))
            .then_with(|| self.entry.cmp_order(&other.entry))
            .then_with(|| self.index.cmp(&other.index))
    }
}

impl<T> Clone for Candidate<T> {
    fn clone(&self) -> Self {
        Candidate { entry: self.entry.clone(), index: self.index }
    }
}

impl Group {
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Merges two sorted lists. One comparison per kept candidate is cheaper than to sort again.
fn merge<'a, T: 'a>(kept: impl Iterator<Item = &'a Candidate<T>>, added: Vec<Candidate<T>>) -> Vec<Candidate<T>> {
    let mut merged = Vec::with_capacity(kept.size_hint().1.unwrap_or(0) + added.len());
    let mut added = added.into_iter().peekable();
    for candidate in kept {
        while let Some(new) = added.next_if(|new| new.cmp(candidate) == Ordering::Less) {
            merged.push(new);
        }
        merged.push(candidate.clone());
    }
    merged.extend(added);
    merged
}

/// Neighbours with the same place and key.
fn groups<T>(candidates: &[Candidate<T>]) -> Vec<Group> {
    let same = |a: &Candidate<T>, b: &Candidate<T>| {
        let (a, b) = (&a.matched().place, &b.matched().place);
        a.section() == b.section() && a.key() == b.key()
    };
    let mut start = 0;
    let group = |chunk: &[Candidate<T>]| {
        let group = Group { start, end: start + chunk.len() as u32 };
        start = group.end;
        group
    };
    candidates.chunk_by(same).map(group).collect()
}

fn bucket_hash(hasher: &RandomState, section: Section, key: &[u8]) -> u64 {
    let mut hash = hasher.build_hasher();
    hash.write(key);
    hash.write_u8(section as u8);
    hash.finish()
}

fn depth_bit(depth: usize) -> u64 {
    1 << depth.min(63)
}
