//! Misbehaviour on request.

use std::io::ErrorKind;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Full};
use hyper::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Echo, ask_http2, connect, get, http2, json, raw, rest};

#[tokio::test]
async fn resets_before_anything_is_sent() {
    let echo = Echo::start(&[]);
    for path in ["/?close=now", "/?close=now&delay=20ms"] {
        let mut stream = connect(echo.http()).await;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
        assert_eq!(rest(&mut stream).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        let request = Request::get(format!("http://a{path}")).body(Full::default()).unwrap();
        assert!(ask_http2(echo.http(), request).await.is_err());
    }
}

#[tokio::test]
async fn breaks_off_within_the_head() {
    let echo = Echo::start(&[]);
    let answer = raw(echo.http(), "GET /?close=head HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer, "HTTP/1.1 200 OK\r\ncontent-type: appl");
}

#[tokio::test]
async fn breaks_off_within_the_body() {
    let echo = Echo::start(&[]);
    let ask = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = raw(echo.http(), &ask("/?close=body&size=1000")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-length: 1000"), "{head}");
    assert_eq!(body.len(), 500);
    let answer = raw(echo.http(), &ask("/?close=body&size=10&chunked")).await;
    assert!(answer.ends_with("\r\n\r\n5\r\n01234\r\n"), "no last chunk: {answer}");

    let mut sender = http2(connect(echo.http()).await).await;
    let request = Request::get("http://a/?close=body&size=1000").body(Empty::new()).unwrap();
    let body = sender.send_request(request).await.unwrap().into_body().collect().await;
    assert!(body.is_err(), "a reset stream");
    let request = Request::get("http://a/").body(Empty::new()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200, "on a connection that goes on");
}

#[tokio::test]
async fn never_answers() {
    let echo = Echo::start(&[]);
    let mut stream = connect(echo.http()).await;
    stream.write_all(b"GET /?hang HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let answer = tokio::time::timeout(Duration::from_millis(200), stream.read_u8()).await;
    assert!(answer.is_err(), "{answer:?}");
    drop(stream);
}

#[tokio::test]
async fn sends_whatever_bytes_it_is_told_to() {
    let echo = Echo::start(&[]);
    let path = "/x/raw?bytes=HTTP/1.1%20200%20OK%0d%0aContent-Length:+x%0d%0a%0d%0a";
    let answer = raw(echo.http(), &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    assert_eq!(answer, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n");
}

#[tokio::test]
async fn fails_some_times_and_then_works() {
    let echo = Echo::start(&["--workers", "2"]);
    let path = "/retry/a?uuid=1&succeedAfter=2";
    for _ in 0..2 {
        let mut stream = connect(echo.http()).await;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
        assert_eq!(rest(&mut stream).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    let (_, body) = get(echo.http(), path).await;
    assert_eq!(json(&body)["path"], path);

    let path = "/retry/a?uuid=2&succeedAfter=1&responseCode=503&delayRetry=30ms";
    let start = std::time::Instant::now();
    assert!(get(echo.http(), path).await.0.starts_with("HTTP/1.1 503"));
    assert!(start.elapsed() >= Duration::from_millis(30));
    assert!(get(echo.http(), path).await.0.starts_with("HTTP/1.1 200"));

    for (path, problem) in
        [("/retry/?succeedAfter=1", "uuid is required"), ("/retry/?uuid=3", "succeedAfter is required")]
    {
        let (head, body) = get(echo.http(), path).await;
        assert!(head.starts_with("HTTP/1.1 400") && body == problem, "{head} {body}");
    }
}
