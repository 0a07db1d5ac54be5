//! A changed route touches its host names' buckets and nothing else.

use super::{entry, exact, found, get, prefix, route, table};
use crate::hosts::Hosts;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[test]
fn other_host_names_are_shared() {
    let routes: Vec<_> = (0..100).map(|i| route(&format!("r{i}/0"), &[&format!("h{i}")], vec![])).collect();
    let before = table(&routes);
    let after = before.update(&["r7/0".into()], [entry(&route("r3/0", &["h3", "h4"], vec![exact("/new")]))]);
    for i in 0..100 {
        let host = format!("h{i}");
        let pair = (before.bucket(&host), after.bucket(&host));
        match i {
            7 => assert!(pair.1.is_none(), "an empty bucket goes away"),
            3 | 4 => assert!(!Arc::ptr_eq(pair.0.unwrap(), pair.1.unwrap())),
            _ => assert!(Arc::ptr_eq(pair.0.unwrap(), pair.1.unwrap()), "{host}"),
        }
    }
    assert_eq!(found(&after, &get("h3/")), None);
    assert_eq!(found(&after, &get("h3/new")), Some("r3/0"));
    assert_eq!(found(&after, &get("h4/new")), Some("r3/0"));
    assert_eq!(found(&after, &get("h4/other")), Some("r4/0"));
    assert_eq!(found(&before, &get("h3/")), Some("r3/0"), "the old table is as it was");
}

#[test]
fn host_names_come_and_go() {
    let mut hosts = Hosts::default();
    for name in [None, Some("a"), Some("*.a"), Some("*.b.a")] {
        hosts.insert(name, name);
    }
    assert_eq!(hosts.first(b"c.b.a", |v| Some(*v)), Some(Some("*.b.a")));
    hosts.remove(Some("*.b.a"));
    assert_eq!(hosts.first(b"c.b.a", |v| Some(*v)), Some(Some("*.a")));
    hosts.remove(Some("*.a"));
    hosts.remove(Some("*.a"));
    assert_eq!(hosts.first(b"c.b.a", |v| Some(*v)), Some(None));
    hosts.remove(None);
    assert_eq!(hosts.first(b"c.b.a", |v| Some(*v)), None);
    assert_eq!(hosts.len(), 1);
}

/// One changed route among 10,000 is served within 20 ms of the file's change; the table's share is a few. The bound is loose because
/// tests run unoptimised, beside others.
#[test]
fn one_change_among_ten_thousand_is_quick() {
    for host in [|_: usize| "h".to_owned(), |i: usize| format!("h{i}")] {
        let routes: Vec<_> =
            (0..10_000).map(|i| route(&format!("r{i}/0"), &[&host(i)], vec![prefix(&format!("/p{i}"))])).collect();
        let before = table(&routes);
        let changed = entry(&route("r77/0", &[&host(77)], vec![prefix("/changed")]));
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let start = Instant::now();
            let after = before.update(&[], [changed.clone()]);
            best = best.min(start.elapsed());
            assert_eq!(found(&after, &get(&format!("{}/changed/x", host(77)))), Some("r77/0"));
            assert_eq!(found(&after, &get(&format!("{}/p77", host(77)))), None);
        }
        assert!(best < Duration::from_millis(200), "{best:?}");
    }
}
