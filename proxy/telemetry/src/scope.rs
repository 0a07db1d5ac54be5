//! Scopes: a block of cells per worker, and the families that hold those of one kind.
//!
//! There may be many thousand routes and clusters of which a worker sees few: a block is made when its worker first asks for it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// The cells of one listener, route, cluster or endpoint: one block per worker.
#[derive(Debug)]
pub struct Scope<C> {
    /// Rendered, escaped.
    labels: Arc<str>,
    /// Each is made by its worker; those who read don't make any.
    blocks: Box<[OnceLock<Box<C>>]>,
    /// Counts the scopes of the family that nobody holds any more.
    gone: Arc<AtomicUsize>,
}

impl<C: Default> Scope<C> {
    /// With one block, outside of any family.
    pub(crate) fn single(labels: String, gone: Arc<AtomicUsize>) -> Self {
        Scope { labels: labels.into(), blocks: Box::new([OnceLock::new()]), gone }
    }

    /// The block of a worker; only that worker may ask for it. One atomic load, but for the first time, which allocates it.
    ///
    /// # Panics
    /// If there are not that many workers.
    #[inline]
    pub fn at(&self, worker: usize) -> &C {
        self.blocks[worker].get_or_init(Box::default)
    }
}

impl<C> Scope<C> {
    /// The labels as they stand between the braces of a series.
    pub fn labels(&self) -> &str {
        &self.labels
    }

    /// The sum of a value over all workers.
    pub fn total(&self, value: impl Fn(&C) -> u64) -> u64 {
        self.blocks().map(value).fold(0, u64::wrapping_add)
    }

    /// The sum of a value that goes up and down.
    pub fn total_i64(&self, value: impl Fn(&C) -> i64) -> i64 {
        self.blocks().map(value).fold(0, i64::wrapping_add)
    }

    /// Those that were made.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &C> {
        self.blocks.iter().filter_map(OnceLock::get).map(|block| &**block)
    }
}

impl<C> Drop for Scope<C> {
    fn drop(&mut self) {
        self.gone.fetch_add(1, Relaxed);
    }
}

/// All scopes of a kind: the same labels give the same scope for as long as somebody holds it. Beyond the cap, new labels
/// all get the scope `other`.
#[derive(Debug)]
pub(crate) struct Family<C> {
    cap: usize,
    workers: usize,
    other_labels: String,
    gone: Arc<AtomicUsize>,
    state: Mutex<State<C>>,
}

#[derive(Debug)]
struct State<C> {
    scopes: BTreeMap<Arc<str>, Weak<Scope<C>>>,
    other: Option<Arc<Scope<C>>>,
    /// How often labels were sent to `other`.
    merged: u64,
}

impl<C: Default> Family<C> {
    pub(crate) fn new(cap: usize, workers: usize, other_labels: String) -> Self {
        let state = State { scopes: BTreeMap::new(), other: None, merged: 0 };
        Family { cap, workers, other_labels, gone: Arc::default(), state: Mutex::new(state) }
    }

    /// The scope of these labels.
    pub(crate) fn scope(&self, labels: String) -> Arc<Scope<C>> {
        let mut state = self.lock();
        if let Some(scope) = state.scopes.get(labels.as_str()).and_then(Weak::upgrade) {
            return scope;
        }
        self.sweep(&mut state);
        if state.scopes.len() >= self.cap {
            state.merged += 1;
            return state.other.get_or_insert_with(|| Arc::new(self.empty(self.other_labels.clone()))).clone();
        }
        let scope = Arc::new(self.empty(labels));
        state.scopes.insert(scope.labels.clone(), Arc::downgrade(&scope));
        scope
    }

    /// The scope of these labels if somebody holds it.
    pub(crate) fn find(&self, labels: &str) -> Option<Arc<Scope<C>>> {
        self.lock().scopes.get(labels).and_then(Weak::upgrade)
    }

    /// The scopes whose labels begin so.
    pub(crate) fn with_prefix(&self, prefix: &str) -> Vec<Arc<Scope<C>>> {
        let state = self.lock();
        let from = state.scopes.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.take_while(|(labels, _)| labels.starts_with(prefix)).filter_map(|(_, scope)| scope.upgrade()).collect()
    }

    /// All scopes that somebody holds, sorted by labels, then `other`.
    pub(crate) fn held(&self) -> Vec<Arc<Scope<C>>> {
        let state = self.lock();
        state.scopes.values().filter_map(Weak::upgrade).chain(state.other.clone()).collect()
    }

    /// How often labels were sent to `other`.
    pub(crate) fn merged(&self) -> u64 {
        self.lock().merged
    }

    fn empty(&self, labels: String) -> Scope<C> {
        let blocks = std::iter::repeat_with(OnceLock::new).take(self.workers).collect();
        Scope { labels: labels.into(), blocks, gone: self.gone.clone() }
    }

    /// Forgets scopes that nobody holds, once they are a quarter of all, or stand in the way of new ones.
    fn sweep(&self, state: &mut State<C>) {
        let (gone, len) = (self.gone.load(Relaxed), state.scopes.len());
        if gone > 0 && (len >= self.cap || gone * 4 > len) {
            self.gone.fetch_sub(gone, Relaxed);
            state.scopes.retain(|_, scope| scope.strong_count() > 0);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Counter;

    fn family(cap: usize) -> Family<Counter> {
        Family::new(cap, 2, "x=\"other\"".into())
    }

    #[test]
    fn same_labels_same_scope_while_held() {
        let family = family(10);
        let first = family.scope("x=\"a\"".into());
        first.at(0).add(3);
        first.at(1).add(4);
        let again = family.scope("x=\"a\"".into());
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(again.total(Counter::value), 7);
        drop((first, again));
        assert_eq!(family.scope("x=\"a\"".into()).total(Counter::value), 0, "a scope that nobody holds is forgotten");
    }

    #[test]
    fn blocks_are_made_by_those_who_count() {
        let scope = family(1).scope("x=\"a\"".into());
        assert_eq!((scope.blocks().count(), scope.total(Counter::value)), (0, 0));
        scope.at(1).add(3);
        assert_eq!((scope.blocks().count(), scope.total(Counter::value)), (1, 3));
        assert!(std::ptr::eq(scope.at(1), scope.at(1)));
    }

    #[test]
    fn beyond_the_cap_all_share_one_scope() {
        let family = family(2);
        let a = family.scope("x=\"a\"".into());
        let _b = family.scope("x=\"b\"".into());
        let c = family.scope("x=\"c\"".into());
        let d = family.scope("x=\"d\"".into());
        assert!(Arc::ptr_eq(&c, &d));
        assert_eq!(c.labels(), "x=\"other\"");
        assert_eq!(family.merged(), 2);
        assert!(Arc::ptr_eq(&a, &family.scope("x=\"a\"".into())), "those within the cap keep their own");
        assert_eq!(family.held().len(), 3);
        drop(a);
        assert_eq!(family.scope("x=\"e\"".into()).labels(), "x=\"e\"", "room again");
    }

    #[test]
    fn churn_leaves_nothing_behind() {
        let family = family(1_000);
        for i in 0..10_000 {
            family.scope(format!("x=\"{i}\""));
        }
        assert!(family.lock().scopes.len() < 10);
        assert!(family.lock().other.is_none());
    }
}
