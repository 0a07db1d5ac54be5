//! How long to wait before the next attempt.

use std::time::Duration;

/// Delays that double, with jitter, so that many watches do not come back in step.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    failures: u32,
}

impl Retry {
    /// After a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures without a success between them.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// After a failure: the time until the next attempt.
    pub fn delay(&mut self) -> Duration {
        let longest = FIRST.saturating_mul(1 << self.failures.min(16)).min(LAST);
        self.failures = self.failures.saturating_add(1);
        longest.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

const FIRST: Duration = Duration::from_millis(50);
/// A server that comes back, and a right that is granted, are seen within this time.
const LAST: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_limit() {
        let mut retry = Retry::default();
        for _ in 0..100 {
            let most = FIRST * 2_u32.pow(retry.failures().min(10));
            let delay = retry.delay();
            assert!(delay <= most.min(LAST) && delay >= most.min(LAST) / 2, "{delay:?}");
        }
        retry.reset();
        assert!(retry.delay() <= FIRST);
    }
}
