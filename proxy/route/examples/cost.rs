//! What a look-up and a change cost as tables grow: `cargo run --release -p fairlead-route --example cost [FILTER [ROUNDS]]`.
#![allow(clippy::unwrap_used)]

use fairlead_ir::{HeaderMatch, Order, PathMatch, Route, RouteKind, RouteMatch, StringMatch, Timeouts};
use fairlead_route::{Entry, Probe, Table};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn main() {
    println!("{:<44}{:>10}{:>14}{:>14}", "", "ns/find", "bytes/route", "ms/change");
    for n in [10, 500, 10_000] {
        let path = |i: usize| prefix(&format!("/service-{i}/api"));
        report(
            &format!("{n} prefixes on one host"),
            n,
            |_| "shop.example.com".into(),
            path,
            |i| format!("/service-{i}/api/v1/items"),
        );
    }
    for n in [10, 500, 10_000] {
        let path = |i: usize| PathMatch::Exact(format!("/service-{i}/api").into());
        report(
            &format!("{n} exact paths on one host"),
            n,
            |_| "shop.example.com".into(),
            path,
            |i| format!("/service-{i}/api"),
        );
    }
    for n in [10, 500, 10_000] {
        report(
            &format!("{n} hosts"),
            n,
            |i| format!("host-{i}.example.com"),
            |_| prefix("/"),
            |_| "/api/v1/items".into(),
        );
    }
    for n in [10, 500, 10_000] {
        report(
            &format!("{n} wildcard hosts"),
            n,
            |i| format!("*.host-{i}.example.com"),
            |_| prefix("/"),
            |_| "/api/v1/items".into(),
        );
    }
    for n in [10, 100] {
        let path = |i: usize| PathMatch::Regex(format!(r"/service-{i}/v\d+/[^/]+").into());
        report(
            &format!("{n} regular expressions on one host"),
            n,
            |_| "shop.example.com".into(),
            path,
            |i| format!("/service-{i}/v1/items"),
        );
    }
}

fn report(
    name: &str,
    n: usize,
    host: impl Fn(usize) -> String,
    path: impl Fn(usize) -> PathMatch,
    request: impl Fn(usize) -> String,
) {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().is_some_and(|filter| !name.contains(&filter)) {
        return;
    }
    let rounds = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(9);
    let entry = |i: usize| Arc::new(Entry::compile(&route(i, &host(i), path(i)).into(), ()).unwrap());
    let table = Table::build((0..n).map(entry));
    let requests: Vec<Probe> = (0..1024)
        .map(|i| {
            let i = i * 7919 % n;
            let headers = vec![("accept".into(), "*/*".into()), ("user-agent".into(), "cost".into())];
            let host = host(i).replace('*', "www");
            Probe { host, path: request(i), query: None, method: "GET".into(), headers, port: 80 }
        })
        .collect();
    let best = best_of(rounds, || {
        let start = Instant::now();
        for request in &requests {
            assert!(black_box(table.find(black_box(request))).is_some());
        }
        start.elapsed() / 1024
    });
    let changed = entry(n / 2);
    let change = best_of(5, || {
        let start = Instant::now();
        let after = black_box(table.update(&[], [changed.clone()]));
        let taken = start.elapsed();
        drop(after);
        taken
    });
    println!("{name:<44}{:>10}{:>14}{:>14.3}", best.as_nanos(), table.memory() / n, change.as_secs_f64() * 1e3);
}

fn best_of(rounds: usize, mut f: impl FnMut() -> Duration) -> Duration {
    (0..rounds).map(|_| f()).min().unwrap_or_default()
}

fn prefix(path: &str) -> PathMatch {
    PathMatch::Prefix(path.into())
}

fn route(i: usize, host: &str, path: PathMatch) -> Route {
    let header = HeaderMatch { name: "x-canary".into(), value: StringMatch::Exact("yes".into()) };
    let plain = RouteMatch { path: Some(path.clone()), ..RouteMatch::default() };
    let canary = RouteMatch { path: Some(path), headers: vec![header], ..RouteMatch::default() };
    Route {
        id: format!("httproute/ns/route-{i}/0").into(),
        name: format!("ns/route-{i}").into(),
        rule: None,
        kind: RouteKind::Http,
        listeners: Vec::new(),
        hostnames: vec![host.into()],
        matches: vec![plain, canary],
        order: Order { created: 0, object: format!("ns/route-{i}").into(), rule: 0 },
        filters: Vec::new(),
        backends: Vec::new(),
        broken: None,
        timeouts: Timeouts::default(),
        retry: None,
    }
}
