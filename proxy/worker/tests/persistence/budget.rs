use crate::house::*;
use fairlead_ir as ir;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

fn budget(percent: u8, min_retries: u32) -> ir::RetryBudget {
    // Long enough that a slow machine sees one interval of each.
    ir::RetryBudget { percent, interval: ir::Millis(600_000), min_retries, min_interval: ir::Millis(600_000) }
}

fn proxy(workers: usize, backends: &[SocketAddr], retry_budget: Option<ir::RetryBudget>) -> Proxy {
    let retry = ir::Retry { codes: vec![500], attempts: 3, backoff: Some(ir::Millis(1)) };
    let mut all = cluster("c", backends, retry_budget);
    all.extend([route(vec![backend("c", 1, None)], Some(retry)), listener()]);
    Proxy::start(workers, all)
}

#[test]
fn retries_of_all_workers_stay_within_the_budget() {
    const REQUESTS: usize = 200;
    let (address, count) = server(500, "");
    let proxy = proxy(3, &[address], Some(budget(20, 5)));
    let refused = (0..REQUESTS).filter(|_| proxy.ask("").status == 503).count();
    let attempts = count.load(Ordering::SeqCst);
    let retries = attempts - REQUESTS;
    assert!(retries <= attempts / 5 + 5, "{retries} retries of {attempts} attempts");
    assert!(retries >= REQUESTS / 8, "only {retries} retries of {attempts} attempts: the budget is not used");
    let metrics = proxy.registry.cluster("c");
    let total = |value: fn(&fairlead_telemetry::ClusterCells) -> u64| (0..3).map(|w| value(metrics.at(w))).sum::<u64>();
    assert_eq!(total(|cells| cells.retries.value()) as usize, retries);
    assert_eq!(total(|cells| cells.retries_refused.value()) as usize, refused);
}

#[test]
fn what_is_over_the_budget_is_a_503() {
    let (address, count) = server(500, "");
    let proxy = proxy(1, &[address], Some(budget(0, 4)));
    // Three retries, then one, then none.
    let answers: Vec<_> = (0..3).map(|_| proxy.ask("")).collect();
    assert_eq!(answers.iter().map(|a| a.status).collect::<Vec<_>>(), [500, 503, 503]);
    assert_eq!(answers[1].text(), "retry budget exceeded");
    assert_eq!(count.load(Ordering::SeqCst), 3 + 4);
}

#[test]
fn without_a_budget_every_request_has_its_retries() {
    let (address, count) = server(500, "");
    let proxy = proxy(1, &[address], None);
    for _ in 0..50 {
        assert_eq!(proxy.ask("").status, 500);
    }
    assert_eq!(count.load(Ordering::SeqCst), 200);
}

#[test]
fn connections_that_fail_count_as_well() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = proxy(1, &[dead], Some(budget(0, 2)));
    let answer = proxy.ask("");
    assert_eq!((answer.status, answer.text()), (503, "retry budget exceeded".to_owned()));
    assert_eq!(proxy.registry.cluster("c").at(0).retries.value(), 2);
}

#[test]
fn requests_that_succeed_make_room() {
    let (good, _) = server(200, "");
    let proxy = proxy(1, &[good], Some(budget(50, 0)));
    for _ in 0..40 {
        assert_eq!(proxy.ask("").status, 200);
    }
    let (bad, count) = server(500, "");
    proxy.push(vec![endpoints("c", &[bad])]);
    for _ in 0..10 {
        assert_eq!(proxy.ask("").status, 500, "within the budget the last answer is passed on");
    }
    assert_eq!(count.load(Ordering::SeqCst), 40);
}
