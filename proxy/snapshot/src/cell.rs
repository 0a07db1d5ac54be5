//! How a new snapshot reaches the workers: an epoch that they look at with one atomic load per request.

use crate::Snapshot;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The newest snapshot.
#[derive(Default)]
pub struct Cell {
    epoch: AtomicU64,
    newest: Mutex<Arc<Snapshot>>,
}

impl Cell {
    /// Changes whenever there is a newer snapshot.
    #[inline]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The newest snapshot and its epoch. Takes a lock: for those who saw that the epoch changed.
    pub fn load(&self) -> (u64, Arc<Snapshot>) {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        (self.epoch(), newest.clone())
    }

    /// Publishes a snapshot.
    pub fn store(&self, snapshot: Arc<Snapshot>) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = snapshot;
        self.epoch.fetch_add(1, Ordering::Release);
    }
}
