//! Instructions and heap allocations of a keep-alive GET, with routing, metrics and access log on.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use fairlead_test_load::{Backend, Callgrind, Counts, FAT, Request, Routes, SMALL, drive, is_missing, manifests, open, report};

const CONNECTIONS: usize = 16;
const EACH: usize = 125;
const REQUESTS: f64 = (CONNECTIONS * EACH) as f64;

/// Less than one allocation in a hundred requests: the access log's writer may take a block now and then.
const NO_ALLOCATION: f64 = 0.01;

#[test]
fn a_small_get_takes_few_instructions_and_no_allocation() {
    let Some(counts) = count(SMALL, &Request::small("h42.example.com", "/")) else { return };
    report("instructions per keep-alive GET", counts.instructions as f64 / REQUESTS, 14_000.0);
    println!("{:?}", counts.allocations);
    report("allocations per keep-alive GET", counts.allocated() as f64 / REQUESTS, NO_ALLOCATION);
}

#[test]
fn a_get_with_fourteen_headers_each_way_takes_few_instructions_and_no_allocation() {
    let Some(counts) = count(FAT, &Request::fat("h42.example.com", "/fat/some/longer/path?with=query&and=more")) else { return };
    report("instructions per fat keep-alive GET", counts.instructions as f64 / REQUESTS, 26_000.0);
    println!("{:?}", counts.allocations);
    report("allocations per fat keep-alive GET", counts.allocated() as f64 / REQUESTS, NO_ALLOCATION);
}

/// The count has to see allocations where there are some: new connections take memory.
#[test]
fn allocations_of_new_connections_are_seen() {
    if is_missing("valgrind") {
        return;
    }
    let backend = Backend::start(SMALL);
    let mut callgrind = Callgrind::start(&manifests(Routes { count: 10, own_backends: false }, backend.address.port()));
    let request = Request::small("h1.example.com", "/");
    drop(open(callgrind.subject.address, 4, &request));
    callgrind.take();
    let wires = open(callgrind.subject.address, 50, &request);
    let counts = callgrind.take();
    println!("{:?}", counts.allocations);
    assert!(counts.allocated() >= 50, "{counts:?}");
    drop(wires);
}

fn count(response: &[&str], request: &Request) -> Option<Counts> {
    if is_missing("valgrind") {
        return None;
    }
    let backend = Backend::start(response);
    let mut callgrind = Callgrind::start(&manifests(Routes { count: 100, own_backends: false }, backend.address.port()));
    let mut wires = open(callgrind.subject.address, CONNECTIONS, request);
    drive(&mut wires, 25, request);
    callgrind.take();
    drive(&mut wires, EACH, request);
    Some(callgrind.take())
}
