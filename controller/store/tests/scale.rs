//! Many objects. Times are for unoptimised builds on busy machines; `--nocapture` shows the real ones.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use common::{Dir, route};
use fairlead_crds::Kind;
use fairlead_crds::gateway::HTTPRoute;
use fairlead_store::{Files, Key, Progress, Settings, Watch};

/// How much slower than when optimised.
const SLACK: u32 = if cfg!(debug_assertions) { 60 } else { 4 };

fn text(routes: std::ops::Range<usize>, path: impl Fn(usize) -> String) -> String {
    routes.fold(String::new(), |mut text, i| {
        let _ = write!(text, "---\n{}", route(&format!("ns{}", i % 10), &format!("r{i}"), &path(i)));
        text
    })
}

#[test]
fn a_hundred_thousand_objects_load_with_progress() {
    let objects = if cfg!(debug_assertions) { 20_000 } else { 100_000 };
    let dir = Dir::new();
    for file in 0..100 {
        let share = objects / 200;
        dir.write(&format!("d{}/{file}.yaml", file % 10), &text(file * share..(file + 1) * share, |i| format!("/{i}")));
    }
    dir.write("one-big.yaml", &text(objects / 2..objects, |i| format!("/{i}")));
    let mut seen: Vec<Progress> = Vec::new();
    let start = Instant::now();
    let mut files = Files::open(Settings::new([dir.root()]), |progress| seen.push(progress));
    let took = start.elapsed();
    println!("{objects} objects, {:.1} MB: {took:?}", seen.last().unwrap().bytes_total as f64 / 1e6);
    assert_eq!(files.world().all::<HTTPRoute>().len(), objects);
    assert!(seen.len() > 1 && seen.windows(2).all(|pair| pair[0].objects <= pair[1].objects), "{seen:?}");
    let last = seen.last().unwrap();
    assert_eq!((last.files, last.files_total, last.objects), (101, 101, objects));
    assert_eq!(last.bytes, last.bytes_total);
    assert!(took < Duration::from_secs(2) * SLACK, "{took:?}");
    let start = Instant::now();
    assert!(files.refresh().is_none());
    println!("nothing changed: {:?}", start.elapsed());
}

#[test]
fn one_changed_route_among_ten_thousand() {
    const ROUTES: usize = 10_000;
    let path = |i: usize| format!("/{i}");
    let cases: [(&str, usize); 3] = [("a file each", ROUTES), ("100 files", 100), ("one file", 1)];
    for (name, count) in cases {
        let dir = Dir::new();
        let share = ROUTES / count;
        for file in 0..count {
            dir.write(&format!("{file}.yaml"), &text(file * share..(file + 1) * share, path));
        }
        let mut watch = Watch::open(Settings::new([dir.root()]), |_| {});
        assert_eq!(watch.next_within(Duration::from_secs(60)).unwrap().changed.len(), ROUTES + 10);
        let mut times = Vec::new();
        for round in 0..7 {
            let changed = |i: usize| if i == 5_000 { format!("/changed/{round}") } else { path(i) };
            let file = 5_000 / share;
            let new = text(file * share..(file + 1) * share, changed);
            // Moved into place, so that writing takes no part in what is measured.
            dir.write("new.tmp", &new);
            let start = Instant::now();
            std::fs::rename(dir.path("new.tmp"), dir.path(&format!("{file}.yaml"))).unwrap();
            let change = watch.next_within(Duration::from_secs(60)).unwrap();
            times.push(start.elapsed());
            assert_eq!(change.changed, [(Kind::HTTPRoute, Key::new("ns0", "r5000"))]);
        }
        times.sort();
        println!("one of {ROUTES} routes, {name}: median {:?}, worst {:?}", times[3], times[6]);
        assert!(times[3] < Duration::from_millis(20) * SLACK, "{name}: {times:?}");
    }
}
