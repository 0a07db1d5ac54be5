//! An API server that is away or busy: fewer tries, further apart.

use std::time::Duration;
use tokio::time::Instant;

/// How the API server is.
#[derive(Debug, Default)]
pub(super) struct Pause {
    /// Nothing is written before.
    pub until: Option<Instant>,
    /// Failures in a row.
    failures: u32,
}

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(10);

impl Pause {
    /// How many writes may be under way.
    pub fn room(&self, most: usize, now: Instant) -> usize {
        match self.until {
            None => most,
            Some(until) if now < until => 0,
            // One asks for all.
            Some(_) => 1,
        }
    }

    /// A write failed for a reason that is not its own. Whether it is the first in a row.
    pub fn fail(&mut self, wanted: Option<Duration>, now: Instant) -> bool {
        // Those that were under way when it began say nothing new.
        if self.until.is_none_or(|until| until <= now) {
            let delay = (FIRST * 2u32.saturating_pow(self.failures.min(8))).min(LONGEST);
            let delay = wanted.map_or(delay, |wanted| wanted.clamp(delay, LONGEST));
            self.until = Some(now + delay.mul_f64(1.0 + 0.2 * fastrand::f64()));
            self.failures += 1;
            return self.failures == 1;
        }
        false
    }

    /// A write was answered. Whether that is news.
    pub fn succeed(&mut self) -> bool {
        let news = self.failures > 0;
        *self = Pause::default();
        news
    }
}
