//! System calls of a keep-alive GET.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use fairlead_test_load::{
    AccessLog, Backend, Request, Routes, SMALL, Subject, count_calls, drive, is_missing, manifests, open, report,
};

const CONNECTIONS: usize = 32;
const EACH: usize = 500;

/// Two reads, two writes and a share of an epoll wait: no read just to see `EAGAIN`, no timer, no wake-up by file descriptor.
/// With the access log on: its writer adds a few in a hundred requests.
#[test]
fn a_keep_alive_get_takes_four_system_calls() {
    if is_missing("strace") {
        return;
    }
    let backend = Backend::start(SMALL);
    let subject =
        Subject::start(&manifests(Routes { count: 100, own_backends: false }, backend.address.port()), AccessLog::Json);
    let request = Request::small("h42.example.com", "/");
    let mut wires = open(subject.address, CONNECTIONS, &request);
    backend.gather(CONNECTIONS);
    drive(&mut wires, 20, &request);
    let calls = count_calls(subject.process.id(), || drive(&mut wires, EACH, &request));
    println!("{}", calls.per_request(CONNECTIONS * EACH));
    report("system calls per keep-alive GET", calls.total() as f64 / (CONNECTIONS * EACH) as f64, 4.2);
}
