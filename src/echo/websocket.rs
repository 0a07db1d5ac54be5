//! WebSocket echo over HTTP/1.1 (RFC 6455) and HTTP/2 (RFC 8441).

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::ext::Protocol;
use hyper::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::body::Body;

/// Whether a request asks for a WebSocket.
pub fn is_asked<B>(request: &Request<B>) -> bool {
    let by_connect = request.extensions().get::<Protocol>().is_some_and(|p| p.as_str() == "websocket");
    let by_upgrade = request.headers().get(UPGRADE).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"websocket"));
    by_connect || by_upgrade
}

/// Accepts, and echoes messages until the client closes.
pub fn respond<B: 'static>(mut request: Request<B>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let protocol = request.headers().get(SEC_WEBSOCKET_PROTOCOL).and_then(|v| v.to_str().ok());
    if let Some(Ok(first)) = protocol.and_then(|p| p.split(',').next()).map(|p| HeaderValue::from_str(p.trim())) {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, first);
    }
    if request.method() != Method::CONNECT {
        let accept = request.headers().get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
        let Some(Ok(accept)) = accept.map(|a| HeaderValue::from_str(&a)) else {
            *response.status_mut() = StatusCode::BAD_REQUEST;
            return response;
        };
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::task::spawn_local(async move {
        // A client that goes away in the middle needs no answer.
        if let Ok(upgraded) = upgrade.await {
            let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
            // Pings and closes are answered by the library.
            while let Some(Ok(message)) = socket.next().await {
                if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                    break;
                }
            }
        }
    });
    response
}
