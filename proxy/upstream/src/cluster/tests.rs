//! Picks and the endpoint set. Connections: `http1` and `http2`.

mod http1;
mod http2;

use super::*;
use crate::testing::{addresses, cluster, config, list, run};
use fairlead_ir::LoadBalancing;
use std::net::SocketAddr;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn port(pick: &Pick) -> u16 {
    match pick.endpoint().address() {
        Address::Ip(address) => address.port(),
        Address::Unix(_) => 0,
    }
}

fn endpoint(cluster: &Cluster, wanted: u16) -> Rc<Endpoint> {
    cluster.endpoints().iter().find(|e| *e.address() == Address::Ip(address(wanted))).cloned().unwrap()
}

#[test]
fn held_picks_count_as_active_requests() {
    let cluster = cluster(config(), list(&[(address(1), 1), (address(2), 1)]));
    let held: Vec<_> = (0..10).map(|_| cluster.pick(&[]).unwrap()).collect();
    let active = cluster.endpoints().iter().map(|e| e.active()).collect::<Vec<_>>();
    assert_eq!(active, [5, 5], "least request of two keeps them level");
    drop(held);
    assert!(cluster.endpoints().iter().all(|e| e.active() == 0));
}

#[test]
fn retries_avoid_what_was_tried_while_there_is_another() {
    for policy in [LoadBalancing::LeastRequest, LoadBalancing::RoundRobin, LoadBalancing::Random] {
        let cluster = cluster(
            ClusterConfig { load_balancing: policy, ..config() },
            list(&[(address(1), 1), (address(2), 100), (address(3), 1)]),
        );
        for _ in 0..50 {
            let mut tried = Vec::new();
            while tried.len() < 3 {
                let pick = cluster.pick(&tried).unwrap();
                assert!(!tried.iter().any(|t| Rc::ptr_eq(t, pick.endpoint())), "{policy:?}");
                tried.push(pick.endpoint().clone());
            }
            assert!(cluster.pick(&tried).is_some(), "all were tried: any will do");
        }
    }
}

#[test]
fn excluded_endpoints_are_picked_only_when_all_are() {
    let cluster = cluster(config(), list(&[(address(1), 1), (address(2), 1)]));
    endpoint(&cluster, 1).set_eligibility(Eligibility::Excluded);
    assert!((0..100).all(|_| port(&cluster.pick(&[]).unwrap()) == 2));
    let tried = [endpoint(&cluster, 2)];
    assert_eq!(port(&cluster.pick(&tried).unwrap()), 2, "rather tried again than excluded");
    endpoint(&cluster, 2).set_eligibility(Eligibility::Excluded);
    let ports: HashSet<_> = (0..100).map(|_| port(&cluster.pick(&[]).unwrap())).collect();
    assert_eq!(ports.len(), 2);
}

#[test]
fn without_endpoints_there_is_no_pick() {
    let cluster = cluster(config(), list(&[]));
    assert!(cluster.pick(&[]).is_none());
    assert_eq!(cluster.cells().no_endpoint.value(), 1);
    assert!(cluster.is_empty());
    cluster.update_endpoints(list(&[(address(1), 1)]));
    assert_eq!(port(&cluster.pick(&[]).unwrap()), 1);
}

#[test]
fn updates_keep_the_state_of_what_stays() {
    let cluster = cluster(config(), list(&[(address(1), 1), (address(2), 1)]));
    let held = [cluster.pick(&[]).unwrap(), cluster.pick(&[]).unwrap()];
    let (one, two) = (endpoint(&cluster, 1), endpoint(&cluster, 2));
    assert_eq!((one.active(), two.active()), (1, 1));
    cluster.update_endpoints(list(&[(address(3), 1), (address(2), 7)]));
    assert!(Rc::ptr_eq(&two, &endpoint(&cluster, 2)));
    assert_eq!((two.weight(), two.active()), (7, 1));
    assert_eq!(endpoint(&cluster, 3).active(), 0);
    assert!(one.is_retired() && !two.is_retired());
    drop(held);
    assert_eq!((one.active(), two.active()), (0, 0));
    let mut seen = [0; 4];
    for _ in 0..800 {
        seen[usize::from(port(&cluster.pick(&[]).unwrap()))] += 1;
    }
    assert_eq!(seen[1], 0);
    assert!((690..=710).contains(&seen[2]), "weight 7 of 8: {seen:?}");
}

#[test]
fn another_host_name_is_another_endpoint() {
    let named = |hostname: Option<&str>| {
        let mut list = EndpointList::clone(&addresses([(Address::Ip(address(1)), 1)]));
        list.targets[0].hostname = hostname.map(Arc::from);
        Arc::new(list)
    };
    let cluster = cluster(config(), named(Some("a.example")));
    let before = endpoint(&cluster, 1);
    cluster.update_endpoints(named(Some("a.example")));
    assert!(Rc::ptr_eq(&before, &endpoint(&cluster, 1)));
    cluster.update_endpoints(named(Some("b.example")));
    assert_eq!(endpoint(&cluster, 1).hostname(), Some("b.example"));
    assert!(before.is_retired());
}

#[test]
fn retries_are_bounded() {
    let mut config = config();
    config.thresholds.retries = 2;
    let cluster = cluster(config, list(&[]));
    let first = cluster.try_retry();
    let second = cluster.try_retry();
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(cluster.try_retry().err(), Some(crate::RetryRefused::Breaker));
    drop(first);
    assert!(cluster.try_retry().is_ok());
    assert_eq!(cluster.cells().retries_refused.value(), 1);
}

#[test]
fn a_request_through_a_pooled_connection_allocates_nothing() {
    run(async {
        let peer = crate::testing::Plain::start().await;
        for policy in [LoadBalancing::LeastRequest, LoadBalancing::RoundRobin, LoadBalancing::Random] {
            // The second endpoint is never reached: weights differ, and it was tried.
            let cluster = cluster(
                ClusterConfig { load_balancing: policy, ..config() },
                list(&[(peer.address, 5), (address(9), 1)]),
            );
            let other = [endpoint(&cluster, 9)];
            let pick = cluster.pick(&other).unwrap();
            cluster.checkout(&pick, Want::Http1).await.unwrap().finish();
            drop(pick);
            let mut reused = 0;
            let request = || {
                let pick = cluster.pick(&other).unwrap();
                if let Some(upstream) = cluster.try_checkout(&pick, Want::Http1) {
                    upstream.finish();
                    reused += 1;
                }
            };
            let info = allocation_counter::measure(|| std::iter::repeat_with(request).take(100).for_each(drop));
            assert_eq!(reused, 100, "{policy:?}");
            assert_eq!(info.count_total, 0, "{policy:?}: {info:?}");
        }
    });
}
