//! Changes of files that are watched.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use common::{Dir, path_of, route};
use fairlead_crds::Kind;
use fairlead_crds::gateway::HTTPRoute;
use fairlead_store::{Change, Code, Key, Settings, Watch, World};

const SOON: Duration = Duration::from_secs(5);
const NEVER: Duration = Duration::from_millis(150);

fn watch(dir: &Dir, path: &str) -> Watch {
    let mut watch = Watch::open(Settings::new([dir.path(path)]), |_| {});
    assert!(watch.next_within(SOON).is_some(), "the first change is everything");
    assert!(watch.next_within(Duration::from_millis(30)).is_none(), "and nothing more happened");
    watch
}

/// Changes until the World is as expected.
fn until(watch: &mut Watch, expected: impl Fn(&Change) -> bool) -> Change {
    let end = Instant::now() + SOON;
    loop {
        let change = watch.next_within(end.saturating_duration_since(Instant::now())).expect("never came");
        if expected(&change) {
            return change;
        }
    }
}

fn has(world: &World, name: &str, path: &str) -> bool {
    world.all::<HTTPRoute>().find("a", name).is_some() && path_of(world, "a", name) == path
}

#[test]
fn follows_writes_new_files_and_removed_ones() {
    let dir = Dir::new();
    dir.write("d/a.yaml", &route("a", "x", "/1"));
    dir.write("d/b.yaml", &route("a", "w", "/1"));
    let mut watch = watch(&dir, "d");
    dir.write("d/a.yaml", &route("a", "x", "/2"));
    let change = watch.next_within(SOON).unwrap();
    assert_eq!(change.changed, [(Kind::HTTPRoute, Key::new("a", "x"))]);
    assert_eq!(change.problems, [], "no half of a file was read");
    dir.write("d/new/deep/c.yaml", &route("a", "z", "/1"));
    let change = until(&mut watch, |change| has(&change.world, "z", "/1"));
    assert_eq!(change.world.all::<HTTPRoute>().len(), 3);
    dir.write("d/new/deep/c.yaml", &route("a", "z", "/2"));
    until(&mut watch, |change| has(&change.world, "z", "/2"));
    fs::remove_file(dir.path("d/b.yaml")).unwrap();
    let change = watch.next_within(SOON).unwrap();
    assert_eq!(change.changed, [(Kind::HTTPRoute, Key::new("a", "w"))]);
    fs::remove_dir_all(dir.path("d/new")).unwrap();
    until(&mut watch, |change| change.world.all::<HTTPRoute>().len() == 1);
    dir.write("d/notes.txt", "x");
    dir.write("d/.swap.yaml", "x");
    dir.write("d/a.yaml~", "x");
    assert!(watch.next_within(NEVER).is_none(), "nothing that concerns us");
}

#[test]
fn editors_replace_files_and_nothing_flaps() {
    let dir = Dir::new();
    dir.write("d/a.yaml", &route("a", "x", "/1"));
    let mut watch = watch(&dir, "d");
    // Most editors: write a new file, rename it.
    dir.write("d/.a.yaml.new", &route("a", "x", "/2"));
    fs::rename(dir.path("d/.a.yaml.new"), dir.path("d/a.yaml")).unwrap();
    let change = watch.next_within(SOON).unwrap();
    assert!(has(&change.world, "x", "/2"));
    // vim with backup: move the old one away, write a new one, remove the old one.
    fs::rename(dir.path("d/a.yaml"), dir.path("d/a.yaml~")).unwrap();
    std::thread::sleep(Duration::from_millis(10));
    dir.write("d/a.yaml", &route("a", "x", "/3"));
    fs::remove_file(dir.path("d/a.yaml~")).unwrap();
    let change = watch.next_within(SOON).unwrap();
    assert!(has(&change.world, "x", "/3"), "was never gone");
    // Written in pieces.
    let text = route("a", "x", "/4");
    let mut file = fs::File::create(dir.path("d/a.yaml")).unwrap();
    for piece in text.as_bytes().chunks(40) {
        std::io::Write::write_all(&mut file, piece).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(file);
    let change = watch.next_within(SOON).unwrap();
    assert!(has(&change.world, "x", "/4") && change.problems.is_empty(), "{:?}", change.problems);
    // Left open.
    let mut file = fs::File::create(dir.path("d/a.yaml")).unwrap();
    std::io::Write::write_all(&mut file, route("a", "x", "/5").as_bytes()).unwrap();
    until(&mut watch, |change| has(&change.world, "x", "/5"));
}

#[test]
fn a_mounted_config_map_swaps_all_files_at_once() {
    let dir = Dir::new();
    let version = |number: u32| {
        let data = format!("d/..v{number}");
        dir.write(&format!("{data}/a.yaml"), &route("a", "x", &format!("/{number}")));
        dir.write(&format!("{data}/b.yaml"), &route("a", "w", &format!("/{number}")));
        symlink(format!("..v{number}"), dir.path("d/..data_tmp")).unwrap();
        fs::rename(dir.path("d/..data_tmp"), dir.path("d/..data")).unwrap();
        if number > 1 {
            fs::remove_dir_all(dir.path(&format!("d/..v{}", number - 1))).unwrap();
        }
    };
    version(1);
    symlink("..data/a.yaml", dir.path("d/a.yaml")).unwrap();
    symlink("..data/b.yaml", dir.path("d/b.yaml")).unwrap();
    let mut watch = watch(&dir, "d");
    assert_eq!(watch.files().world().all::<HTTPRoute>().len(), 2);
    for number in 2..6 {
        version(number);
        let path = format!("/{number}");
        let change = until(&mut watch, |change| has(&change.world, "x", &path));
        assert!(has(&change.world, "w", &path), "both together");
        assert_eq!(change.world.all::<HTTPRoute>().len(), 2);
    }
}

#[test]
fn a_linked_file_and_a_linked_directory_are_followed_to_what_they_stand_for() {
    let dir = Dir::new();
    dir.write("far/a.yaml", &route("a", "x", "/1"));
    fs::create_dir(dir.path("d")).unwrap();
    symlink(dir.path("far/a.yaml"), dir.path("d/a.yaml")).unwrap();
    let mut first = watch(&dir, "d/a.yaml");
    dir.write("far/a.yaml", &route("a", "x", "/2"));
    until(&mut first, |change| has(&change.world, "x", "/2"));
    dir.write("v2/a.yaml", &route("a", "x", "/3"));
    symlink(dir.path("far"), dir.path("current")).unwrap();
    let mut second = watch(&dir, "current");
    symlink(dir.path("v2"), dir.path("next")).unwrap();
    fs::rename(dir.path("next"), dir.path("current")).unwrap();
    until(&mut second, |change| has(&change.world, "x", "/3"));
    dir.write("v2/a.yaml", &route("a", "x", "/4"));
    until(&mut second, |change| has(&change.world, "x", "/4"));
}

#[test]
fn a_directory_that_vanishes_serves_on_and_recovers() {
    let dir = Dir::new();
    for i in 0..50 {
        dir.write(&format!("p/d/{i}.yaml"), &route("a", &format!("r{i}"), "/1"));
    }
    let mut watch = watch(&dir, "p/d");
    fs::remove_dir_all(dir.path("p")).unwrap();
    let change = watch.next_within(SOON).unwrap();
    assert_eq!((change.changed.len(), change.problems[0].code), (0, Code::Unreadable), "{:?}", change.problems);
    assert_eq!(change.world.all::<HTTPRoute>().len(), 50);
    dir.write("p/d/0.yaml", &route("a", "r0", "/2"));
    let change = until(&mut watch, |change| has(&change.world, "r0", "/2"));
    assert_eq!((change.world.all::<HTTPRoute>().len(), change.problems.len()), (1, 0));
    dir.write("p/d/0.yaml", &route("a", "r0", "/3"));
    until(&mut watch, |change| has(&change.world, "r0", "/3"));
    // Renamed away and back.
    fs::rename(dir.path("p/d"), dir.path("p/e")).unwrap();
    let change = watch.next_within(SOON).unwrap();
    assert_eq!((change.changed.len(), change.problems.len()), (0, 1));
    fs::rename(dir.path("p/e"), dir.path("p/d")).unwrap();
    until(&mut watch, |change| change.problems.is_empty());
    dir.write("p/d/0.yaml", &route("a", "r0", "/4"));
    until(&mut watch, |change| has(&change.world, "r0", "/4"));
}

#[test]
fn a_path_that_is_not_there_yet_is_waited_for() {
    let dir = Dir::new();
    let mut watch = Watch::open(Settings::new([dir.path("later")]), |_| {});
    assert_eq!(watch.next_within(SOON).unwrap().problems[0].code, Code::Unreadable);
    dir.write("later/a.yaml", &route("a", "x", "/1"));
    until(&mut watch, |change| has(&change.world, "x", "/1") && change.problems.is_empty());
}

#[test]
fn problems_come_and_go() {
    let dir = Dir::new();
    dir.write("d/a.yaml", &route("a", "x", "/1"));
    let mut watch = watch(&dir, "d");
    dir.write("d/a.yaml", "kind: [\n");
    let change = watch.next_within(SOON).unwrap();
    assert_eq!((change.changed.len(), change.problems[0].code), (0, Code::Syntax));
    dir.write("d/a.yaml", &route("a", "x", "/1"));
    let change = watch.next_within(SOON).unwrap();
    assert_eq!((change.changed, change.problems), (vec![], vec![]));
}

#[test]
fn what_comes_while_the_caller_is_busy_is_taken_together() {
    let dir = Dir::new();
    dir.write("d/a.yaml", &route("a", "x", "/1"));
    let mut watch = watch(&dir, "d");
    for i in 0..200 {
        dir.write(&format!("d/n{i}.yaml"), &route("a", &format!("n{i}"), "/1"));
        dir.write("d/a.yaml", &route("a", "x", &format!("/{i}")));
    }
    let change = watch.next_within(SOON).unwrap();
    assert_eq!(change.changed.len(), 201);
    assert!(watch.next_within(NEVER).is_none());
}

#[test]
fn it_ends_when_it_is_told_to() {
    let dir = Dir::new();
    dir.write("d/a.yaml", &route("a", "x", "/1"));
    let mut watch = watch(&dir, "d");
    let stopper = watch.stopper();
    let thread = std::thread::spawn(move || watch.next().is_none());
    std::thread::sleep(Duration::from_millis(20));
    stopper.stop();
    assert!(thread.join().unwrap());
}
