use super::*;
use std::sync::{Arc, Barrier};

fn budget(percent: u8, min_retries: u32) -> RetryBudget {
    RetryBudget::new(&ir::RetryBudget {
        percent,
        interval: ir::Millis(10_000),
        min_retries,
        min_interval: ir::Millis(1_000),
    })
}

/// Requests that all fail, each tried again as often as it may be. Gives attempts and retries.
fn storm(budget: &RetryBudget, window: &Window, now: Instant, requests: u64, tries: u64) -> (u64, u64) {
    let (mut attempts, mut retries) = (0, 0);
    for _ in 0..requests {
        budget.count(window, now);
        attempts += 1;
        for _ in 0..tries {
            if !budget.allow(window, now) {
                break;
            }
            budget.count(window, now);
            (attempts, retries) = (attempts + 1, retries + 1);
        }
    }
    (attempts, retries)
}

#[test]
fn retries_are_at_most_their_share() {
    for percent in [0, 1, 20, 50, 80] {
        let budget = budget(percent, 0);
        let now = Instant::now();
        let (attempts, retries) = storm(&budget, &Window::new(now), now, 1000, 5);
        let share = u64::from(percent) * attempts / 100;
        assert!(retries <= share, "{percent} %: {retries} of {attempts}");
        assert!(retries + 1 >= share, "{percent} %: no more than {retries} of {attempts}");
    }
    let now = Instant::now();
    assert_eq!(storm(&budget(100, 0), &Window::new(now), now, 10, 5), (60, 50), "of everything, all may be retries");
}

#[test]
fn the_minimum_holds_without_traffic_and_is_not_added_to_the_share() {
    let budget = budget(20, 10);
    let start = Instant::now();
    let window = Window::new(start);
    let (_, retries) = storm(&budget, &window, start, 1, 100);
    assert_eq!(retries, 10);
    let later = start + Duration::from_millis(1_001);
    assert_eq!(storm(&budget, &window, later, 1, 100).1, 10, "the next second has its own");
    let later = start + Duration::from_secs(60);
    let (attempts, retries) = storm(&budget, &window, later, 1000, 5);
    assert!(retries <= attempts / 5, "{retries} of {attempts}: the minimum is part of the share");
}

#[test]
fn requests_count_for_the_interval() {
    let budget = budget(20, 0);
    let start = Instant::now();
    let window = Window::new(start);
    let at = |seconds| start + Duration::from_secs(seconds);
    storm(&budget, &window, start, 1000, 0);
    assert!(budget.allow(&window, at(9)));
    assert!(!budget.allow(&window, at(11)), "the requests are forgotten, the retry is not");
    storm(&budget, &window, at(11), 4, 0);
    assert!(!budget.allow(&window, at(11)), "one of five was");
    assert!(budget.allow(&window, at(20)), "now it is forgotten, too");
    // However long nothing happens.
    assert_eq!(window.advance(start + Duration::from_secs(1_000_000), budget.interval), (0, 0));
}

/// Any number of workers, however uneven their load, keep the whole within the budget.
#[test]
fn the_total_of_all_workers_holds() {
    for (workers, load) in [(2, [500, 500]), (4, [1000, 1]), (8, [3, 40])] {
        let budget = Arc::new(budget(20, 10));
        // One point in time, so that one interval of the minimum is used.
        let now = Instant::now();
        let ready = Arc::new(Barrier::new(workers));
        let threads: Vec<_> = (0..workers)
            .map(|worker| {
                let (budget, ready) = (budget.clone(), ready.clone());
                std::thread::spawn(move || {
                    let window = Window::new(now);
                    ready.wait();
                    storm(&budget, &window, now, load[worker % 2], 5)
                })
            })
            .collect();
        let (mut attempts, mut retries) = (0, 0);
        for thread in threads {
            let (a, r) = thread.join().unwrap();
            (attempts, retries) = (attempts + a, retries + r);
        }
        assert!(retries <= attempts / 5 + 10, "{workers} workers: {retries} retries in {attempts} requests");
        assert!(retries >= 10, "{workers} workers: the minimum holds for all of them together, got {retries}");
    }
}
