//! Traffic split by weight.

/// A choice by weight, for the backends of a rule. 0 gets nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Sums of the weights up to and including each.
    sums: Box<[u64]>,
}

impl Split {
    /// From the weights, in the order of the backends.
    pub fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let mut sum = 0;
        let sums = weights.into_iter().map(|weight| {
            sum += u64::from(weight);
            sum
        });
        Split { sums: sums.collect() }
    }

    /// The index that a uniformly distributed number chooses; `None` when there is nothing with a weight.
    pub fn pick(&self, random: u64) -> Option<usize> {
        let total = *self.sums.last()?;
        if total == 0 {
            return None;
        }
        // Scaled to 0..total by multiplication; the bias is below total / 2^64.
        let point = (u128::from(random) * u128::from(total)) >> 64;
        Some(self.sums.partition_point(|sum| u128::from(*sum) <= point))
    }

    /// How many there are, those without weight included.
    pub fn len(&self) -> usize {
        self.sums.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::Split;

    #[test]
    fn shares_follow_the_weights() {
        let split = Split::new([1, 0, 3, 6, 0]);
        let mut random = fastrand::Rng::with_seed(7);
        let mut counts = [0_u32; 5];
        for _ in 0..100_000 {
            counts[split.pick(random.u64(..)).unwrap()] += 1;
        }
        assert_eq!((counts[1], counts[4]), (0, 0));
        for (index, share) in [(0, 10_000), (2, 30_000), (3, 60_000)] {
            assert!(counts[index].abs_diff(share) < 1_000, "{counts:?}");
        }
    }

    #[test]
    fn the_ends_of_the_range_are_in_bounds() {
        let split = Split::new([0, 1, u32::MAX, u32::MAX, 1, 0]);
        assert_eq!(split.pick(0), Some(1));
        assert_eq!(split.pick(u64::MAX), Some(4));
    }

    #[test]
    fn nothing_with_a_weight_is_no_choice() {
        assert_eq!(Split::new([]).pick(5), None);
        assert_eq!(Split::new([0, 0]).pick(5), None);
        assert_eq!(Split::new([0, 7]).pick(5), Some(1));
    }
}
