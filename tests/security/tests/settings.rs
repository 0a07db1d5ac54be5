//! Where strictness has a knob: what each setting of `--escaped-slashes` and `--underscores` lets through, and what none does.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use bytes::Bytes;
use fairlead_test_security::{Got, Guarded, manifests};
use fairlead_testkit::{Answer, Ask, Content, Echo, Proxy, Version, ask, wait_until};

const VERSIONS: [Version; 2] = [Version::H1, Version::H2];

/// What becomes of a path.
enum Fate {
    Guarded(&'static str),
    Open(&'static str),
    Refused,
    /// 307 to this path; no backend sees anything.
    Sent(&'static str),
}

use Fate::{Guarded as ToGuarded, Open, Refused, Sent};

fn check_paths(setting: &str, cases: &[(&str, Fate)]) {
    let house = Guarded::start(&["--escaped-slashes", setting]);
    for version in VERSIONS {
        for (n, (path, fate)) in cases.iter().enumerate() {
            let case = format!("{version:?}-{n}");
            let answer = ask(version, house.proxy.address(80), &Ask::get(path).header("x-case", &case)).whole();
            let (status, got) = match fate {
                ToGuarded(path) => (200, vec![Got::Guarded((*path).to_owned())]),
                Open(path) => (200, vec![Got::Open((*path).to_owned())]),
                Refused => (400, vec![]),
                Sent(_) => (307, vec![]),
            };
            assert_eq!((answer.status, house.seen(&case)), (status, got), "{setting} {version:?} {path}");
            let location = if let Sent(path) = fate { Some(*path) } else { None };
            assert_eq!(answer.header("location"), location, "{setting} {version:?} {path}");
        }
    }
}

#[test]
fn escaped_slashes_are_refused() {
    check_paths(
        "reject",
        &[
            ("/files/a%2Fb", Refused),
            ("/files/a%5cb", Refused),
            ("/public%2f..%2fadmin", Refused),
            ("/files/a?b=%2F", Open("/files/a?b=%2F")),
            ("/%61dmin", ToGuarded("/admin")),
        ],
    );
}

/// As object stores and APIs with paths as parameters need it: the escape is data, for the rules and for the backend.
#[test]
fn escaped_slashes_are_kept() {
    check_paths(
        "keep",
        &[
            ("/files/a%2Fb", Open("/files/a%2Fb")),
            ("/files/a%5cb", Open("/files/a%5cb")),
            ("/admin/a%2f%2Fb?c=%2F", ToGuarded("/admin/a%2f%2Fb?c=%2F")),
            // Never a separator: neither does it end the guarded prefix, nor does it make a dot segment.
            ("/admin%2fx", Open("/admin%2fx")),
            ("/public/x%2f..", Open("/public/x%2f..")),
            ("/public/../admin%2Fx/../../admin", ToGuarded("/admin")),
            ("/%c0%afadmin", Refused),
        ],
    );
}

#[test]
fn escaped_slashes_are_slashes() {
    check_paths(
        "unescape",
        &[
            ("/files/a%2Fb?c=%2F", Open("/files/a/b?c=%2F")),
            ("/public%2f..%2fadmin", ToGuarded("/admin")),
            ("/public/..%2fadmin", ToGuarded("/admin")),
            ("/public%5c..%5Cadmin", ToGuarded("/admin")),
            ("/%2fadmin", ToGuarded("/admin")),
            ("/admin%2fx", ToGuarded("/admin/x")),
            // Once only.
            ("/public%252f..%252fadmin", Open("/public%252f..%252fadmin")),
            ("/%c0%afadmin", Refused),
        ],
    );
}

#[test]
fn escaped_slashes_send_clients_to_the_path_that_was_meant() {
    check_paths(
        "redirect",
        &[
            ("/files/a%2Fb?c=%2F", Sent("/files/a/b?c=%2F")),
            ("/public%2f..%2fadmin", Sent("/admin")),
            ("/public%5c..%5Cadmin?x=y", Sent("/admin?x=y")),
            // To a path, never to another host.
            ("/%2fevil.test/", Sent("/evil.test/")),
            ("/%5c%5cevil.test", Sent("/evil.test")),
            ("/x%2f..%2f%2fevil.test", Sent("/evil.test")),
            // What has no escaped slash is normalised as ever.
            ("/%61dmin/./x", ToGuarded("/admin/x")),
            ("/files/a?b=%2F", Open("/files/a?b=%2F")),
            ("/%c0%afadmin", Refused),
        ],
    );
    let house = Guarded::start(&["--escaped-slashes", "redirect"]);
    let answer = ask(Version::H2, house.proxy.address(80), &call("/a%2Fb", &[])).whole();
    assert_eq!((answer.status, answer.header("location")), (200, None), "gRPC knows no redirects: {answer:?}");
    assert_eq!(answer.header("grpc-status").or(answer.trailer("grpc-status")), Some("13"), "{answer:?}");
}

/// A gRPC call of a message without fields.
fn call(path: &str, headers: &[(&str, &str)]) -> Ask {
    let ask = Ask::new("POST", path).header("content-type", "application/grpc").header("te", "trailers");
    let ask = headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
    ask.content(Content::Streamed(Bytes::from_static(&[0; 5]), 5))
}

/// What becomes of a field with an underscore.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    Passes,
    Dropped,
    /// The request is refused with it.
    Refused,
}

fn field(answer: &Answer, name: &str) -> Field {
    let refused = answer.status == 400 || answer.header("grpc-status").is_some_and(|status| status != "0");
    match answer.text().to_ascii_lowercase().contains(name) {
        true => Field::Passes,
        false if refused => Field::Refused,
        false => {
            assert_eq!(answer.status, 200, "{answer:?}");
            Field::Dropped
        }
    }
}

#[test]
fn names_with_underscores_by_setting() {
    use Field::{Dropped, Passes, Refused};
    const METHOD: &str = "/gateway_api_conformance.echo_basic.grpcecho.GrpcEcho/Echo";
    let echo = Echo::start("one");
    for (args, plain, grpc) in [
        (&[][..], Refused, Passes),
        (&["--underscores", "reject-unless-grpc"], Refused, Passes),
        (&["--underscores", "reject"], Refused, Refused),
        (&["--underscores", "drop"], Dropped, Dropped),
        (&["--underscores", "allow"], Passes, Passes),
    ] {
        let proxy = Proxy::builder(&manifests(echo.port(), true), &[80]).args(args).start();
        for version in VERSIONS {
            let wanted = Ask::get("/").header("x_spelled_so", "v").header("x-other", "v");
            let answer = ask(version, proxy.address(80), &wanted).whole();
            assert_eq!(field(&answer, "x_spelled_so"), plain, "{args:?} {version:?} {answer:?}");
            assert!(plain == Refused || answer.text().to_ascii_lowercase().contains("x-other"), "{args:?} {answer:?}");
        }
        let answer = ask(Version::H2, proxy.address(80), &call(METHOD, &[("x_spelled_so", "v")])).whole();
        assert_eq!(field(&answer, "x_spelled_so"), grpc, "{args:?} {answer:?}");
    }
}

#[test]
fn what_is_no_setting_is_wrong_usage() {
    for args in [["--escaped-slashes", "maybe"], ["--underscores", "none"]] {
        let mut proxy = Proxy::builder(&manifests(1, false), &[80]).args(&args).spawn();
        let limit = Duration::from_secs(10);
        assert_eq!(proxy.process.wait(limit), Some(2), "{args:?}");
        wait_until(limit, "the usage", || proxy.process.output().contains("possible values").then_some(()));
    }
}
