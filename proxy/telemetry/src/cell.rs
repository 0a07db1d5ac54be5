//! Cells: numbers that one worker writes and anybody may read.
//!
//! Each has a single writer, so that an increment is a relaxed load and a relaxed store: no locked instruction. A second
//! writer would lose counts, not corrupt memory.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The value now.
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that goes up and down. What a worker counts up it counts down itself.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// Takes one away.
    #[inline]
    pub fn dec(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(1), Relaxed);
    }

    /// Replaces the value.
    #[inline]
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// The value now.
    pub fn value(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// Responses by class of status.
#[derive(Debug, Default)]
pub struct StatusCounts([Counter; StatusCounts::CLASSES.len()]);

impl StatusCounts {
    /// Values of the label `class`. `none`: the exchange ended before a response (the client went away).
    pub const CLASSES: [&'static str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

    /// Counts a response; 0 and what is no HTTP status count as `none`.
    #[inline]
    pub fn inc(&self, status: u16) {
        self.0[Self::class(status)].inc();
    }

    /// Index into [`Self::CLASSES`].
    #[inline]
    pub fn class(status: u16) -> usize {
        let class = usize::from(status / 100);
        if class < Self::CLASSES.len() { class } else { 0 }
    }

    /// The counter of a class, by index into [`Self::CLASSES`].
    pub fn of(&self, class: usize) -> &Counter {
        &self.0[class]
    }

    /// All classes together.
    pub fn total(&self) -> u64 {
        self.0.iter().map(Counter::value).sum()
    }
}

/// Durations in fixed buckets, 1 – 2.5 – 5 in each decade from 0.5 ms to 10 s, then 30 s and 60 s.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; Histogram::BOUNDS.len() + 1],
    micros: Counter,
}

impl Histogram {
    /// Upper bounds of the buckets in microseconds, inclusive; one more bucket takes what is above the last.
    pub const BOUNDS: [i32; 16] = [
        500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
        10_000_000, 30_000_000, 60_000_000,
    ];

    /// Counts one duration, given in microseconds.
    #[inline]
    pub fn record(&self, micros: u64) {
        self.buckets[Self::bucket(micros)].inc();
        self.micros.add(micros);
    }

    /// Counts one duration.
    #[inline]
    pub fn record_duration(&self, duration: Duration) {
        self.record(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// How many bounds the duration exceeds: no branch, the compiler makes vector compares of it.
    #[inline]
    fn bucket(micros: u64) -> usize {
        let micros = i32::try_from(micros).unwrap_or(i32::MAX);
        Self::BOUNDS.iter().map(|&bound| usize::from(micros > bound)).sum()
    }

    /// Count in a bucket; the last is that of durations above all bounds.
    pub fn count_in(&self, bucket: usize) -> u64 {
        self.buckets[bucket].value()
    }

    /// Number of durations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(Counter::value).sum()
    }

    /// Sum of the durations in microseconds.
    pub fn sum(&self) -> u64 {
        self.micros.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_goes_to_its_class() {
        let counts = StatusCounts::default();
        for status in [0, 101, 200, 204, 301, 404, 499, 503, 600, 999, u16::MAX] {
            counts.inc(status);
        }
        let by_class: Vec<u64> = (0..6).map(|c| counts.of(c).value()).collect();
        assert_eq!(by_class, [4, 1, 2, 1, 2, 1]);
        assert_eq!(counts.total(), 11);
    }

    #[test]
    fn buckets_are_inclusive_above() {
        for (i, &bound) in Histogram::BOUNDS.iter().enumerate() {
            assert_eq!(Histogram::bucket(bound as u64), i);
            assert_eq!(Histogram::bucket(bound as u64 + 1), i + 1);
        }
        assert_eq!(Histogram::bucket(0), 0);
        assert_eq!(Histogram::bucket(u64::MAX), Histogram::BOUNDS.len());
    }

    #[test]
    fn histogram_keeps_sum_and_count() {
        let histogram = Histogram::default();
        histogram.record(400);
        histogram.record_duration(Duration::from_millis(3));
        histogram.record(90_000_000);
        assert_eq!((histogram.count(), histogram.sum()), (3, 90_003_400));
        assert_eq!((histogram.count_in(0), histogram.count_in(3), histogram.count_in(16)), (1, 1, 1));
    }

    #[test]
    fn gauge_goes_both_ways() {
        let gauge = Gauge::default();
        gauge.inc();
        gauge.inc();
        gauge.dec();
        assert_eq!(gauge.value(), 1);
        gauge.set(-7);
        assert_eq!(gauge.value(), -7);
    }
}
