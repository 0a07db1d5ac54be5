//! RFC 6455 and RFC 8441: WebSockets over HTTP/1.1 and over HTTP/2.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fairlead_test_protocol::{House, Way};
use fairlead_testkit::websocket::{HANDSHAKE, frame, op, parse};
use fairlead_testkit::{Act, Ask, Backend, Proxy, Shared, Version, Wire, ask, h2, runtime};
use futures_util::{SinkExt as _, StreamExt as _};
use http::Request;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};

static HOUSE: Shared<House> = Shared::new(House::start);

fn ways(down: Version) -> impl Iterator<Item = Way> {
    House::ways().into_iter().filter(move |way| way.down == down)
}

async fn open(house: &House, way: Way) -> (WebSocketStream<TcpStream>, http::Response<Option<Vec<u8>>>) {
    let stream = TcpStream::connect(house.address(way)).await.unwrap();
    let mut request = format!("ws://{}/chat/ws", House::host(way)).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "chat".parse().unwrap());
    client_async(request, stream).await.unwrap()
}

#[test]
fn messages_of_all_sizes_come_back() {
    let house = HOUSE.take();
    for way in ways(Version::H1) {
        runtime().block_on(async {
            let (mut socket, response) = open(&house, way).await;
            assert_eq!(response.headers()["sec-websocket-protocol"], "chat", "{way:?}");
            for size in [0, 1, 125, 126, 65_535, 65_536, 1_000_000] {
                let message = Message::binary(vec![size as u8; size]);
                socket.send(message.clone()).await.unwrap();
                assert!(socket.next().await.unwrap().unwrap() == message, "{way:?} {size}");
            }
            socket.send(Message::Ping(Bytes::from_static(b"?"))).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong(Bytes::from_static(b"?")), "{way:?}");
            socket.close(None).await.unwrap();
            assert!(matches!(socket.next().await, Some(Ok(Message::Close(_))) | None), "{way:?}");
            assert!(socket.next().await.is_none(), "{way:?}: the connection ends");
        });
    }
}

#[test]
fn the_handshake_is_logged_as_101() {
    let house = HOUSE.take();
    runtime().block_on(async {
        let way = Way { down: Version::H1, up: Some(Version::H1) };
        let stream = TcpStream::connect(house.address(way)).await.unwrap();
        let (mut socket, _) = client_async("ws://h1.test/logged/ws", stream).await.unwrap();
        socket.send(Message::text("hello")).await.unwrap();
        socket.next().await.unwrap().unwrap();
        socket.close(None).await.unwrap();
        while socket.next().await.is_some() {}
    });
    let line = house.proxy.log_of("/logged/ws");
    assert_eq!((line["response_code"].as_u64(), line["response_flags"].as_str()), (Some(101), Some("-")));
    // Each direction: a frame of "hello" and a close.
    assert!(line["bytes_received"].as_u64() >= Some(11), "{line}");
    assert!(line["bytes_sent"].as_u64() >= Some(7), "{line}");
}

#[test]
fn frames_sent_right_behind_the_handshake_are_not_lost() {
    let house = HOUSE.take();
    for host in ["h1.test", "h2.test"] {
        let mut wire = Wire::connect(house.proxy.address(80));
        let mut bytes = handshake(host, "/ws", "").into_bytes();
        bytes.extend(frame(op::TEXT, b"early"));
        wire.send(bytes);
        assert_eq!(wire.response(false).unwrap().status, 101);
        wire.send(frame(op::CLOSE, &[3, 232]));
        let mut got = wire.read_to_end(Duration::from_secs(5)).expect("the end");
        assert_eq!(parse(&mut got), Some((op::TEXT, b"early".to_vec())), "{host}");
        assert_eq!(parse(&mut got).map(|(op, _)| op), Some(op::CLOSE), "{host}");
    }
}

fn handshake(host: &str, path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{HANDSHAKE}{more}\r\n")
}

/// A backend that switches and then does what `serve` says.
fn switching(serve: impl Fn(TcpListener) + Send + 'static) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || serve(listener));
    Proxy::serve(&fairlead_testkit::Manifests::new().backend("own.test", port, Version::H1, "").text(), &[80])
}

/// Takes a connection and its handshake.
fn switched(listener: &TcpListener) -> std::net::TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n").unwrap();
    stream
}

/// Each direction ends by itself: what the other side still has to say arrives.
#[test]
fn a_client_that_has_said_all_still_hears_the_answer() {
    let (told, got) = std::sync::mpsc::channel();
    let proxy = switching(move |listener| {
        let mut stream = switched(&listener);
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        told.send(all).unwrap();
        // Later than the end, and in pieces.
        for piece in [&b"still "[..], b"here"] {
            std::thread::sleep(Duration::from_millis(200));
            stream.write_all(piece).unwrap();
        }
    });
    let mut wire = Wire::connect(proxy.address(80));
    wire.send(handshake("own.test", "/", ""));
    assert_eq!(wire.response(false).unwrap().status, 101);
    wire.send("last words").finish();
    assert_eq!(got.recv_timeout(Duration::from_secs(5)).unwrap(), b"last words", "the end arrives");
    assert_eq!(wire.read_to_end(Duration::from_secs(5)).unwrap(), b"still here");
}

#[test]
fn a_backend_that_has_said_all_still_hears_the_client() {
    let (told, got) = std::sync::mpsc::channel();
    let proxy = switching(move |listener| {
        let mut stream = switched(&listener);
        stream.write_all(b"last words").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        told.send(all).unwrap();
    });
    let mut wire = Wire::connect(proxy.address(80));
    wire.send(handshake("own.test", "/", ""));
    assert_eq!(wire.response(false).unwrap().status, 101);
    assert_eq!(wire.read_to_end(Duration::from_secs(5)).unwrap(), b"last words");
    wire.send("still here").finish();
    assert_eq!(got.recv_timeout(Duration::from_secs(5)).unwrap(), b"still here");
}

/// A side that has ended and hears nothing more is not kept waiting for ever (RFC 6455 §7.1.1).
#[test]
fn half_closed_and_silent_is_over_soon() {
    let proxy = switching(move |listener| {
        let _silent = switched(&listener);
        std::thread::sleep(Duration::from_secs(60));
    });
    let mut wire = Wire::connect(proxy.address(80));
    wire.send(handshake("own.test", "/", ""));
    assert_eq!(wire.response(false).unwrap().status, 101);
    let start = Instant::now();
    wire.finish();
    assert!(wire.is_closed_within(Duration::from_secs(9)));
    assert!(start.elapsed() > Duration::from_secs(4), "{:?}", start.elapsed());
}

#[test]
fn a_refused_handshake_is_an_ordinary_answer() {
    let house = HOUSE.take();
    let mut wire = Wire::connect(house.proxy.address(80));
    wire.send(handshake("h1.test", "/status/403", ""));
    assert_eq!(wire.response(false).unwrap().status, 403);
    assert_eq!(wire.get("h1.test", "/after").status, 200, "the connection goes on");
}

#[test]
fn only_a_101_that_was_asked_for_switches() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nraw";
    let other = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nraw";
    let backend = Backend::start(move |request| match request.path() {
        "/unasked" => Act::Answer(switch.into()),
        "/other" => Act::Answer(other.into()),
        _ => Act::ok("plain"),
    });
    let text = fairlead_testkit::Manifests::new().backend("own.test", backend.address.port(), Version::H1, "").text();
    let proxy = Proxy::serve(&text, &[80]);
    let reply = ask(Version::H1, proxy.address(80), &Ask::get("/unasked").host("own.test"));
    assert_eq!(reply.whole().status, 502);
    let mut wire = Wire::connect(proxy.address(80));
    wire.send(handshake("own.test", "/other", ""));
    assert_eq!(wire.response(false).unwrap().status, 502);
    // A backend that takes no notice answers; what the client sent behind its handshake is never a request.
    let mut wire = Wire::connect(proxy.address(80));
    wire.send(handshake("own.test", "/plain", "") + "GET /second HTTP/1.1\r\nHost: own.test\r\n\r\n");
    assert_eq!(wire.response(false).unwrap().text(), "plain");
    assert_eq!(wire.response(false).unwrap().text(), "plain", "a next request, by the client's own fault");
    let seen = backend.seen();
    assert_eq!(seen.malformed, [] as [String; 0]);
    assert_eq!(seen.requests.iter().filter(|r| r.path() == "/second").count(), 1, "as a request of its own");
    let upgrade = seen.requests.iter().find(|r| r.path() == "/plain").unwrap();
    assert_eq!((upgrade.headers("connection"), upgrade.headers("upgrade")), (vec!["upgrade"], vec!["websocket"]));
}

/// Opens a WebSocket on a stream of HTTP/2; the status when it is refused.
async fn extended_connect(
    connection: &h2::Connection,
    host: &str,
    path: &str,
) -> Result<(::h2::SendStream<Bytes>, ::h2::RecvStream), u16> {
    let mut sender = connection.sender.clone();
    for _ in 0..100 {
        if sender.is_extended_connect_protocol_enabled() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let request = Request::builder()
        .method("CONNECT")
        .uri(format!("http://{host}{path}"))
        .extension(::h2::ext::Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat, superchat")
        .body(())
        .unwrap();
    sender = sender.ready().await.unwrap();
    let (response, send) = sender.send_request(request, false).unwrap();
    let response = response.await.unwrap();
    if response.status() != 200 {
        return Err(response.status().as_u16());
    }
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    assert!(!response.headers().contains_key("sec-websocket-accept") && !response.headers().contains_key("upgrade"));
    Ok((send, response.into_body()))
}

async fn message(body: &mut ::h2::RecvStream, ahead: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    loop {
        if let Some(message) = parse(ahead) {
            return Some(message);
        }
        let data = body.data().await?.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        ahead.extend(data);
    }
}

#[test]
fn websockets_over_http2() {
    let house = HOUSE.take();
    for way in ways(Version::H2) {
        runtime().block_on(async {
            let connection = h2::Connection::connect(house.address(way)).await;
            let (mut send, mut body) = extended_connect(&connection, House::host(way), "/chat/ws").await.unwrap();
            let mut ahead = Vec::new();
            for size in [0, 1, 125, 126, 65_536, 500_000] {
                let payload = vec![size as u8; size];
                let sending = h2::send_all(&mut send, frame(op::BINARY, &payload).into());
                let (sent, got) = tokio::join!(sending, message(&mut body, &mut ahead));
                sent.unwrap();
                assert!(got == Some((op::BINARY, payload)), "{way:?} {size}");
            }
            // Ordinary requests go on beside it.
            let answer = connection.ask(&Ask::get("/beside").host(House::host(way))).await.whole();
            assert_eq!(answer.json()["path"], "/beside", "{way:?}");
            send.send_data(frame(op::CLOSE, &[3, 232]).into(), false).unwrap();
            assert_eq!(message(&mut body, &mut ahead).await.map(|(op, _)| op), Some(op::CLOSE), "{way:?}");
            // A server may have ended both directions already.
            let _ = send.send_data(Bytes::new(), true);
            assert_eq!(message(&mut body, &mut ahead).await, None, "{way:?}: the stream ends");
        });
    }
}

#[test]
fn a_refused_extended_connect_is_an_ordinary_answer() {
    let house = HOUSE.take();
    runtime().block_on(async {
        let connection = h2::Connection::connect(house.proxy.address(80)).await;
        assert_eq!(extended_connect(&connection, "h1.test", "/status/418").await.err(), Some(418));
        assert_eq!(extended_connect(&connection, "nobody.test", "/ws").await.err(), Some(404));
        assert_eq!(connection.ask(&Ask::get("/").host("h1.test")).await.whole().status, 200);
    });
}

/// Many WebSockets on one connection of HTTP/2, each through a connection of HTTP/1.1.
#[test]
fn many_websockets_share_a_connection() {
    let house = HOUSE.take();
    runtime().block_on(async {
        let connection = h2::Connection::connect(house.proxy.address(80)).await;
        let mut open = Vec::new();
        for _ in 0..50 {
            open.push(extended_connect(&connection, "h1.test", "/ws").await.unwrap());
        }
        for (n, (send, body)) in open.iter_mut().enumerate() {
            let text = format!("socket {n}");
            send.send_data(frame(op::TEXT, text.as_bytes()).into(), false).unwrap();
            assert_eq!(message(body, &mut Vec::new()).await, Some((op::TEXT, text.into_bytes())));
        }
    });
}
