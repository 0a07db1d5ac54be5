//! gRPC over HTTP/2 (and over HTTP/1.1 with trailers), by the protocol's own description: messages with five bytes before them, status in
//! trailers or in the head alone.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use fairlead_test_protocol::{House, Way, pattern};
use fairlead_testkit::frames::{Frame, Frames, flag, kind};
use fairlead_testkit::{Act, Answer, Ask, Backend, Content, Echo, Manifests, Proxy, Shared, Version, ask, h2, runtime};

const ECHO: &str = "/gateway_api_conformance.echo_basic.grpcecho.GrpcEcho/Echo";
const STREAM: &str = "/fairlead.echo.Stream/Echo";

/// The echo server behind an HTTPRoute, by both protocols, and a GRPCRoute.
struct Calls {
    house: House,
    grpc: Proxy,
}

static CALLS: Shared<Calls> = Shared::new(|| {
    let house = House::start();
    let manifests = format!(
        "{}---\napiVersion: fairlead.dev/v1alpha1\nkind: Backend\nmetadata: {{name: echo}}\nspec:\n  \
         endpoints: [{{ip: {{address: 127.0.0.1, port: {}}}}}]\n---\n{ROUTE}",
        Manifests::new().text(),
        house.echo.port()
    );
    Calls { grpc: Proxy::serve(&manifests, &[80]), house }
});

const ROUTE: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls}
spec:
  parentRefs: [{name: gw}]
  hostnames: [grpc.test]
  rules:
    - backendRefs: [{group: fairlead.dev, kind: Backend, name: echo}]
";

fn message(payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0];
    out.extend((payload.len() as u32).to_be_bytes());
    out.extend(payload);
    out
}

fn call(path: &str, content: Content) -> Ask {
    Ask::new("POST", path).header("content-type", "application/grpc").header("te", "trailers").content(content)
}

fn unary(path: &str) -> Ask {
    call(path, Content::Streamed(message(b"").into(), 5))
}

/// In trailers, or in the head of an answer without content.
fn status(answer: &Answer) -> Option<&str> {
    answer.trailer("grpc-status").or(answer.header("grpc-status"))
}

/// HTTP/1.1 directly is not served by the echo server: only a proxy makes HTTP/2 of it.
fn ways() -> impl Iterator<Item = Way> {
    House::ways().into_iter().filter(|way| way.up.is_some() || way.down == Version::H2)
}

#[test]
fn unary_calls_in_all_combinations() {
    let calls = CALLS.take();
    for way in ways() {
        let answer = calls.house.ask(way, unary(ECHO).header("x-meta-data", "here")).whole();
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/grpc")), "{way:?}");
        assert_eq!(answer.trailer("grpc-status"), Some("0"), "{way:?}: {answer:?}");
        let length = u32::from_be_bytes(answer.body[1..5].try_into().unwrap());
        assert_eq!(answer.body.len(), 5 + length as usize, "{way:?}: one whole message");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(text.contains(ECHO) && text.contains("x-meta-data") && text.contains("here"), "{way:?}");
    }
}

#[test]
fn grpc_routes_take_calls_of_both_versions() {
    let calls = CALLS.take();
    for version in [Version::H1, Version::H2] {
        let answer = ask(version, calls.grpc.address(80), &unary(ECHO).host("grpc.test")).whole();
        assert_eq!((answer.status, answer.trailer("grpc-status")), (200, Some("0")), "{version:?} {answer:?}");
    }
}

#[test]
fn statuses_messages_and_trailers_pass() {
    let calls = CALLS.take();
    for way in ways() {
        // Trailers-only: the status is in the head.
        let answer = calls
            .house
            .ask(way, unary(ECHO).header("x-echo-grpc-status", "9").header("x-echo-grpc-message", "no way"))
            .whole();
        assert_eq!((answer.status, status(&answer), answer.body.len()), (200, Some("9"), 0), "{way:?}");
        let text = answer.trailer("grpc-message").or(answer.header("grpc-message"));
        assert_eq!(text, Some("no way"), "{way:?}");
        let answer = calls.house.ask(way, unary("/nobody.Knows/This")).whole();
        assert_eq!((answer.status, status(&answer)), (200, Some("12")), "{way:?}");
        let answer = calls.house.ask(way, unary(ECHO).header("x-echo-trailers", "x-cost:7,x-blob-bin:AAEC")).whole();
        assert_eq!((answer.trailer("x-cost"), answer.trailer("x-blob-bin")), (Some("7"), Some("AAEC")), "{way:?}");
    }
}

#[test]
fn many_messages_of_all_sizes_stream() {
    let calls = CALLS.take();
    let data: Vec<u8> = [0, 1, 1000, 70_000, 3, 500_000].iter().flat_map(|n| message(&pattern(*n))).collect();
    for way in ways() {
        for piece in [997, 1 << 20] {
            let answer = calls.house.ask(way, call(STREAM, Content::Streamed(data.clone().into(), piece))).whole();
            assert!(answer.body == data, "{way:?} {piece}: {} bytes", answer.body.len());
            assert_eq!(answer.trailer("grpc-status"), Some("0"), "{way:?}");
        }
    }
}

/// Each message is answered before the next is sent: nothing may wait for more.
#[test]
fn bidirectional_streams_are_a_conversation() {
    let calls = CALLS.take();
    for way in ways().filter(|way| way.down == Version::H2) {
        runtime().block_on(async {
            let connection = h2::Connection::connect(calls.house.address(way)).await;
            let mut sender = connection.sender.clone().ready().await.unwrap();
            let ask = call(STREAM, Content::None).host(House::host(way));
            let (response, mut send) = sender.send_request(h2::request(&ask), false).unwrap();
            let mut body = response.await.unwrap().into_body();
            for n in 0..20 {
                let sent = message(format!("message {n}").as_bytes());
                h2::send_all(&mut send, sent.clone().into()).await.unwrap();
                let mut got = Vec::new();
                while got.len() < sent.len() {
                    let data = tokio::time::timeout(Duration::from_secs(5), body.data())
                        .await
                        .expect("in time")
                        .unwrap()
                        .unwrap();
                    body.flow_control().release_capacity(data.len()).unwrap();
                    got.extend(data);
                }
                assert_eq!(got, sent, "{way:?} {n}");
            }
            send.send_data(Bytes::new(), true).unwrap();
            assert!(body.data().await.is_none());
            assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0", "{way:?}");
        });
    }
}

/// What the proxy answers itself is a gRPC status, in the head of an answer with status 200.
#[test]
fn local_replies_are_grpc_statuses() {
    let calls = CALLS.take();
    let dead = fairlead_testkit::free_port();
    let silent = Backend::start(|_| Act::Hold(Vec::new()));
    let text = Manifests::new()
        .backend("dead.test", dead, Version::H2, "")
        .backend("slow.test", calls.house.echo.port(), Version::H2, "      timeouts: {request: 200ms}\n")
        .backend(
            "redirect.test",
            silent.address.port(),
            Version::H1,
            "      filters: [{type: RequestRedirect, requestRedirect: {hostname: x.test}}]\n",
        )
        .text()
        .replace(
            "    - backendRefs: [{group: fairlead.dev, kind: Backend, name: redirect-test}]\n      filters",
            "    - filters",
        );
    let proxy = Proxy::serve(&text, &[80]);
    for version in [Version::H1, Version::H2] {
        for (host, path, code, text) in [
            ("nobody.test", ECHO, "12", None),
            (
                "dead.test",
                ECHO,
                "14",
                Some(
                    "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
                ),
            ),
            (
                "slow.test",
                "/gateway_api_conformance.echo_basic.grpcecho.GrpcEcho/Echo?delay=5s",
                "14",
                Some("upstream request timeout"),
            ),
        ] {
            let answer = ask(version, proxy.address(80), &unary(path).host(host)).whole();
            assert_eq!((answer.status, status(&answer)), (200, Some(code)), "{version:?} {host}");
            assert_eq!(answer.header("content-type"), Some("application/grpc"), "{version:?} {host}");
            assert_eq!(answer.header("grpc-message"), text, "{version:?} {host}");
            assert_eq!(answer.body.len(), 0, "{version:?} {host}");
        }
    }
    // On HTTP/2 the head is the end, or clients miss their status (grpc-go: "closed the stream without sending trailers").
    let mut frames = Frames::connect(proxy.address(80));
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "nobody.test"),
        (":path", ECHO),
        ("content-type", "application/grpc"),
    ];
    frames.send(&Frame::headers(1, flag::END_STREAM, &fields));
    let head = frames.until(|f| f.kind == kind::HEADERS).unwrap();
    assert_eq!(head.flags & flag::END_STREAM, flag::END_STREAM);
    // Ordinary requests get ordinary answers from the same places.
    assert_eq!(ask(Version::H2, proxy.address(80), &Ask::get("/").host("dead.test")).whole().status, 503);
}

#[test]
fn a_call_that_breaks_off_has_no_status() {
    let calls = CALLS.take();
    for way in ways().filter(|way| way.up.is_some() && way.down == Version::H2) {
        runtime().block_on(async {
            let connection = h2::Connection::connect(calls.house.address(way)).await;
            let mut sender = connection.sender.clone().ready().await.unwrap();
            let ask = call(STREAM, Content::None).host(House::host(way));
            let (response, mut send) = sender.send_request(h2::request(&ask), false).unwrap();
            h2::send_all(&mut send, message(b"one").into()).await.unwrap();
            let mut body = response.await.unwrap().into_body();
            assert!(body.data().await.unwrap().is_ok());
            let start = Instant::now();
            send.send_reset(::h2::Reason::CANCEL);
            drop(body);
            // The connection and the backend's go on.
            let answer = connection.ask(&unary(ECHO).host(House::host(way))).await.whole();
            assert_eq!(answer.trailer("grpc-status"), Some("0"), "{way:?}");
            assert!(start.elapsed() < Duration::from_secs(5));
        });
    }
}

#[test]
fn a_backend_that_ends_within_a_call_is_seen() {
    let echo = Echo::start("gone");
    let text = Manifests::new().backend("h2.test", echo.port(), Version::H2, "").text();
    let proxy = Proxy::serve(&text, &[80]);
    runtime().block_on(async {
        let connection = h2::Connection::connect(proxy.address(80)).await;
        let mut sender = connection.sender.clone().ready().await.unwrap();
        let (response, mut send) =
            sender.send_request(h2::request(&call(STREAM, Content::None).host("h2.test")), false).unwrap();
        h2::send_all(&mut send, message(b"one").into()).await.unwrap();
        let mut body = response.await.unwrap().into_body();
        assert!(body.data().await.unwrap().is_ok());
        echo.process.signal("KILL");
        let end = body.data().await.expect("not a good end");
        assert!(end.is_err_and(|e| e.is_reset()), "the stream is reset");
    });
    let line = proxy.log_of(STREAM);
    assert_eq!((line["response_code"].as_u64(), line["response_flags"].as_str()), (Some(200), Some("UC")));
}
