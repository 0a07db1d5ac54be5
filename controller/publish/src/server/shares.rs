//! How much one may have of what there is for all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts by whom something is held, and gives nobody more than a limit.
#[derive(Debug)]
pub(super) struct Shares<K: Ord> {
    limit: usize,
    held: Mutex<BTreeMap<K, usize>>,
}

/// One that is held; it is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Share<K: Ord> {
    of: Arc<Shares<K>>,
    key: K,
}

impl<K: Ord + Clone> Shares<K> {
    pub fn new(limit: usize) -> Arc<Shares<K>> {
        Arc::new(Shares { limit, held: Mutex::default() })
    }

    /// One more; `None`: that would be too many.
    pub fn take(self: &Arc<Self>, key: K) -> Option<Share<K>> {
        let mut all = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let held = all.entry(key.clone()).or_default();
        (*held < self.limit).then(|| {
            *held += 1;
            Share { of: self.clone(), key }
        })
    }
}

impl<K: Ord> Drop for Share<K> {
    fn drop(&mut self) {
        let mut all = self.of.held.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(&self.key) {
            Some(held) if *held > 1 => *held -= 1,
            _ => drop(all.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_more_than_the_limit() {
        let shares = Shares::new(2);
        let (one, two) = (shares.take("a"), shares.take("a"));
        assert!(one.is_some() && two.is_some() && shares.take("a").is_none());
        assert!(shares.take("b").is_some(), "others have theirs");
        drop(one);
        let three = shares.take("a");
        assert!(three.is_some() && shares.take("a").is_none());
        drop((two, three));
        assert!(shares.held.lock().unwrap().is_empty(), "who holds nothing is forgotten");
    }
}
