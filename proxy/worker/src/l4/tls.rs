//! Connections of a port with TLS listeners: the name that the client asks for says what becomes of them.
//!
//! | listener of the name | the connection |
//! | --- | --- |
//! | TLS, mode Passthrough | goes on to the backend, ClientHello first, byte by byte |
//! | TLS, mode Terminate | TLS ends here; what is inside goes on to the backend |
//! | HTTPS | is served as on a port of HTTPS listeners only |
//! | none | is closed |
//!
//! Where the route leads is known before the client gets a byte: one that leads nowhere is closed and not answered.

use super::{Flow, run};
use crate::serve::{self, Connection};
use fairlead_ir::ListenerProtocol;
use fairlead_net::Stream;
use fairlead_net::tls::{self, TlsError, TlsInfo, peek_client_hello};
use std::rc::Rc;
use std::time::Duration;

/// From the accept to the end of the handshake. As for HTTPS.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Bytes of a ClientHello that are looked at: Envoy's TLS inspector.
const MAX_HELLO: usize = 16 * 1024;

/// See the module.
pub async fn serve(connection: Connection, stream: Stream) {
    let Ok(Ok((hello, stream))) = tokio::time::timeout(HANDSHAKE, peek_client_hello(stream, MAX_HELLO)).await else {
        return connection.port.metrics.at(connection.worker.index).tls_errors.inc();
    };
    let server_name = hello.server_name.as_deref().unwrap_or_default();
    // The newest: the client may have taken its time.
    let current = connection.worker.current();
    let port = current.snapshot.port(connection.info.bind).unwrap_or(&connection.port);
    let listener = port.listeners.find(server_name.as_bytes()).cloned();
    if listener.as_ref().is_some_and(|listener| listener.config.protocol == ListenerProtocol::Https) {
        tokio::task::spawn_local(serve::tls::serve(connection, stream));
        return;
    }
    let passthrough = listener.as_ref().is_none_or(|listener| listener.is_passthrough());
    let mut flow = Flow::new(listener, server_name);
    let drawn = flow.draw(&current);
    drop(current);
    // In tasks of their own, so that this one's state is freed.
    if passthrough || drawn.is_err() {
        tokio::task::spawn_local(run(connection, stream, flow, drawn));
    } else {
        tokio::task::spawn_local(terminate(connection, stream, flow));
    }
}

async fn terminate(mut connection: Connection, stream: Stream, flow: Flow) {
    match tokio::time::timeout(HANDSHAKE, handshake(&connection, stream, &flow)).await {
        Ok(Ok(Some((stream, info)))) => {
            if let Some(facts) = Rc::get_mut(&mut connection.info) {
                facts.tls = Some(info);
            }
            tokio::task::spawn_local(run(connection, stream, flow, Ok(())));
            return;
        }
        Ok(Err(error)) => {
            tracing::debug!(peer = %connection.info.peer, port = connection.info.bind.port, %error, "TLS handshake failed");
        }
        Ok(Ok(None)) | Err(_) => {}
    }
    connection.port.metrics.at(connection.worker.index).tls_errors.inc();
}

async fn handshake(
    connection: &Connection,
    stream: Stream,
    flow: &Flow,
) -> Result<Option<(Stream, TlsInfo)>, TlsError> {
    let current = connection.worker.current();
    let port = current.snapshot.port(connection.info.bind).unwrap_or(&connection.port);
    // None when its certificates can't be used, which the controller was told.
    let settings = port.tls.as_ref().and_then(|index| index.find(flow.server_name.as_bytes())).cloned();
    drop(current);
    let Some(settings) = settings else {
        stream.abort();
        return Ok(None);
    };
    tls::read_hello(stream).await?.accept(&settings).await.map(Some)
}
