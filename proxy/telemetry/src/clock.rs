//! Time on a worker: one monotonic reading, and the wall clock derived from it.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// From the system's clock; 1970 when that is before it.
    pub fn now() -> Self {
        Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, micros))
    }

    /// Whole seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Microseconds of the second.
    pub fn subsec_micros(self) -> u32 {
        (self.0 % 1_000_000) as u32
    }
}

/// Turns monotonic readings, which exchanges take anyway, into wall-clock time without a second reading. Anchored anew
/// each second, so that it follows a stepped or slewed system clock.
#[derive(Debug)]
pub struct Clock {
    anchor: Cell<(Instant, Timestamp)>,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    const ANCHOR_AGE: Duration = Duration::from_secs(1);

    /// Anchored now.
    pub fn new() -> Self {
        Clock { anchor: Cell::new((Instant::now(), Timestamp::now())) }
    }

    /// The monotonic clock.
    #[inline]
    pub fn now() -> Instant {
        Instant::now()
    }

    /// Wall-clock time of a reading of the recent past.
    #[inline]
    pub fn wall(&self, instant: Instant) -> Timestamp {
        let (at, wall) = self.anchor.get();
        match instant.checked_duration_since(at) {
            Some(later) if later < Self::ANCHOR_AGE => Timestamp(wall.0 + micros(later)),
            Some(_) => self.anchored(instant),
            None => Timestamp(wall.0.saturating_sub(micros(at.saturating_duration_since(instant)))),
        }
    }

    #[cold]
    fn anchored(&self, instant: Instant) -> Timestamp {
        let (at, wall) = (Instant::now(), Timestamp::now());
        self.anchor.set((at, wall));
        Timestamp(wall.0.saturating_sub(micros(at.saturating_duration_since(instant))))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_monotonic_clock() {
        let clock = Clock::new();
        let (at, wall) = clock.anchor.get();
        assert_eq!(clock.wall(at + Duration::from_micros(250)).0, wall.0 + 250);
        assert_eq!(clock.wall(at - Duration::from_millis(3)).0, wall.0 - 3_000);
    }

    #[test]
    fn anchors_anew_after_a_second() {
        let clock = Clock { anchor: Cell::new((Instant::now() - Duration::from_secs(5), Timestamp(0))) };
        let before = Timestamp::now().0;
        let wall = clock.wall(Instant::now()).0;
        assert!(wall >= before - 1_000 && wall <= Timestamp::now().0, "{wall} is not now");
    }

    #[test]
    fn splits_seconds() {
        let t = Timestamp(1_700_000_000_123_456);
        assert_eq!((t.seconds(), t.subsec_micros()), (1_700_000_000, 123_456));
    }
}
