//! Small sets.

use foldhash::{HashSet, HashSetExt as _};
use std::hash::Hash;

/// A set of one element, which takes no memory of its own, or of any number.
pub(super) enum Group<T> {
    One(T),
    Many(HashSet<T>),
}

impl<T: Eq + Hash + Clone> Group<T> {
    pub fn insert(&mut self, value: T) {
        match self {
            Group::One(known) if *known == value => {}
            Group::One(known) => {
                let mut all = HashSet::with_capacity(2);
                all.extend([known.clone(), value]);
                *self = Group::Many(all);
            }
            Group::Many(all) => {
                all.insert(value);
            }
        }
    }

    /// Takes an element out. Says whether none is left: then the group is to be dropped.
    #[must_use]
    pub fn remove(&mut self, value: &T) -> bool {
        match self {
            Group::One(known) => known == value,
            Group::Many(all) => {
                all.remove(value);
                all.is_empty()
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let (one, many) = match self {
            Group::One(one) => (Some(one), None),
            Group::Many(all) => (None, Some(all)),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

/// A sorted set of a few elements, mostly one, without room for more. Adding and removing take time with its size.
pub(super) struct Few<T>(Vec<T>);

impl<T> Default for Few<T> {
    fn default() -> Self {
        Few(Vec::new())
    }
}

impl<T: Ord> Few<T> {
    pub fn insert(&mut self, value: T) {
        if let Err(at) = self.0.binary_search(&value) {
            self.0.reserve_exact(1);
            self.0.insert(at, value);
        }
    }

    pub fn remove(&mut self, value: &T) {
        if let Ok(at) = self.0.binary_search(value) {
            self.0.remove(at);
        }
    }

    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.0.retain(keep);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_ends_with_its_last_element() {
        let mut group = Group::One(1);
        group.insert(1);
        assert!(matches!(group, Group::One(1)));
        assert!(!group.remove(&2));
        group.insert(2);
        group.insert(3);
        assert_eq!(group.iter().copied().collect::<std::collections::BTreeSet<_>>(), [1, 2, 3].into());
        assert!(!group.remove(&1) && !group.remove(&2));
        assert!(group.remove(&3));
        assert!(Group::One(1).remove(&1));
    }
}
