//! Earliest deadline first: smooth weighted scheduling in O(log n), Envoy's scheduler for unequal weights.

use fastrand::Rng;

/// Each endpoint has a deadline in virtual time; the earliest is next, and its deadline then moves by cost / weight. Over time
/// each gets its share of the turns, evenly interleaved.
pub(super) struct Edf {
    /// A binary heap, earliest deadline first.
    heap: Vec<Entry>,
}

struct Entry {
    deadline: f64,
    /// 1 / weight.
    period: f64,
    index: u32,
}

impl Edf {
    /// Deadlines begin at a random point of each one's first period, so that workers (and restarts) don't all begin with the
    /// same endpoints.
    pub(super) fn new(weights: &[u32], rng: &mut Rng) -> Edf {
        let mut heap: Vec<Entry> = weights
            .iter()
            .zip(0u32..)
            .map(|(&weight, index)| {
                let period = 1.0 / f64::from(weight.max(1));
                Entry { deadline: rng.f64() * period, period, index }
            })
            .collect();
        heap.sort_by(|a, b| a.deadline.total_cmp(&b.deadline));
        Edf { heap }
    }

    /// Takes the next turn. `cost` says how far the chosen one's deadline moves, in its periods: 1 for plain weights. Must not be
    /// called on an empty scheduler.
    pub(super) fn next(&mut self, cost: impl FnOnce(usize) -> f64) -> usize {
        let top = &mut self.heap[0];
        let index = top.index as usize;
        top.deadline += top.period * cost(index);
        self.sift_down();
        index
    }

    /// Restores the order after the first entry's deadline grew.
    fn sift_down(&mut self) {
        let heap = &mut self.heap;
        let mut at = 0;
        loop {
            let left = 2 * at + 1;
            let Some(entry) = heap.get(left) else { return };
            let right = heap.get(left + 1);
            let child = if right.is_some_and(|r| r.deadline < entry.deadline) { left + 1 } else { left };
            if heap[at].deadline <= heap[child].deadline {
                return;
            }
            heap.swap(at, child);
            at = child;
        }
    }
}
