//! Balancers: which of several endpoints takes the next request.
//!
//! Pure: they see weights, active requests and whether an endpoint may be used, through [`Hosts`], and draw from a random
//! generator that is passed in. State is a cell or a small heap that is built once per endpoint set, so a pick allocates nothing.
//!
//! | policy | equal weights | unequal weights |
//! | --- | --- | --- |
//! | least request | two distinct random choices, the one with fewer active requests | [`Edf`] by weight / (active + 1) |
//! | round robin | one after the other from a random start | [`Edf`] by weight from a random start |
//! | random | uniform | by cumulative weight |
//!
//! As Envoy does, except that its two choices may be the same endpoint and its `random` ignores weights.

mod edf;

use edf::Edf;
use fairlead_ir::LoadBalancing;
use fastrand::Rng;
use std::cell::{Cell, RefCell};

/// What a balancer sees of the endpoints it chooses from. Indices are stable for as long as the balancer lives.
pub(crate) trait Hosts {
    /// How many there are.
    fn len(&self) -> usize;
    /// Requests in progress.
    fn active(&self, index: usize) -> u32;
    /// Whether it may be chosen now.
    fn usable(&self, index: usize) -> bool;
}

/// A policy with its state, for one set of endpoints.
pub(crate) struct Balancer {
    policy: Policy,
}

impl Balancer {
    /// Builds the state for endpoints of these weights (0 counts as 1).
    pub(crate) fn new(policy: LoadBalancing, weights: &[u32], rng: &mut Rng) -> Balancer {
        let equal = weights.windows(2).all(|w| w[0] == w[1]);
        let policy = match (policy, equal) {
            (LoadBalancing::LeastRequest, true) => Policy::TwoChoices,
            (LoadBalancing::LeastRequest, false) => {
                Policy::Scheduled { edf: RefCell::new(Edf::new(weights, rng)), by_load: true }
            }
            (LoadBalancing::RoundRobin, true) => Policy::Rotation(Cell::new(rng.usize(..weights.len().max(1)))),
            (LoadBalancing::RoundRobin, false) => {
                Policy::Scheduled { edf: RefCell::new(Edf::new(weights, rng)), by_load: false }
            }
            (LoadBalancing::Random, true) => Policy::Uniform,
            (LoadBalancing::Random, false) => Policy::Cumulative(cumulate(weights)),
        };
        Balancer { policy }
    }

    /// Chooses a usable endpoint, or `None` when there is none.
    pub(crate) fn pick(&self, hosts: &impl Hosts, rng: &mut Rng) -> Option<usize> {
        match hosts.len() {
            0 => return None,
            1 => return hosts.usable(0).then_some(0),
            _ => {}
        }
        for _ in 0..ATTEMPTS {
            let index = self.next(hosts, rng);
            if hosts.usable(index) {
                return Some(index);
            }
        }
        // Few are usable: the first one from a random place on.
        let start = rng.usize(..hosts.len());
        (start..hosts.len()).chain(0..start).find(|&index| hosts.usable(index))
    }

    /// The policy's next choice, which may not be usable. There are at least two endpoints.
    fn next(&self, hosts: &impl Hosts, rng: &mut Rng) -> usize {
        match &self.policy {
            Policy::TwoChoices => two_choices(hosts, rng),
            Policy::Scheduled { edf, by_load } => {
                edf.borrow_mut().next(|index| if *by_load { f64::from(hosts.active(index)) + 1.0 } else { 1.0 })
            }
            Policy::Rotation(next) => {
                let index = next.get();
                next.set(if index + 1 < hosts.len() { index + 1 } else { 0 });
                index
            }
            Policy::Uniform => rng.usize(..hosts.len()),
            Policy::Cumulative(sums) => {
                let total = sums.last().copied().unwrap_or(1);
                let ticket = rng.u64(..total);
                sums.partition_point(|&sum| sum <= ticket)
            }
        }
    }
}

enum Policy {
    TwoChoices,
    Scheduled {
        edf: RefCell<Edf>,
        /// Whether active requests make an endpoint's turn come later.
        by_load: bool,
    },
    Rotation(Cell<usize>),
    Uniform,
    /// Running sums of the weights.
    Cumulative(Box<[u64]>),
}

/// How often a policy is asked before the endpoints are searched in order. A policy that is asked again leaves out what
/// can't be used and keeps the proportions of the rest.
const ATTEMPTS: usize = 8;

/// Two distinct endpoints at random; the usable one with fewer active requests, at a tie the first drawn.
fn two_choices(hosts: &impl Hosts, rng: &mut Rng) -> usize {
    let first = rng.usize(..hosts.len());
    let mut second = rng.usize(..hosts.len() - 1);
    if second >= first {
        second += 1;
    }
    let better = hosts.usable(second) && (hosts.active(second) < hosts.active(first) || !hosts.usable(first));
    if better { second } else { first }
}

fn cumulate(weights: &[u32]) -> Box<[u64]> {
    weights
        .iter()
        .scan(0u64, |sum, &weight| {
            *sum += u64::from(weight.max(1));
            Some(*sum)
        })
        .collect()
}

#[cfg(test)]
mod tests;
