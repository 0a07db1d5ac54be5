//! What the tests of a file use together.

use std::sync::{Arc, Mutex, Weak};

/// Started by the first test that takes it, dropped by the last: statics are never dropped, and processes would outlive them.
pub struct Shared<T> {
    running: Mutex<Weak<T>>,
    start: fn() -> T,
}

impl<T> Shared<T> {
    /// For a static.
    pub const fn new(start: fn() -> T) -> Shared<T> {
        Shared { running: Mutex::new(Weak::new()), start }
    }

    /// What runs, or a new one.
    pub fn take(&self) -> Arc<T> {
        let mut running = self.running.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        running.upgrade().unwrap_or_else(|| {
            let new = Arc::new((self.start)());
            *running = Arc::downgrade(&new);
            new
        })
    }
}
