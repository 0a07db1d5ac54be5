use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::Empty;
use hyper::Request;
use hyper::ext::Protocol;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{Echo, connect, get_with, http2, json};

async fn talk<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(mut socket: WebSocketStream<S>) {
    let large = Message::binary(vec![7u8; 300_000]);
    for message in [Message::text("hello"), Message::text(""), large] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    socket.send(Message::Ping(Bytes::from_static(b"p"))).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong(Bytes::from_static(b"p")));
    socket.close(None).await.unwrap();
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(_)))));
    assert!(socket.next().await.is_none());
}

#[tokio::test]
async fn over_http1() {
    let echo = Echo::start(&[]);
    let mut request = "ws://a.example/chat/ws".into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "one, two".parse().unwrap());
    let (socket, response) = client_async(request, connect(echo.http()).await).await.unwrap();
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["sec-websocket-protocol"], "one");
    talk(socket).await;
}

#[tokio::test]
async fn over_http2() {
    let echo = Echo::start(&[]);
    let mut sender = http2::<Empty<Bytes>>(connect(echo.http()).await).await;
    // Extended CONNECT may be used once the server's SETTINGS have said so.
    let plain = Request::get("http://a/").body(Empty::new()).unwrap();
    sender.send_request(plain).await.unwrap();
    let mut request = Request::connect("http://a.example/ws").body(Empty::new()).unwrap();
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let upgraded = hyper::upgrade::on(response).await.unwrap();
    talk(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await).await;
}

#[tokio::test]
async fn not_without_an_upgrade() {
    let echo = Echo::start(&[]);
    let (_, body) = get_with(echo.http(), "/ws", "").await;
    assert_eq!(json(&body)["path"], "/ws");
    let (head, _) = get_with(echo.http(), "/ws", "Upgrade: websocket\r\n").await;
    assert!(head.starts_with("HTTP/1.1 400"), "no key: {head}");
}
