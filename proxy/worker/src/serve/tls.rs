//! The TLS handshake of a connection: settings by server name, a bounded time.

use super::{Connection, h1, h2};
use fairlead_net::Stream;
use fairlead_net::tls::{self, ALPN_H2, TlsError, TlsInfo};
use std::rc::Rc;
use std::time::Duration;

/// Envoy's `transport_socket_connect_timeout` at an edge.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Shakes hands, then serves what was agreed on, in a task of its own so that the handshake's state is freed.
pub async fn serve(mut connection: Connection, stream: Stream) {
    match tokio::time::timeout(HANDSHAKE, handshake(&connection, stream)).await {
        Ok(Ok(Some((stream, info)))) => {
            let http2 = info.alpn.as_deref() == Some(ALPN_H2);
            if let Some(facts) = Rc::get_mut(&mut connection.info) {
                facts.tls = Some(info);
            }
            if http2 {
                tokio::task::spawn_local(h2::serve(connection, stream));
            } else {
                tokio::task::spawn_local(h1::serve(connection, stream));
            }
        }
        // No listener has the name: refused.
        Ok(Ok(None)) => connection.port.metrics.at(connection.worker.index).tls_errors.inc(),
        Ok(Err(error)) => {
            connection.port.metrics.at(connection.worker.index).tls_errors.inc();
            tracing::debug!(peer = %connection.info.peer, port = connection.info.bind.port, %error, "TLS handshake failed");
        }
        Err(_) => {
            connection.port.metrics.at(connection.worker.index).tls_errors.inc();
            tracing::debug!(peer = %connection.info.peer, port = connection.info.bind.port, "TLS handshake took too long");
        }
    }
}

async fn handshake(connection: &Connection, stream: Stream) -> Result<Option<(Stream, TlsInfo)>, TlsError> {
    let hello = tls::read_hello(stream).await?;
    let name = hello.server_name();
    let settings = connection.port.tls.as_ref().and_then(|index| index.find(name.as_deref().unwrap_or("").as_bytes()));
    match settings {
        Some(settings) => hello.accept(settings).await.map(Some),
        None => {
            let _ = hello.refuse().await;
            Ok(None)
        }
    }
}
