use super::*;

struct Fixture {
    active: Vec<Cell<u32>>,
    unusable: Vec<usize>,
}

impl Hosts for Fixture {
    fn len(&self) -> usize {
        self.active.len()
    }
    fn active(&self, index: usize) -> u32 {
        self.active[index].get()
    }
    fn usable(&self, index: usize) -> bool {
        !self.unusable.contains(&index)
    }
}

fn idle(n: usize) -> Fixture {
    Fixture { active: vec![Cell::new(0); n], unusable: Vec::new() }
}

fn count(policy: LoadBalancing, weights: &[u32], hosts: &Fixture, picks: usize, seed: u64) -> Vec<f64> {
    let mut rng = Rng::with_seed(seed);
    let balancer = Balancer::new(policy, weights, &mut rng);
    let mut counts = vec![0.0; weights.len()];
    for _ in 0..picks {
        counts[balancer.pick(hosts, &mut rng).unwrap()] += 1.0;
    }
    counts
}

/// Pearson's statistic against shares in proportion to `weights`.
fn chi_square(counts: &[f64], weights: &[u32]) -> f64 {
    let total: f64 = counts.iter().sum();
    let weight: f64 = weights.iter().copied().map(f64::from).sum();
    counts
        .iter()
        .zip(weights)
        .map(|(&seen, &w)| {
            let expected = total * f64::from(w) / weight;
            (seen - expected).powi(2) / expected
        })
        .sum()
}

/// 99.9 % quantiles of the chi-square distribution by degrees of freedom.
const CRITICAL: [f64; 8] = [f64::NAN, 10.83, 13.82, 16.27, 18.47, 20.52, 22.46, 24.32];

const EQUAL: [u32; 6] = [3; 6];
const UNEQUAL: [u32; 5] = [1, 2, 3, 10, 100];

#[test]
fn every_policy_keeps_to_the_weights_when_nothing_is_busy() {
    for policy in [LoadBalancing::LeastRequest, LoadBalancing::RoundRobin, LoadBalancing::Random] {
        for seed in 0..10 {
            for weights in [&EQUAL[..], &UNEQUAL[..]] {
                let counts = count(policy, weights, &idle(weights.len()), 23_200, seed);
                let x = chi_square(&counts, weights);
                assert!(x < CRITICAL[weights.len() - 1], "{policy:?} {weights:?} seed {seed}: {counts:?} χ² {x}");
            }
        }
    }
}

#[test]
fn the_statistic_would_notice_wrong_shares() {
    let counts = count(LoadBalancing::Random, &EQUAL, &idle(6), 23_200, 1);
    assert!(chi_square(&counts, &[3, 3, 3, 3, 3, 4]) > CRITICAL[5]);
}

#[test]
fn round_robin_is_exact_in_every_window() {
    let mut rng = Rng::with_seed(7);
    let balancer = Balancer::new(LoadBalancing::RoundRobin, &[1, 1, 1, 1], &mut rng);
    let hosts = idle(4);
    for _ in 0..10 {
        let mut window: Vec<_> = (0..4).map(|_| balancer.pick(&hosts, &mut rng).unwrap()).collect();
        window.sort_unstable();
        assert_eq!(window, [0, 1, 2, 3]);
    }
}

#[test]
fn weighted_round_robin_is_smooth() {
    let mut rng = Rng::with_seed(3);
    let balancer = Balancer::new(LoadBalancing::RoundRobin, &[1, 3], &mut rng);
    let hosts = idle(2);
    let picks: Vec<_> = (0..400).map(|_| balancer.pick(&hosts, &mut rng).unwrap()).collect();
    for window in picks.windows(4) {
        let light = window.iter().filter(|&&i| i == 0).count();
        assert_eq!(light, 1, "{window:?}");
    }
}

#[test]
fn workers_start_at_different_endpoints() {
    for weights in [&[1, 1, 1, 1][..], &[1, 1, 1, 2][..]] {
        let firsts: std::collections::BTreeSet<_> = (0..64)
            .map(|seed| {
                let mut rng = Rng::with_seed(seed);
                Balancer::new(LoadBalancing::RoundRobin, weights, &mut rng).pick(&idle(4), &mut rng).unwrap()
            })
            .collect();
        assert_eq!(firsts.len(), 4, "{weights:?}");
    }
}

#[test]
fn least_request_of_two_takes_the_less_busy() {
    let hosts = idle(2);
    hosts.active[0].set(1);
    assert_eq!(count(LoadBalancing::LeastRequest, &[1, 1], &hosts, 1000, 5), [0.0, 1000.0]);
}

#[test]
fn two_choices_of_many_avoid_the_busiest() {
    let hosts = idle(5);
    hosts.active[2].set(9);
    let counts = count(LoadBalancing::LeastRequest, &[1; 5], &hosts, 10_000, 5);
    assert_eq!(counts[2], 0.0);
    let others: Vec<_> = counts.iter().copied().filter(|&c| c > 0.0).collect();
    assert!(chi_square(&others, &[1; 4]) < CRITICAL[3]);
}

#[test]
fn two_choices_still_use_endpoints_of_middling_load() {
    // With n endpoints of loads 0..n, the k-th least busy is taken when it is drawn with one that is busier:
    // 2(n-1-k) / n(n-1).
    let hosts = idle(4);
    for (load, cell) in (0..).zip(&hosts.active) {
        cell.set(load);
    }
    let counts = count(LoadBalancing::LeastRequest, &[1; 4], &hosts, 12_000, 11);
    assert_eq!(counts[3], 0.0);
    assert!(chi_square(&counts[..3], &[3, 2, 1]) < CRITICAL[2], "{counts:?}");
}

#[test]
fn weighted_least_request_moves_away_from_load() {
    // Weight / (active + 1): 4/4 against 1/1, so that both get half.
    let hosts = idle(2);
    hosts.active[0].set(3);
    let counts = count(LoadBalancing::LeastRequest, &[4, 1], &hosts, 10_000, 5);
    assert!(chi_square(&counts, &[1, 1]) < CRITICAL[1], "{counts:?}");
}

#[test]
fn unusable_ones_are_left_out_and_the_rest_keeps_its_shares() {
    for policy in [LoadBalancing::LeastRequest, LoadBalancing::RoundRobin, LoadBalancing::Random] {
        let hosts = Fixture { unusable: vec![1], ..idle(4) };
        let counts = count(policy, &[2, 2, 3, 5], &hosts, 20_000, 9);
        assert_eq!(counts[1], 0.0);
        let rest = [counts[0], counts[2], counts[3]];
        assert!(chi_square(&rest, &[2, 3, 5]) < CRITICAL[2], "{policy:?} {counts:?}");
    }
}

#[test]
fn a_single_usable_one_among_many_is_found() {
    for policy in [LoadBalancing::LeastRequest, LoadBalancing::RoundRobin, LoadBalancing::Random] {
        let mut weights = vec![1000; 50];
        weights[17] = 1;
        let hosts = Fixture { unusable: (0..50).filter(|&i| i != 17).collect(), ..idle(50) };
        assert_eq!(count(policy, &weights, &hosts, 100, 1)[17], 100.0);
        assert_eq!(count(policy, &[1; 50], &hosts, 100, 1)[17], 100.0);
    }
}

#[test]
fn nothing_usable_is_none() {
    for policy in [LoadBalancing::LeastRequest, LoadBalancing::RoundRobin, LoadBalancing::Random] {
        let mut rng = Rng::with_seed(1);
        for n in [0usize, 1, 2, 5] {
            let hosts = Fixture { unusable: (0..n).collect(), ..idle(n) };
            let balancer = Balancer::new(policy, &vec![1; n], &mut rng);
            assert_eq!(balancer.pick(&hosts, &mut rng), None);
        }
    }
}
