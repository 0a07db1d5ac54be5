//! From an address to a byte stream that speaks what is wanted.

use crate::{Address, ClusterConfig, ConnectError, ConnectErrorKind, Want};
use fairlead_net::tls::{self, ALPN_H2, TlsInfo};
use fairlead_net::{Stream, connect_tcp, connect_unix};
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How a connection to an endpoint came about; kept as long as the connection.
#[derive(Debug)]
pub struct Connected {
    /// Our address; `None` on unix sockets.
    pub local: Option<SocketAddr>,
    /// When connecting began.
    pub begun: Instant,
    /// When there was a connection.
    pub established: Instant,
    /// When the TLS handshake was over, and what was agreed on; `None` without TLS.
    pub secured: Option<Box<(Instant, TlsInfo)>>,
}

/// Connects, with the TLS handshake where the cluster has TLS.
pub(crate) async fn open(
    config: &ClusterConfig,
    address: &Address,
    want: Want,
) -> Result<(Stream, Rc<Connected>), ConnectError> {
    let begun = Instant::now();
    let stream = match address {
        Address::Ip(address) => connect_tcp(*address, &config.connect).await?,
        Address::Unix(path) => connect_unix(path).await?,
    };
    let (established, local) = (Instant::now(), stream.local_addr());
    let Some(settings) = &config.tls else {
        return Ok((stream, Rc::new(Connected { local, begun, established, secured: None })));
    };
    let stream =
        tls::connect(stream, settings.of(want)).await.map_err(|e| ConnectError::with(ConnectErrorKind::Tls, &e))?;
    // A server without ALPN speaks HTTP/1.1 (RFC 9113 §3.2).
    if want == Want::Http2 && alpn(&stream) != Some(ALPN_H2) {
        return Err(ConnectError::with(ConnectErrorKind::Protocol, &"the endpoint did not agree to HTTP/2 by ALPN"));
    }
    let secured = TlsInfo::of_upstream(&stream).map(|info| Box::new((Instant::now(), info)));
    Ok((stream, Rc::new(Connected { local, begun, established, secured })))
}

/// `work` within the connect timeout.
pub(crate) async fn within<T>(
    limit: Option<Duration>,
    work: impl Future<Output = Result<T, ConnectError>>,
) -> Result<T, ConnectError> {
    match limit {
        Some(limit) => match tokio::time::timeout(limit, work).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::new(ConnectErrorKind::Timeout)),
        },
        None => work.await,
    }
}

fn alpn(stream: &Stream) -> Option<&[u8]> {
    match stream {
        Stream::TlsClient(stream) => stream.get_ref().1.alpn_protocol(),
        _ => None,
    }
}
