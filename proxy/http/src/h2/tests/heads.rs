//! What a server makes of heads, good and malformed.

use tokio::task::spawn_local;

use super::super::{ClientSettings, connect};
use super::{get, raw_client, spawn_server};
use crate::Framing;
use crate::leg::harness::{pair, request, run};

/// What a server makes of a request: one line, or status and details, or how the stream ends.
fn verdict(request: http::Request<()>) -> String {
    let mut verdict = String::new();
    run(async {
        let (client, server) = pair().await;
        let mut server = spawn_server(server);
        let mut sender = raw_client(client).await;
        let (response, _stream) = sender.send_request(request, true).unwrap();
        verdict = tokio::select! {
            biased;
            v = server.recv() => v.unwrap(),
            r = response => format!("{:?}", r.map(|r| r.status()).map_err(|e| e.reason())),
        };
    });
    verdict
}

#[test]
fn requests() {
    for (name, request, expected) in [
        ("plain", get("http://a:8080/x?y", &[("x-a", "b")]), "GET a:8080 /x?y [x-a: b] Empty"),
        ("same host", get("http://a/", &[("host", "A:80")]), "GET a / [] Empty"),
        (
            "crumbs",
            get("http://a/", &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")]),
            "GET a / [x: y, cookie: a=1; b=2] Empty",
        ),
        ("te", get("http://a/", &[("te", "trailers")]), "GET a / [te: trailers] Empty"),
        ("length 0", get("http://a/", &[("content-length", "0")]), "GET a / [content-length: 0] Length(0)"),
        ("other host", get("http://a/", &[("host", "b")]), "400 http2.host_mismatch"),
        ("two hosts", get("http://a/", &[("host", "a"), ("host", "a")]), "400 http2.several_hosts"),
        ("user", get("http://u@a/", &[]), "400 http2.invalid_authority"),
        ("odd host", get("http://a;b/", &[]), "400 http2.invalid_authority"),
        ("underscore", get("http://a/", &[("x_y", "z")]), "400 http2.unexpected_underscore"),
        (
            "underscore in gRPC's metadata",
            get("http://a/", &[("x_y", "z"), ("content-type", "application/grpc+proto")]),
            "GET a / [x_y: z, content-type: application/grpc+proto] Empty",
        ),
        (
            "underscore in what looks like gRPC",
            get("http://a/", &[("x_y", "z"), ("content-type", "application/grpc-web")]),
            "400 http2.unexpected_underscore",
        ),
        ("space around a value", get("http://a/", &[("x", " y")]), "400 http2.invalid_header_value"),
        ("expectation", get("http://a/", &[("expect", "x")]), "417 http2.invalid_expectation"),
        (
            "too many",
            get("http://a/", &[("a", ""), ("b", ""), ("c", ""), ("d", ""), ("e", ""), ("f", "")]),
            "431 http2.too_many_headers",
        ),
        ("long target", get("http://a/0123456789012345678901234567890", &[]), "414 http2.target_too_long"),
        ("backslash", get("http://a/b\\c", &[]), "400 http2.invalid_path"),
        (
            "two equal lengths",
            get("http://a/", &[("content-length", "0"), ("content-length", "0")]),
            "400 http.invalid_content_length",
        ),
    ] {
        assert_eq!(verdict(request), expected, "{name}");
    }
    let mut connect = get("http://a:80", &[]);
    *connect.method_mut() = http::Method::CONNECT;
    assert_eq!(verdict(connect), "501 http.connect_not_supported");
    let mut ws = get("http://a/chat", &[]);
    *ws.method_mut() = http::Method::CONNECT;
    ws.extensions_mut().insert(::h2::ext::Protocol::from_static("ftp"));
    assert_eq!(verdict(ws), "501 http.connect_not_supported");
    let mut options = http::Request::new(());
    *options.method_mut() = http::Method::OPTIONS;
    *options.uri_mut() = "*".parse().unwrap();
    assert_eq!(verdict(options), "400 missing_host_header");
}

/// Sends a head that no library would send, and says what became of it: what the server took it for, or the frame that ended it.
fn raw_verdict(list: &[(&str, &str)]) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut block = Vec::new();
    for (name, value) in list {
        block.push(0); // literal, not indexed
        for text in [name, value] {
            match text.len() {
                short @ 0..127 => block.push(short as u8),
                long => block.extend([127, (long - 127) as u8 & 127 | 128, ((long - 127) >> 7) as u8]),
            }
            block.extend(text.as_bytes());
        }
    }
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    let len = block.len() as u32;
    bytes.extend([(len >> 16) as u8, (len >> 8) as u8, len as u8, 1, 5, 0, 0, 0, 1]);
    bytes.extend(block);
    let mut verdict = String::new();
    run(async {
        let (mut client, server) = pair().await;
        let mut server = spawn_server(server);
        client.write_all(&bytes).await.unwrap();
        let answer = async {
            loop {
                let mut head = [0u8; 9];
                client.read_exact(&mut head).await.unwrap();
                let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
                client.read_exact(&mut payload).await.unwrap();
                match head[3] {
                    3 => break format!("RST {}", payload[3]),
                    7 => break format!("GOAWAY {}", payload[7]),
                    _ => {}
                }
            }
        };
        verdict = tokio::select! {
            biased;
            Some(v) = server.recv() => v,
            v = answer => v,
        };
    });
    verdict
}

#[test]
fn malformed_requests() {
    // What HPACK yields but HTTP forbids outright ends the connection, in the library; the rest ends the stream.
    let (protocol_error, connection_error) = ("RST 1", "GOAWAY 1");
    let (m, s, a, p) = ((":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/x"));
    for (name, list, expected) in [
        ("plain", &[m, s, a, p, ("x", "y")][..], "GET a /x [x: y] Empty"),
        ("host only", &[m, s, p, ("host", "b")], "GET b /x [] Empty"),
        ("no authority", &[m, s, p], "400 missing_host_header"),
        ("upper-case name", &[m, s, a, p, ("X", "y")], connection_error),
        ("length without content", &[m, s, a, p, ("content-length", "5")], protocol_error),
        ("two lengths", &[m, s, a, p, ("content-length", "0"), ("content-length", "5")], protocol_error),
        (
            "two equal lengths",
            &[m, s, a, p, ("content-length", "0"), ("content-length", "0")],
            "400 http.invalid_content_length",
        ),
        ("odd length", &[m, s, a, p, ("content-length", "+5")], protocol_error),
        ("list of lengths", &[m, s, a, p, ("content-length", "0, 0")], protocol_error),
        ("connection", &[m, s, a, p, ("connection", "close")], protocol_error),
        ("transfer-encoding", &[m, s, a, p, ("transfer-encoding", "chunked")], protocol_error),
        ("upgrade", &[m, s, a, p, ("upgrade", "websocket")], protocol_error),
        ("keep-alive", &[m, s, a, p, ("keep-alive", "5")], protocol_error),
        ("proxy-connection", &[m, s, a, p, ("proxy-connection", "x")], protocol_error),
        ("te other", &[m, s, a, p, ("te", "gzip")], protocol_error),
        ("no method", &[s, a, p], protocol_error),
        ("no scheme", &[m, a, p], protocol_error),
        ("no path", &[m, s, a], protocol_error),
        ("empty path", &[m, s, a, (":path", "")], protocol_error),
        ("two methods", &[m, m, s, a, p], protocol_error),
        ("two authorities", &[m, s, a, a, p], protocol_error),
        ("two paths", &[m, s, a, p, p], protocol_error),
        ("status", &[m, s, a, p, (":status", "200")], protocol_error),
        ("unknown pseudo field", &[m, s, a, p, (":x", "y")], connection_error),
        ("pseudo field after others", &[m, s, a, ("x", "y"), p], protocol_error),
        ("relative path", &[m, s, a, (":path", "x")], protocol_error),
        ("asterisk of GET", &[m, s, a, (":path", "*")], "400 http2.invalid_path"),
        ("absolute path", &[m, s, a, (":path", "http://b/x")], protocol_error),
        ("path with space", &[m, s, a, (":path", "/a b")], protocol_error),
        ("path with line end", &[m, s, a, (":path", "/ HTTP/1.1\r\nx: y")], protocol_error),
        ("path with NUL", &[m, s, a, (":path", "/\0")], protocol_error),
        ("path with high bytes", &[m, s, a, (":path", "/é")], "400 http2.invalid_path"),
        ("method with space", &[(":method", "GET /"), s, a, p], connection_error),
        ("method with line end", &[(":method", "GET\r\n"), s, a, p], connection_error),
        ("authority with line end", &[m, s, (":authority", "a\r\nx"), p], protocol_error),
        ("authority with path", &[m, s, (":authority", "a/b"), p], protocol_error),
        ("other scheme", &[m, (":scheme", "ftp"), a, p], "400 http2.invalid_scheme"),
        ("value with line end", &[m, s, a, p, ("x", "y\r\nz: q")], connection_error),
        ("value with LF", &[m, s, a, p, ("x", "y\nz: q")], connection_error),
        ("value with NUL", &[m, s, a, p, ("x", "\0")], connection_error),
        ("name with line end", &[m, s, a, p, ("x\r\n", "y")], connection_error),
        ("name with space", &[m, s, a, p, ("x y", "z")], connection_error),
        ("name with colon", &[m, s, a, p, ("x:", "z")], connection_error),
        ("empty name", &[m, s, a, p, ("", "z")], connection_error),
        ("protocol without CONNECT", &[m, s, a, p, (":protocol", "websocket")], protocol_error),
        (
            "websocket that is over",
            &[(":method", "CONNECT"), s, a, p, (":protocol", "websocket")],
            "400 http2.body_disallowed",
        ),
    ] {
        assert_eq!(raw_verdict(list), expected, "{name}");
    }
    // A fragment is cut off by the library: neither rules nor backends see it.
    assert_eq!(raw_verdict(&[m, s, a, (":path", "/a#b")]), "GET a /a [] Empty");
    let long = "v".repeat(3000);
    assert!(raw_verdict(&[m, s, a, p, ("x", &long)]).starts_with("GET a /x [x: vvv"));
}

#[test]
fn paths_that_the_library_does_not_take_are_encoded() {
    run(async {
        let (client, server) = pair().await;
        let mut told = spawn_server(server);
        let (sender, driver) = connect(client.into(), &ClientSettings::default()).await.unwrap();
        spawn_local(driver);
        let mut leg = sender.leg();
        leg.send_request(&request("GET", "/<a>`{|}^\"?<", &[]), Framing::Empty).unwrap();
        assert_eq!(told.recv().await.unwrap(), "GET a.example /%3Ca%3E%60{|}^\\\"?%3C [] Empty");
    });
}
