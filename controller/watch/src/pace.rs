//! How often there is a change.

use std::time::Duration;

use tokio::time::Instant;

/// A bucket of tokens: a few changes come at once, a burst is taken together.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When the bucket was, or will be, empty.
    empty: Instant,
}

impl Pace {
    pub fn new(now: Instant) -> Self {
        Pace { empty: now.checked_sub(EVERY * BURST).unwrap_or(now) }
    }

    /// How long to wait; `None` when a change may be told, which takes a token.
    pub fn wait(&mut self, now: Instant) -> Option<Duration> {
        let full = now.checked_sub(EVERY * BURST).unwrap_or(now);
        let next = self.empty.max(full) + EVERY;
        if next > now {
            return Some(next - now);
        }
        self.empty = next;
        None
    }
}

/// A token comes this often.
const EVERY: Duration = Duration::from_millis(10);
/// So many tokens are there at most.
const BURST: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_changes_never_wait_and_a_burst_does() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let told = |pace: &mut Pace, now| pace.wait(now).is_none();
        let at_once = (0..100).filter(|_| told(&mut pace, start)).count();
        assert_eq!(at_once, 8);
        assert_eq!(pace.wait(start), Some(EVERY));
        assert!(pace.wait(start + EVERY).is_none());
        // A second later there is no more than a bucket full.
        let later = start + Duration::from_secs(1);
        assert_eq!((0..100).filter(|_| told(&mut pace, later)).count(), 8);
    }
}
