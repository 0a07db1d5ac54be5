//! Sockets: TLS, HTTP/2, and who it is.

use super::identity::Peer;
use super::push::Calls;
use super::shares::{Share, Shares};
use super::{Identity, Shared};
use fairlead_wire::proto::push_server::PushServer;
use fairlead_wire::{PING_INTERVAL, PING_TIMEOUT};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tonic::codegen::Service as _;

/// Connections of peers that have not shown a certificate …
const STRANGERS: usize = 256;
/// … and of those from one address: nobody keeps all others out.
const OF_AN_ADDRESS: usize = 64;
/// They have so long to enrol.
const STRANGER: Duration = Duration::from_secs(30);
/// Connections of one proxy. It has one, and a second one when the first is lost, which takes a ping to notice.
const OF_A_PROXY: usize = 4;
const HANDSHAKE: Duration = Duration::from_secs(5);
/// A connection that is told to go has so long.
const FAREWELL: Duration = Duration::from_secs(2);
/// After `accept` failed, which is for lack of descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// Of a connection: a proxy has one stream, and enrols on another connection.
const STREAMS: u32 = 2;
/// Bytes of a message of a stranger: a token and a certificate request.
const ENROLMENT: usize = 64 << 10;
/// Bytes of a message of a proxy: tens of thousands of reasons why it can't serve something.
const ANSWER: usize = 16 << 20;
/// Bytes that may come of a connection before they are read.
const WINDOW: u32 = 64 << 10;

/// What a connection counts as, while it is there.
enum Place {
    /// Nobody's.
    Stranger { _permit: OwnedSemaphorePermit, _share: Share<IpAddr> },
    /// A proxy's.
    Proxy { _share: Share<Identity> },
}

/// Accepts until it is stopped.
pub(super) async fn run(
    listener: TcpListener,
    tls: watch::Receiver<Arc<ServerConfig>>,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    let strangers = Arc::new(Semaphore::new(STRANGERS));
    let (addresses, proxies) = (Shares::new(OF_AN_ADDRESS), Shares::new(OF_A_PROXY));
    let stop = stopped.clone();
    let accept = async {
        loop {
            let Ok(permit) = strangers.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, from)) => {
                    let Some(share) = addresses.take(from.ip()) else {
                        tracing::debug!(%from, "too many connections of one address to the push port");
                        continue;
                    };
                    let acceptor = TlsAcceptor::from(tls.borrow().clone());
                    let place = Place::Stranger { _permit: permit, _share: share };
                    let arrival = Arrival { stream, from, place, proxies: proxies.clone() };
                    tokio::spawn(connection(arrival, acceptor, shared.clone(), stop.clone()));
                }
                Err(error) => {
                    if shared.warnings.sockets.may_tell() {
                        tracing::warn!(%error, "the push server can't accept");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = accept => {}
        () = shared.warnings.count() => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

/// A connection that has just come.
struct Arrival {
    stream: TcpStream,
    from: SocketAddr,
    place: Place,
    /// Where it counts when it is a proxy's.
    proxies: Arc<Shares<Identity>>,
}

async fn connection(arrival: Arrival, acceptor: TlsAcceptor, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let Arrival { stream, from, mut place, proxies } = arrival;
    let _ = stream.set_nodelay(true);
    let stream = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            if shared.warnings.handshakes.may_tell() {
                tracing::warn!(%from, %error, "a TLS handshake on the push port failed");
            }
            return;
        }
        Err(_) => return tracing::debug!(%from, "a TLS handshake on the push port takes too long"),
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let peer = certificate.and_then(Peer::of);
    if let Some(Peer { identity, .. }) = &peer {
        let Some(share) = proxies.take(identity.clone()) else {
            return tracing::debug!(%from, uri = identity.uri(), "too many connections of one proxy");
        };
        place = Place::Proxy { _share: share };
    }
    let (known, limit) = if peer.is_some() { (true, ANSWER) } else { (false, ENROLMENT) };
    let calls = PushServer::new(Calls(shared)).max_decoding_message_size(limit);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().extend(extension(peer.clone()));
        calls.clone().call(request)
    });
    let serving = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    tokio::select! {
        ended = serving.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(%from, error = &error as &dyn std::error::Error, "a connection of the push port ended");
            }
            return;
        }
        () = sleep(STRANGER), if !known => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = timeout(FAREWELL, serving).await;
    drop(place);
}

fn extension(peer: Option<Peer>) -> http::Extensions {
    let mut extensions = http::Extensions::new();
    if let Some(peer) = peer {
        extensions.insert(peer);
    }
    extensions
}
