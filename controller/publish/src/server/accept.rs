//! Sockets: TLS, HTTP/2, and who it is.

use super::Shared;
use super::identity::Peer;
use super::push::Calls;
use fairlead_wire::proto::push_server::PushServer;
use fairlead_wire::{MAX_MESSAGE, PING_INTERVAL, PING_TIMEOUT};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tonic::codegen::Service as _;

/// Connections of peers that have not shown a certificate.
const STRANGERS: usize = 256;
/// They have so long to enrol.
const STRANGER: Duration = Duration::from_secs(30);
const HANDSHAKE: Duration = Duration::from_secs(5);
/// A connection that is told to go has so long.
const FAREWELL: Duration = Duration::from_secs(2);
/// After `accept` failed, which is for lack of descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// A proxy has one stream, and enrols beside it.
const STREAMS: u32 = 8;

/// Accepts until it is stopped.
pub(super) async fn run(
    listener: TcpListener,
    tls: watch::Receiver<Arc<ServerConfig>>,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    let strangers = Arc::new(Semaphore::new(STRANGERS));
    let stop = stopped.clone();
    let accept = async {
        loop {
            let Ok(permit) = strangers.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let acceptor = TlsAcceptor::from(tls.borrow().clone());
                    tokio::spawn(connection(stream, acceptor, shared.clone(), stop.clone(), permit));
                }
                Err(error) => {
                    tracing::warn!(%error, "the push server can't accept");
                    sleep(PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accept => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
    permit: OwnedSemaphorePermit,
) {
    let from = stream.peer_addr().ok();
    let _ = stream.set_nodelay(true);
    let stream = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::warn!(?from, %error, "a TLS handshake on the push port failed"),
        Err(_) => return tracing::debug!(?from, "a TLS handshake on the push port takes too long"),
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let peer = certificate.and_then(Peer::of);
    // Those that are known don't count.
    let (known, permit) = (peer.is_some(), peer.is_none().then_some(permit));
    let calls = PushServer::new(Calls(shared)).max_decoding_message_size(MAX_MESSAGE);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().extend(extension(peer.clone()));
        calls.clone().call(request)
    });
    let serving = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(STREAMS)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    tokio::select! {
        ended = serving.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(?from, error = &error as &dyn std::error::Error, "a connection of the push port ended");
            }
            return;
        }
        () = sleep(STRANGER), if !known => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = timeout(FAREWELL, serving).await;
    drop(permit);
}

fn extension(peer: Option<Peer>) -> http::Extensions {
    let mut extensions = http::Extensions::new();
    if let Some(peer) = peer {
        extensions.insert(peer);
    }
    extensions
}
