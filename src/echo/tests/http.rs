use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::{Echo, ask_http2, connect, get, get_with, json as parse, raw, rest, until};
use crate::echo::wish::{decode, duration, pairs};

#[tokio::test]
async fn the_answer_has_the_fields_of_the_suites_server() {
    let echo = Echo::start(&["--service", "cart"]);
    let headers = "X-Multi: 1\r\nx-multi: 2\r\nuser-agent: me\r\nX-ODD-name: \u{e4}\r\n";
    let (head, body) = get_with(echo.http(), "/a//b?x=1&y", headers).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("content-type: application/json") && head.contains("x-content-type-options: nosniff"));
    let want = json!({
        "path": "/a//b?x=1&y",
        "host": "a.example",
        "method": "GET",
        "proto": "HTTP/1.1",
        "headers": {
            "Connection": ["close"], "User-Agent": ["me"], "X-Multi": ["1", "2"], "X-Odd-Name": ["ä"],
        },
        "httpPort": echo.http().port().to_string(),
        "namespace": "shop", "ingress": "", "service": "cart", "pod": "one",
    });
    assert_eq!(parse(&body), want);
    assert!(body.starts_with("{\n \"path\": "), "indented by one space: {body}");
}

#[tokio::test]
async fn http2_without_tls_on_the_same_port() {
    let echo = Echo::start(&[]);
    let request = Request::put("http://b.example:80/p?q").header("x-a", "1").body(Full::from("body")).unwrap();
    let (head, body, _) = ask_http2(echo.http(), request).await.unwrap();
    assert_eq!(head.status, 200);
    let report: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(report["proto"], "HTTP/2.0");
    assert_eq!(report["method"], "PUT");
    assert_eq!(report["host"], "b.example:80");
    assert_eq!(report["path"], "/p?q");
    assert_eq!(report["headers"], json!({"X-A": ["1"], "Content-Length": ["4"]}));
}

#[tokio::test]
async fn head_gets_no_content_on_http2() {
    let echo = Echo::start(&[]);
    let request = Request::head(format!("http://{}/?size=5", echo.http())).body(Full::default()).unwrap();
    let (head, body, _) = ask_http2(echo.http(), request).await.unwrap();
    assert_eq!((head.headers["content-length"].to_str().unwrap(), body.len()), ("5", 0));
}

#[tokio::test]
async fn http10_and_absolute_targets() {
    let echo = Echo::start(&[]);
    let answer = raw(echo.http(), "GET /old HTTP/1.0\r\n\r\n").await;
    let body = parse(answer.split_once("\r\n\r\n").unwrap().1);
    assert_eq!((&body["proto"], &body["host"]), (&json!("HTTP/1.0"), &json!("")));
    let (_, body) = get(echo.http(), "http://c.example/abs?x").await;
    let body = parse(&body);
    assert_eq!((&body["path"], &body["host"]), (&json!("http://c.example/abs?x"), &json!("c.example")));
}

#[tokio::test]
async fn statuses() {
    let echo = Echo::start(&[]);
    for (path, want) in [
        ("/status/200", "200 OK"),
        ("/status/503", "503 Service Unavailable"),
        ("/status/418?x", "418 I'm a teapot"),
        ("/status/42", "400 Bad Request"),
        ("/status/abc", "400 Bad Request"),
        ("/status/101", "400 Bad Request"),
        ("/status/200/x", "400 Bad Request"),
        ("/health", "200 OK"),
    ] {
        let (head, body) = get(echo.http(), path).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {want}")), "{path}: {head}");
        assert_eq!(body, if path == "/health" { "OK" } else { "" });
    }
    let (head, body) = get(echo.http(), "/any?status=502").await;
    assert!(head.starts_with("HTTP/1.1 502") && parse(&body)["path"] == "/any?status=502", "with the usual JSON");
    let (head, _) = get_with(echo.http(), "/any", "X-Echo-Status: 404\r\n").await;
    assert!(head.starts_with("HTTP/1.1 404"));
    let (head, body) = get(echo.http(), "/any?status=7").await;
    assert!(head.starts_with("HTTP/1.1 500"));
    assert!(parse(&body)["message"].as_str().unwrap().starts_with("invalid status \"7\""), "{body}");
}

#[tokio::test]
async fn headers_for_the_answer() {
    let echo = Echo::start(&[]);
    let ask = "X-Echo-Set-Header: X-One: 1, X-Two:2\r\nX-Echo-Set-Header: x-one:again,Set-Cookie:a=b; Path=/\r\n";
    let (head, _) = get_with(echo.http(), "/", ask).await;
    assert!(head.contains("\r\nx-one: 1\r\n") || head.contains("\r\nx-one: again\r\n"), "{head}");
    assert!(head.contains("\r\nx-two: 2\r\n") && head.contains("\r\nset-cookie: a=b; Path=/\r\n"), "{head}");
    let (head, _) = get_with(echo.http(), "/", "X-Echo-Set-Header: X-One:1,X-One: 2\r\n").await;
    assert!(head.contains("\r\nx-one: 1,2\r\n"), "{head}");
    let (head, _) = get_with(echo.http(), "/", "X-Echo-Set-Header: not a name:1\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

#[tokio::test]
async fn delays() {
    let echo = Echo::start(&[]);
    for (path, headers) in [("/?delay=150ms", ""), ("/", "X-Echo-Delay: 0.15s\r\n")] {
        let start = Instant::now();
        get_with(echo.http(), path, headers).await;
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(150) && took < Duration::from_secs(5), "{took:?}");
    }
    let (head, body) = get(echo.http(), "/?delay=soon").await;
    assert!(head.starts_with("HTTP/1.1 500"), "as upstream");
    assert!(parse(&body)["message"].as_str().unwrap().contains("delay"));
}

#[tokio::test]
async fn sizes_pieces_and_trailers() {
    let echo = Echo::start(&[]);
    let (head, body) = get(echo.http(), "/?size=100k").await;
    assert!(head.contains("content-length: 102400") && head.contains("content-type: text/plain"), "{head}");
    assert_eq!(body.len(), 100 * 1024);
    assert!(body.starts_with("0123456789abc"));
    let (head, body) = get(echo.http(), "/?size=0").await;
    assert!(head.contains("content-length: 0") && body.is_empty(), "{head}");
    let (_, body) = get(echo.http(), "/?size=300000&chunk=200000").await;
    assert_eq!(body.len(), 300_000, "pieces larger than the pattern's block");

    let (head, body) = get(echo.http(), "/?size=10&chunk=4&chunked").await;
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    assert_eq!(body, "4\r\n0123\r\n4\r\n4567\r\n2\r\n89\r\n0\r\n\r\n");
    let (_, body) = get_with(echo.http(), "/?size=3&trailers=x-sum:7,x-b:c", "TE: trailers\r\n").await;
    assert_eq!(body, "3\r\n012\r\n0\r\nx-sum: 7\r\nx-b: c\r\n\r\n");

    let start = Instant::now();
    let (_, body) = get(echo.http(), "/a?chunk=100&chunk-delay=20ms").await;
    assert_eq!(parse(&body)["path"], "/a?chunk=100&chunk-delay=20ms", "the JSON in pieces");
    assert!(start.elapsed() >= Duration::from_millis(40), "{:?}", start.elapsed());

    let request = Request::get("http://a/?size=5&trailers=x-sum:7").body(Full::default()).unwrap();
    let (_, body, trailers) = ask_http2(echo.http(), request).await.unwrap();
    assert_eq!((&body[..], trailers["x-sum"].as_bytes()), (&b"01234"[..], &b"7"[..]));
}

#[tokio::test]
async fn early_hints_come_first() {
    let echo = Echo::start(&[]);
    let answer =
        raw(echo.http(), "GET /status/204?early-hints=2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let starts: Vec<_> = answer.split("\r\n\r\n").map(|head| head.lines().next().unwrap_or_default()).collect();
    assert_eq!(starts, ["HTTP/1.1 103 Early Hints", "HTTP/1.1 103 Early Hints", "HTTP/1.1 204 No Content", ""]);
}

#[tokio::test]
async fn early_hints_do_not_wait_for_the_answer() {
    let echo = Echo::start(&[]);
    let mut stream = connect(echo.http()).await;
    stream.write_all(b"GET /?early-hints=1&hang HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 103 "));
}

#[tokio::test]
async fn bodies_are_read_and_connections_kept() {
    let echo = Echo::start(&[]);
    let mut stream = connect(echo.http()).await;
    let large = "x".repeat(300_000);
    let post = format!("POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{large}", large.len());
    stream.write_all(post.as_bytes()).await.unwrap();
    assert!(until(&mut stream, "\n}").await.contains("\"path\": \"/first\""));
    stream
        .write_all(b"POST /second HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"x").await.unwrap();
    assert!(until(&mut stream, "\n}").await.contains("\"path\": \"/second\""));
    stream.write_all(b"GET /?connection=close HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(rest(&mut stream).await.unwrap().contains("connection: close"));

    let mut stream = connect(echo.http()).await;
    stream.write_all(b"POST /?read=false HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n").await.unwrap();
    assert!(until(&mut stream, "\n}").await.starts_with("HTTP/1.1 200 OK"), "before the body");
}

#[tokio::test]
async fn bodies_come_back_while_they_are_sent() {
    let echo = Echo::start(&[]);
    let mut stream = connect(echo.http()).await;
    let head = "POST /x/echo-body HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nContent-Type: text/odd\r\nTransfer-Encoding: chunked\r\nTrailer: x-t\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = until(&mut stream, "\r\n\r\n").await;
    assert!(answer.contains("content-type: text/odd") && answer.contains("transfer-encoding: chunked"), "{answer}");
    for word in ["one", "three"] {
        stream.write_all(format!("{:x}\r\n{word}\r\n", word.len()).as_bytes()).await.unwrap();
        let answer = until(&mut stream, &format!("{word}\r\n")).await;
        assert_eq!(answer, format!("{:X}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(b"0\r\nx-t: end\r\n\r\n").await.unwrap();
    assert_eq!(until(&mut stream, "\r\n\r\n").await, "0\r\nx-t: end\r\n\r\n");

    let request = Request::post("http://a/sink").body(Full::from(Bytes::from(vec![0; 1_000_000]))).unwrap();
    let (_, body, _) = ask_http2(echo.http(), request).await.unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), json!({"bytes": 1_000_000, "trailers": {}}));
    let chunked = "POST /sink HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: x-t\r\n\r\n3\r\nabc\r\n0\r\nx-t: end\r\n\r\n";
    let answer = raw(echo.http(), chunked).await;
    assert_eq!(parse(answer.split_once("\r\n\r\n").unwrap().1), json!({"bytes": 3, "trailers": {"X-T": "end"}}));
}

#[test]
fn durations_are_gos() {
    let ms = |n| Some(Duration::from_millis(n));
    for (text, want) in [
        ("1s", ms(1000)),
        ("250ms", ms(250)),
        ("1.5s", ms(1500)),
        ("1m30s", ms(90_000)),
        ("1h", ms(3_600_000)),
        ("0", ms(0)),
        ("", None),
        ("1", None),
        ("s", None),
        ("-1s", None),
        ("1 s", None),
        ("1.2.3s", None),
        ("1d", None),
        ("99999999999999999999h", None),
    ] {
        assert_eq!(duration(text), want, "{text:?}");
    }
    assert_eq!(duration("10us"), Some(Duration::from_micros(10)));
}

#[test]
fn queries_are_decoded() {
    assert_eq!(decode("a%20b+c%2"), "a b c%2");
    assert_eq!(decode("%zz%C3%A4"), "%zzä");
    assert!(pairs("a:1,b").unwrap()["b"].is_empty());
    assert!(pairs("").is_none());
}
