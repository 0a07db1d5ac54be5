//! Path tricks: whatever spelling of a path a client takes, the rule that protects a prefix gets it, or nobody.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use fairlead_test_security::{Got, Guarded as House};
use fairlead_testkit::frames::{Frame, Frames, flag};
use fairlead_testkit::{Shared, exchange};

static HOUSE: Shared<House> = Shared::new(|| House::start(&[]));

/// Who gets a path, and how it is spelled there.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Gets {
    Guarded(&'static str),
    Open(&'static str),
    Refused,
}

use Gets::{Guarded, Open, Refused};

#[rustfmt::skip]
const CASES: &[(&str, Gets)] = &[
    ("/admin", Guarded("/admin")),
    ("/admin/x?y=../z//", Guarded("/admin/x?y=../z//")),
    ("/public", Open("/public")),
    // A prefix ends with a segment.
    ("/administrator", Open("/administrator")),
    ("/Admin", Open("/Admin")),
    // Dot segments.
    ("/public/../admin", Guarded("/admin")),
    ("/public/./../admin/x", Guarded("/admin/x")),
    ("/./admin", Guarded("/admin")),
    ("/../admin", Guarded("/admin")),
    ("/../../../admin", Guarded("/admin")),
    ("/admin/../public", Open("/public")),
    ("/admin/..", Open("/")),
    ("/admin/.", Guarded("/admin/")),
    ("/admin/x/../y", Guarded("/admin/y")),
    ("/public/...", Open("/public/...")),
    ("/public/..admin", Open("/public/..admin")),
    ("/public/.admin", Open("/public/.admin")),
    // Encoded dots.
    ("/public/%2e%2e/admin", Guarded("/admin")),
    ("/public/%2E%2E/admin", Guarded("/admin")),
    ("/public/.%2e/admin", Guarded("/admin")),
    ("/public/%2e./admin", Guarded("/admin")),
    ("/%2e/admin", Guarded("/admin")),
    ("/admin/%2e%2e/public", Open("/public")),
    // Slashes.
    ("//admin", Guarded("/admin")),
    ("///admin", Guarded("/admin")),
    ("/public//../admin", Open("/public/admin")),
    ("/public/..//admin", Guarded("/admin")),
    ("/.//admin", Guarded("/admin")),
    ("//admin//x", Guarded("/admin/x")),
    // Encoded letters.
    ("/%61dmin", Guarded("/admin")),
    ("/%61%64%6d%69%6E", Guarded("/admin")),
    ("/admi%6e/x", Guarded("/admin/x")),
    // Encoded twice is data, once decoded.
    ("/%2561dmin", Open("/%2561dmin")),
    ("/public/%252e%252e/admin", Open("/public/%252e%252e/admin")),
    // What can't be read in one way.
    ("/admin\\", Refused),
    ("\\admin", Refused),
    ("/public\\..\\admin", Refused),
    ("/admin%00", Refused),
    ("/admin%00.html", Refused),
    ("/%", Refused),
    ("/%6", Refused),
    ("/%6g", Refused),
    ("/%u0061dmin", Refused),
    ("/public/%c0%ae%c0%ae/admin", Refused),
    ("/%c1%a1dmin", Refused),
    ("/%e0%80%afadmin", Refused),
    ("/public/%c0%af../admin", Refused),
    ("/public#/../admin", Refused),
    ("/admin#", Refused),
    // The query is no path.
    ("/public?/../admin", Open("/public?/../admin")),
    ("/public?x=/../admin%00", Open("/public?x=/../admin%00")),
    ("/?/admin", Open("/?/admin")),
    // Characters that stay encoded.
    ("/admin%3fx", Open("/admin%3fx")),
    ("/admin%23x", Open("/admin%23x")),
    ("/public%20/admin", Open("/public%20/admin")),
    // Well-formed UTF-8 stays as it is.
    ("/%c3%a9", Open("/%c3%a9")),
];

/// Spellings that reach the open rule, though a backend that drops parameters takes them for the guarded prefix. They are data by
/// RFC 3986 §3.3, and hide no dot segment.
const KNOWN: &[(&str, &str, &str)] = &[("/admin;x=y", "/admin;x=y", "a parameter is a part of its segment")];

/// Spellings that hide a separator or a dot segment from who decodes less than the next one.
const DISGUISED: &[&str] = &[
    "/public%2f..%2fadmin",
    "/public/..%2fadmin",
    "/%2fadmin",
    "/%2Fadmin",
    "/public%5c..%5cadmin",
    "/public%5C..%5Cadmin",
    "/public/..;/admin",
    "/public/..;x=y/admin",
    "/public/.;/..;/admin",
    "/;/admin",
    "/public/..%3b/admin",
];

fn check(house: &House, first: usize, send: impl Fn(usize, &str) -> Option<u16>) {
    let known = KNOWN.iter().map(|(sent, got, _)| (*sent, Open(got)));
    let disguised = DISGUISED.iter().map(|path| (*path, Refused));
    let mut wrong = Vec::new();
    for (n, (path, expected)) in CASES.iter().copied().chain(known).chain(disguised).enumerate() {
        let n = first + n;
        let status = send(n, path);
        let got = house.seen(&n.to_string());
        let right = match expected {
            Refused => got.is_empty() && matches!(status, Some(400) | None),
            Guarded(path) => got == [Got::Guarded(path.to_owned())] && status == Some(200),
            Open(path) => got == [Got::Open(path.to_owned())] && status == Some(200),
        };
        if !right {
            wrong.push(format!("{path}: {status:?} {got:?} instead of {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn one_spelling_for_each_path() {
    let house = HOUSE.take();
    check(&house, 1000, |n, path| {
        exchange(house.proxy.address(80), format!("GET {path} HTTP/1.1\r\nHost: test\r\nX-Case: {n}\r\n\r\n"))
            .map(|a| a.status)
    });
}

#[test]
fn the_same_in_absolute_form() {
    let house = HOUSE.take();
    check(&house, 2000, |n, path| {
        let target = if path.starts_with('/') { format!("http://test{path}") } else { path.to_owned() };
        exchange(house.proxy.address(80), format!("GET {target} HTTP/1.1\r\nHost: test\r\nX-Case: {n}\r\n\r\n"))
            .map(|a| a.status)
    });
}

#[test]
fn the_same_on_http2() {
    let house = HOUSE.take();
    check(&house, 3000, |n, path| {
        // The library cuts fragments off before anybody sees them; that is one spelling, too.
        if path.contains('#') {
            return Some(400);
        }
        let mut frames = Frames::connect(house.proxy.address(80));
        let number = n.to_string();
        let fields = [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "test"),
            (":path", path),
            ("x-case", number.as_str()),
        ];
        frames.send(&Frame::headers(1, flag::END_STREAM, &fields));
        frames.status(1)
    });
}

/// A path is normalised before it is matched exactly and by regular expressions, too, and before it is rewritten or logged.
#[test]
fn logs_have_the_normal_path() {
    let house = HOUSE.take();
    let sent = exchange(
        house.proxy.address(80),
        "GET /logs/%2e%2e/%61dmin//logged HTTP/1.1\r\nHost: test\r\nX-Case: log\r\n\r\n",
    );
    assert_eq!(sent.map(|a| a.status), Some(200));
    // Other tests have lines in this log, too.
    let line = house
        .proxy
        .log_line("the path", |line| line["x-envoy-origin-path"].as_str().is_some_and(|path| path.contains("logged")));
    assert_eq!(line["x-envoy-origin-path"], "/admin/logged");
}

/// Redirects repeat what the client sent: nothing of it ends a line, nor makes another host of a path (`//evil`).
#[test]
fn redirects_are_not_split_or_led_astray() {
    let house = HOUSE.take();
    for (path, location) in [
        ("/old/%0d%0aset-cookie:%20evil=1", Some("/new/%0d%0aset-cookie:%20evil=1")),
        ("/old/x?y=%0d%0a", Some("/new/x?y=%0d%0a")),
        ("/old//evil.test/", Some("/new/evil.test/")),
        ("/old/..//evil.test", None),
        ("/old/%2e%2e//evil.test", None),
    ] {
        let answer =
            exchange(house.proxy.address(80), format!("GET {path} HTTP/1.1\r\nHost: redirect.test\r\n\r\n")).unwrap();
        assert_eq!(answer.header("set-cookie"), None, "{path}");
        match location {
            Some(location) => {
                let got = answer.header("location").unwrap();
                assert!(got.starts_with("http://redirect.test") && got.ends_with(location), "{path}: {got}");
            }
            None => assert_eq!((answer.status, answer.header("location")), (200, None), "{path}"),
        }
    }
}
