//! One connection to the controller: TCP, TLS 1.3, HTTP/2, and on it a gRPC client.

use crate::proto::push_client::PushClient;
use crate::{ALPN, Clock, MAX_MESSAGE, PING_INTERVAL, PING_TIMEOUT, crypto, out_of_time};
use http::Uri;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::body::Body;
use tonic::codegen::Service;

/// How long one address may take to answer.
const CONNECT: Duration = Duration::from_secs(3);
/// Of TLS and HTTP/2.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// What may be under way on a stream; a first push is megabytes.
const WINDOW: u32 = 1 << 20;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("cannot resolve {0}: {1}")]
    Resolve(String, io::Error),
    #[error("cannot connect to {0}: {1}")]
    Tcp(String, io::Error),
    #[error("TLS with {0}: {1}")]
    Tls(SocketAddr, io::Error),
    #[error("TLS with {0}: the controller's certificate can't be used: {1}")]
    Time(SocketAddr, String),
    #[error("HTTP/2 with {0}: {1}")]
    Http(SocketAddr, hyper::Error),
    #[error("{0} does not finish the TLS handshake within {HANDSHAKE:?}")]
    Slow(SocketAddr),
    #[error("client TLS: {0}")]
    Config(#[from] rustls::Error),
    #[error("controller {0:?}: {1}")]
    Name(String, &'static str),
}

impl ConnectError {
    fn of_tls(peer: SocketAddr, error: io::Error) -> ConnectError {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
        match cause.and_then(out_of_time) {
            Some(text) => ConnectError::Time(peer, text),
            None => ConnectError::Tls(peer, error),
        }
    }
}

/// A certificate with its key.
pub(crate) struct KeyPair<'a> {
    pub certificate: &'a CertificateDer<'static>,
    pub key: &'a PrivateKeyDer<'static>,
}

/// Where the controller is: by name for TLS, by name or address for TCP.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// What its certificate names.
    pub host: String,
    pub port: u16,
    /// Where to connect instead of what `host` resolves to.
    pub address: Option<SocketAddr>,
}

/// What a client of the channel trusts and shows.
pub(crate) fn tls(
    roots: &[CertificateDer<'static>],
    identity: Option<KeyPair<'_>>,
    clock: &Clock,
) -> Result<ClientConfig, rustls::Error> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone())?;
    }
    let builder = ClientConfig::builder_with_details(crypto(), Arc::new(clock.clone()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(store);
    let mut config = match identity {
        Some(pair) => builder.with_client_auth_cert(vec![pair.certificate.clone()], pair.key.clone_key())?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    // Each connection is judged anew.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// A connection; it ends when the client and its streams are dropped.
pub(crate) struct Connection {
    pub client: PushClient<Channel>,
    pub peer: SocketAddr,
    /// Why it ended.
    pub end: JoinHandle<hyper::Result<()>>,
}

/// Connects.
pub(crate) async fn connect(target: &Target, config: ClientConfig) -> Result<Connection, ConnectError> {
    let name = |problem| ConnectError::Name(target.host.clone(), problem);
    let server = ServerName::try_from(target.host.clone()).map_err(|_| name("not a host name"))?;
    let origin = Uri::builder().scheme("https").authority(authority(&target.host, target.port)).path_and_query("/");
    let origin = origin.build().map_err(|_| name("not a host name"))?;
    let (stream, peer) = dial(target).await?;
    // Futures that hold a TLS session are large.
    let shake = Box::pin(async {
        let stream = TlsConnector::from(Arc::new(config))
            .connect(server, stream)
            .await
            .map_err(|error| ConnectError::of_tls(peer, error))?;
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW);
        let shaken = Box::pin(http.handshake::<_, Body>(TokioIo::new(stream))).await;
        shaken.map_err(|error| ConnectError::Http(peer, error))
    });
    let (sender, connection) = timeout(HANDSHAKE, shake).await.map_err(|_| ConnectError::Slow(peer))??;
    let end = tokio::spawn(connection);
    let client = PushClient::with_origin(Channel(sender), origin)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    Ok(Connection { client, peer, end })
}

async fn dial(target: &Target) -> Result<(TcpStream, SocketAddr), ConnectError> {
    let place = authority(&target.host, target.port);
    let addresses: Vec<SocketAddr> = match target.address {
        Some(address) => vec![address],
        None => {
            let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
            found.map_err(|error| ConnectError::Resolve(place.clone(), error))?.collect()
        }
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    for address in addresses {
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Acks and pushes are small and wanted at once.
                let _ = stream.set_nodelay(true);
                return Ok((stream, address));
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(ConnectError::Tcp(target.address.map_or(place, |address| address.to_string()), last))
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// HTTP/2 as gRPC wants it.
#[derive(Clone, Debug)]
pub(crate) struct Channel(http2::SendRequest<Body>);

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
