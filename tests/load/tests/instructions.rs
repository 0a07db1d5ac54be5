//! Instructions and heap allocations of a keep-alive GET, with routing and metrics, and with the access log too.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use fairlead_test_load::{
    AccessLog, Backend, Callgrind, FAT, Request, Routes, SMALL, drive, is_missing, manifests, open, report,
};

const CONNECTIONS: usize = 16;
const EACH: usize = 125;

/// None; a timer that fires meanwhile may take a block.
const NO_ALLOCATION: f64 = 0.001;

#[test]
fn a_small_get_takes_few_instructions_and_no_allocation() {
    check("keep-alive GET", SMALL, &small(), AccessLog::Off, 14_000.0);
}

#[test]
fn a_get_with_fourteen_headers_each_way_takes_few_instructions_and_no_allocation() {
    let request = Request::fat("h42.example.com", "/fat/some/longer/path?with=query&and=more");
    check("fat keep-alive GET", FAT, &request, AccessLog::Off, 25_000.0);
}

/// A line of JSON has about 500 bytes in 25 members.
#[test]
fn a_logged_get_takes_few_more_instructions_and_no_allocation() {
    check("logged keep-alive GET", SMALL, &small(), AccessLog::Json, 21_000.0);
}

/// Of a traced listener's requests most are not recorded: they are read, decided upon, and told to the backend.
#[test]
fn an_unrecorded_get_of_a_traced_listener_takes_few_more_instructions_and_no_allocation() {
    let policy = "---
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XTelemetryPolicy
metadata: {name: load, namespace: default}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: load}]
  tracing: {mode: Enabled, samplingRate: {numerator: 0}, provider: {backendRef: {name: b0, port: 80}}}
";
    check_with("unrecorded keep-alive GET", SMALL, &small(), AccessLog::Off, 15_000.0, policy);
}

/// The count has to see allocations where there are some: new connections take memory.
#[test]
fn allocations_of_new_connections_are_seen() {
    if is_missing("valgrind") {
        return;
    }
    let backend = Backend::start(SMALL);
    let mut callgrind = Callgrind::start(&manifests(HUNDRED, backend.address.port()), AccessLog::Off);
    drop(open(callgrind.subject.address, 4, &small()));
    callgrind.take();
    let wires = open(callgrind.subject.address, 50, &small());
    let allocations = callgrind.take().allocations;
    println!("for 50 connections: {allocations:?}");
    assert!(allocations.values().sum::<u64>() >= 50, "{allocations:?}");
    drop(wires);
}

const HUNDRED: Routes = Routes { count: 100, own_backends: false };

fn small() -> Request {
    Request::small("h42.example.com", "/")
}

fn check(what: &str, response: &[&str], request: &Request, log: AccessLog, budget: f64) {
    check_with(what, response, request, log, budget, "");
}

fn check_with(what: &str, response: &[&str], request: &Request, log: AccessLog, budget: f64, more: &str) {
    if is_missing("valgrind") {
        return;
    }
    let backend = Backend::start(response);
    let manifests = manifests(HUNDRED, backend.address.port()) + more;
    let mut callgrind = Callgrind::start(&manifests, log);
    let mut wires = open(callgrind.subject.address, CONNECTIONS, request);
    backend.gather(CONNECTIONS);
    drive(&mut wires, 25, request);
    callgrind.take();
    drive(&mut wires, EACH, request);
    let counts = callgrind.take();
    let requests = (CONNECTIONS * EACH) as f64;
    println!("{what}: the costliest functions, instructions per request\n{}", counts.costliest(requests));
    println!("{what}: allocations in {requests} requests {:?}", counts.allocations);
    report(&format!("allocations per {what}"), counts.allocated() as f64 / requests, NO_ALLOCATION);
    report(&format!("instructions per {what}"), counts.instructions as f64 / requests, budget);
}
