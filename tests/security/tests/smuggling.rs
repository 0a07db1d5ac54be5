//! Request smuggling over HTTP/1: framing that two readers could take differently is refused, and what is passed on has one reading only.
//!
//! The proof is at the backend, which records every byte: for each case it must have seen exactly the requests that the table says, and
//! nothing that it could not read.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod corpus;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use corpus::{Case, Expect, cases};
use fairlead_test_security::{manifests, recorded};
use fairlead_testkit::{Proxy, Wire};

/// Cases that are let through today, and why; noticed when they are fixed.
const KNOWN: &[(&str, &str)] = &[];

/// Clients at a time.
const THREADS: usize = 16;

/// What a client sees of a case.
fn run(address: std::net::SocketAddr, number: usize, case: &Case) -> Result<(), String> {
    let mut wire = Wire::connect(address);
    wire.send(case.bytes(number));
    let (passed, refused) = match case.expect {
        Expect::Refuse(status) => (0, Some(status)),
        Expect::Abort => (0, Some(400)),
        Expect::Pass(requests) => (requests.len(), None),
        Expect::PassThen(requests, status) => (requests.len(), Some(status)),
    };
    for n in 0..passed {
        let answer =
            wire.response(case.bytes(number).starts_with(b"HEAD")).ok_or_else(|| format!("no response {n}"))?;
        (answer.status == 200).then_some(()).ok_or_else(|| format!("response {n} is {}", answer.status))?;
    }
    let Some(status) = refused else { return Ok(()) };
    match wire.response(false) {
        None if status == 0 => {}
        Some(answer) if answer.status == status => {}
        // Trailers beyond their limit.
        Some(answer) if matches!(case.expect, Expect::Abort) && answer.status == 431 => {}
        other => return Err(format!("{:?} instead of {status}", other.map(|a| a.status))),
    }
    match wire.read_to_end(Duration::from_secs(3)) {
        Some(rest) if rest.is_empty() => Ok(()),
        Some(rest) => Err(format!("more after the refusal: {}", rest.escape_ascii())),
        None => Err("the connection stays open after the refusal".into()),
    }
}

#[test]
fn the_backend_sees_what_was_meant_and_nothing_else() {
    let (proxy, backend) = recorded();
    let address = proxy.address(80);
    let cases = cases();
    assert!(cases.len() >= 250, "{} cases", cases.len());
    let mut wrong = BTreeMap::<usize, String>::new();
    std::thread::scope(|scope| {
        let results: Vec<_> = (0..THREADS)
            .map(|thread| {
                let own = cases.iter().enumerate().skip(thread).step_by(THREADS);
                scope.spawn(move || {
                    own.filter_map(|(n, case)| run(address, n, case).err().map(|e| (n, e))).collect::<Vec<_>>()
                })
            })
            .collect();
        for result in results {
            wrong.extend(result.join().unwrap());
        }
    });
    std::thread::sleep(Duration::from_millis(300));
    let seen = backend.seen();
    assert!(seen.malformed.is_empty(), "the backend got what it can't read: {:#?}", seen.malformed);
    for (n, case) in cases.iter().enumerate() {
        let (own, smuggled) = (format!("/c{n:03}"), format!("/s{n:03}"));
        let about = |path: &str| path.contains(&own) || path.contains(&smuggled);
        let got: Vec<(String, String)> = seen
            .requests
            .iter()
            .filter(|r| about(&r.head))
            .map(|r| (r.path().to_owned(), String::from_utf8_lossy(&r.body).into_owned()))
            .collect();
        if got != case.requests(n) {
            wrong.insert(n, format!("the backend saw {got:?} instead of {:?}", case.requests(n)));
        }
        // What was cut off may hold the start of the request, never a second one.
        if seen.partial.iter().any(|bytes| bytes.contains(&format!("GET {smuggled}"))) && case.requests(n).is_empty() {
            wrong.insert(n, "a part of the smuggled request went on".into());
        }
    }
    let known: BTreeMap<&str, &str> = KNOWN.iter().copied().collect();
    let new: Vec<String> = wrong
        .iter()
        .filter(|(n, _)| !known.contains_key(cases[**n].name))
        .map(|(n, why)| format!("{}: {why}", cases[*n].name))
        .collect();
    let fixed: Vec<&str> =
        known.keys().copied().filter(|name| !wrong.keys().any(|n| cases[*n].name == *name)).collect();
    assert!(new.is_empty(), "{} of {} cases:\n{}", new.len(), cases.len(), new.join("\n"));
    assert!(fixed.is_empty(), "fixed, take them out of KNOWN: {fixed:?}");
}

/// Whatever was refused before, other clients are served, on the same upstream connections.
#[test]
fn refusals_harm_nobody_else() {
    let (proxy, backend) = recorded();
    let mut good = Wire::connect(proxy.address(80));
    for (n, case) in
        cases().into_iter().enumerate().filter(|(_, case)| matches!(case.expect, Expect::Refuse(_))).step_by(5)
    {
        Wire::connect(proxy.address(80)).send(case.bytes(n));
        let path = format!("/good-{n}");
        assert_eq!(good.get("test", &path).text(), "ok", "{}", case.name);
        let last = backend.seen().requests.pop().unwrap();
        assert_eq!((last.path(), last.body.len()), (path.as_str(), 0), "{}", case.name);
    }
}

/// The same cases in pieces: where a read ends changes nothing.
#[test]
fn pieces_change_nothing() {
    let (proxy, backend) = recorded();
    let (address, cases) = (proxy.address(80), cases());
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let pieces: Vec<_> = cases
            .iter()
            .enumerate()
            .filter(|(_, case)| case.bytes(0).len() < 300)
            .map(|(n, case)| {
                scope.spawn(move || {
                    let mut wire = Wire::connect(address);
                    for piece in case.bytes(n).chunks(7) {
                        wire.send(piece);
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    let answer = wire.response(case.bytes(n).starts_with(b"HEAD")).map(|a| a.status);
                    let right = match case.expect {
                        Expect::Refuse(status) => answer == Some(status),
                        Expect::Abort => matches!(answer, None | Some(400 | 431)),
                        Expect::Pass(_) | Expect::PassThen(..) => answer == Some(200),
                    };
                    (!right).then(|| format!("{}: {answer:?}", case.name))
                })
            })
            .collect();
        pieces.into_iter().filter_map(|piece| piece.join().unwrap()).collect()
    });
    std::thread::sleep(Duration::from_millis(200));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let seen = backend.seen();
    assert!(seen.malformed.is_empty(), "{:#?}", seen.malformed);
    for (n, case) in cases.iter().enumerate().filter(|(_, case)| case.requests(0).len() < 2) {
        assert!(!seen.requests.iter().any(|r| r.path().contains(&format!("/s{n:03}"))), "{}", case.name);
    }
}

/// A backend that answers before it has the content: what is left of the content is never read as a request, because the connection is not
/// used again.
#[test]
fn what_is_left_of_a_request_is_no_request() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::serve(&manifests(listener.local_addr().unwrap().port(), false), &[80]);
    let (told, connections) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let told = told.clone();
            std::thread::spawn(move || {
                // Answers the first head at once, then only listens.
                let (mut got, mut buf, mut answered) = (Vec::new(), [0; 4096], false);
                while let Ok(n @ 1..) = stream.read(&mut buf) {
                    got.extend_from_slice(&buf[..n]);
                    if !answered && got.windows(4).any(|w| w == b"\r\n\r\n") {
                        answered = true;
                        let close = if got.starts_with(b"POST /first") { "" } else { "connection: close\r\n" };
                        let _ = write!(stream, "HTTP/1.1 200 OK\r\n{close}content-length: 2\r\n\r\nok");
                    }
                }
                let _ = told.send(String::from_utf8_lossy(&got).into_owned());
            });
        }
    });
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut wire = Wire::connect(proxy.address(80));
    wire.send(format!("POST /first HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", smuggled.len() + 5));
    assert_eq!(wire.response(false).unwrap().text(), "ok");
    wire.send(smuggled);
    for n in 0..5 {
        assert_eq!(Wire::connect(proxy.address(80)).get("test", &format!("/next-{n}")).text(), "ok");
    }
    drop(wire);
    drop(proxy);
    let mut requests = 0;
    while let Ok(bytes) = connections.recv_timeout(Duration::from_secs(2)) {
        let (head, rest) = bytes.split_once("\r\n\r\n").unwrap();
        assert!(!head.contains("smuggled"), "{bytes}");
        if head.starts_with("POST /first") {
            assert!(smuggled.starts_with(rest), "nothing but its own content follows: {bytes}");
        }
        requests += 1;
    }
    assert!(requests >= 2, "{requests}");
}
