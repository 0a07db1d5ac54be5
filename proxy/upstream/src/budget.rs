//! Retry budgets (GEP-3388): how much of a cluster's traffic may be retries.
//!
//! Over the last `interval`, at most `percent` of all requests (retries included) may be retries; but `min_retries` are allowed
//! in each `min_interval`, whatever the share.
//!
//! The budget is divided among the workers. The share needs no agreement: each worker keeps to it for the requests that it has
//! seen itself, in cells of its own ([`Window`]), and where `r ≤ p · n` holds for each of them it holds for their sums. The
//! minimum rate would come to nothing when divided by many workers, so it is one count for all of them; it is looked at only
//! when a retry is asked for, never by a request. Each retry is charged to it first, and only what it does not
//! take to the share, so that the two do not add up as long as retries are spread evenly.
//!
//! For all workers together, then, with `n` requests in any `interval`:
//! `retries ≤ p · n + min_retries` for each `min_interval` that it touches.

use fairlead_ir as ir;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A cluster's budget, shared by all workers.
#[derive(Debug)]
pub struct RetryBudget {
    percent: u64,
    interval: Duration,
    minimum: Minimum,
}

impl RetryBudget {
    /// A budget of which nothing is used.
    pub fn new(budget: &ir::RetryBudget) -> RetryBudget {
        RetryBudget {
            percent: u64::from(budget.percent.min(100)),
            interval: Duration::from(budget.interval).max(SHORTEST),
            minimum: Minimum {
                count: budget.min_retries,
                interval: Duration::from(budget.min_interval).max(SHORTEST),
                start: Instant::now(),
                taken: AtomicU64::new(0),
            },
        }
    }

    /// Whether one more retry is allowed now to a worker with this window; it is counted then.
    pub(crate) fn allow(&self, window: &Window, now: Instant) -> bool {
        let (requests, retries) = window.advance(now, self.interval);
        let allowed = self.minimum.take(now) || (retries + 1) * 100 <= self.percent * (requests + 1);
        if allowed {
            window.add(0, 1);
        }
        allowed
    }

    /// Counts an attempt, a retry or not.
    pub(crate) fn count(&self, window: &Window, now: Instant) {
        window.advance(now, self.interval);
        window.add(1, 0);
    }
}

/// No interval is shorter.
const SHORTEST: Duration = Duration::from_millis(1);

/// So many retries are allowed in each interval.
#[derive(Debug)]
struct Minimum {
    count: u32,
    interval: Duration,
    start: Instant,
    /// Number of the interval since `start` and, in the lower half, the retries allowed in it.
    taken: AtomicU64,
}

impl Minimum {
    fn take(&self, now: Instant) -> bool {
        let interval = now.saturating_duration_since(self.start).as_nanos() / self.interval.as_nanos();
        let interval = u64::try_from(interval).unwrap_or(u64::MAX) << 32;
        let next = |taken: u64| {
            // A worker whose clock reading is a moment older does not turn the count back.
            let taken = if taken >> 32 < interval >> 32 { interval } else { taken };
            ((taken & u64::from(u32::MAX)) < u64::from(self.count)).then_some(taken + 1)
        };
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

/// What one worker counted of late: the interval in ten parts, of which the oldest is let go when a new one begins.
pub(crate) struct Window {
    start: Instant,
    parts: [Cell<(u64, u64)>; PARTS],
    /// Number of the newest part since `start`.
    newest: Cell<u64>,
    /// Requests and retries in all parts.
    total: Cell<(u64, u64)>,
}

const PARTS: usize = 10;

impl Window {
    pub(crate) fn new(now: Instant) -> Window {
        Window { start: now, parts: Default::default(), newest: Cell::new(0), total: Cell::default() }
    }

    /// Lets go of what is too old, and says what is left: requests and retries.
    fn advance(&self, now: Instant, interval: Duration) -> (u64, u64) {
        let part = (interval / PARTS as u32).as_nanos().max(1);
        let number = u64::try_from(now.saturating_duration_since(self.start).as_nanos() / part).unwrap_or(u64::MAX);
        let newest = self.newest.get();
        let (mut requests, mut retries) = self.total.get();
        for passed in 1..=number.saturating_sub(newest).min(PARTS as u64) {
            let old = self.part(newest + passed).take();
            requests -= old.0;
            retries -= old.1;
        }
        self.newest.set(newest.max(number));
        self.total.set((requests, retries));
        (requests, retries)
    }

    fn add(&self, requests: u64, retries: u64) {
        for cell in [self.part(self.newest.get()), &self.total] {
            let (a, b) = cell.get();
            cell.set((a + requests, b + retries));
        }
    }

    fn part(&self, number: u64) -> &Cell<(u64, u64)> {
        &self.parts[(number % PARTS as u64) as usize]
    }
}

#[cfg(test)]
mod tests;
