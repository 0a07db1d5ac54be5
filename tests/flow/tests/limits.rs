//! The guide's page on limits: what it says is refused is, with that status, and the connection's fate.

use fairlead_test_flow::{Setup, Stage};
use fairlead_testkit::{Shared, Wire, exchange};
use std::time::Duration;

static STAGE: Shared<Stage> = Shared::new(|| Setup::example("quickstart").echo(3000, "one").start());

fn status(bytes: impl AsRef<[u8]>) -> u16 {
    exchange(STAGE.take().proxy.address(8080), bytes).map_or(0, |answer| answer.status)
}

fn get(target: &str, more: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a.test\r\n{more}\r\n")
}

#[test]
fn sizes() {
    let _stage = STAGE.take();
    let header = |bytes: usize| format!("x-large: {}\r\n", "a".repeat(bytes));
    assert_eq!(status(get("/", &header(59 * 1024))), 200);
    assert_eq!(status(get("/", &header(61 * 1024))), 431);
    let headers = |count: usize| (0..count).map(|n| format!("x-{n}: a\r\n")).collect::<String>();
    assert_eq!(status(get("/", &headers(90))), 200);
    assert_eq!(status(get("/", &headers(101))), 431);
    assert_eq!(status(get(&format!("/{}", "a".repeat(32_000)), "")), 200);
    assert_eq!(status(get(&format!("/{}", "a".repeat(33_000)), "")), 414);
    let body = "a".repeat(5_000_000);
    assert_eq!(
        status(format!("POST /sink HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n{body}", body.len())),
        200
    );
}

#[test]
fn what_is_refused() {
    let _stage = STAGE.take();
    let post = |fields: &str, body: &str| format!("POST / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n{body}");
    let cases = [
        (post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400),
        (post("Content-Length: 1\r\nContent-Length: 2\r\n", "ab"), 400),
        (post("Content-Length: +1\r\n", "a"), 400),
        (post("Transfer-Encoding: gzip\r\n", ""), 501),
        (post("Transfer-Encoding: chunked\r\n", "1;\x01\r\na\r\n0\r\n\r\n"), 400),
        (post("Transfer-Encoding: chunked\r\n", "x\r\na\r\n0\r\n\r\n"), 400),
        (get("/", "a: b\r\n c\r\n"), 400),
        (get("/", "a : b\r\n"), 400),
        (get("/", "a: b\rc\r\n"), 400),
        (get("/", "a_b: c\r\n"), 400),
        (get("/", "Host: b.test\r\n"), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\nHost: a\n\n".to_owned(), 400),
        (get("http://b.test/", ""), 400),
        (get("https://a.test/", ""), 403),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n".to_owned(), 501),
        (get("/", "Expect: miracles\r\n"), 417),
        (get("/", "Connection: authorization\r\n"), 400),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n".to_owned(), 505),
        (get("/%00", ""), 400),
        (get("/%zz", ""), 400),
        (get("/a\\b", ""), 400),
        (get("/a#b", ""), 400),
        (get("/%c0%af", ""), 400),
        (get("/a%2Fb", ""), 400),
        (get("/a%5cb", ""), 400),
        (get("/a/..;x=y/b", ""), 400),
        (get("/;/a", ""), 400),
    ];
    for (request, expected) in cases {
        assert_eq!(status(&request), expected, "{request:?}");
    }
}

#[test]
fn paths_have_one_spelling() {
    let stage = STAGE.take();
    for (sent, got) in [
        ("/a/./b", "/a/b"),
        ("/a/x/../b", "/a/b"),
        ("/a/%2e%2E/b", "/b"),
        ("//a//b", "/a/b"),
        ("/%41%7e", "/A~"),
        ("/../../etc", "/etc"),
        ("/a?b=//../%41", "/a?b=//../%41"),
    ] {
        assert_eq!(stage.get(8080, "a.test", sent).json()["path"], got, "{sent}");
    }
}

#[test]
fn clients_are_not_believed() {
    let stage = STAGE.take();
    let request = get(
        "/",
        "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Request-Id: mine\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n",
    );
    let json = exchange(stage.proxy.address(8080), request).expect("an answer").json();
    let headers = &json["headers"];
    assert_eq!(headers["X-Forwarded-For"][0], "1.2.3.4, 127.0.0.1");
    assert_eq!(headers["X-Forwarded-Proto"][0], "http");
    assert_ne!(headers["X-Request-Id"][0], "mine");
    assert!(headers.get("X-Hop").is_none() && headers.get("Keep-Alive").is_none(), "{json}");
}

/// The slowest test of the crate: a head that never ends is given up after 10 seconds.
#[test]
fn slow_heads_are_given_up() {
    let stage = STAGE.take();
    let mut wire = Wire::connect(stage.proxy.address(8080));
    wire.stream().set_read_timeout(Some(Duration::from_secs(15))).expect("timeout");
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\nx-slow: ");
    for _ in 0..4 {
        std::thread::sleep(Duration::from_secs(2));
        wire.send("a");
    }
    let answer = wire.response(false).expect("an answer");
    assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));
}
