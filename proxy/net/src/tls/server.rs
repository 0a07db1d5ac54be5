//! The server side: from a raw connection to plaintext.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{Acceptor, NoServerSessionStorage};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::names::CertResolver;
use super::{ClientAuth, Identity, SetupError, Tickets, TlsError, TlsInfo, TlsVersion, provider, versions};
use crate::Stream;

/// Compiled settings of a TLS server. Cloning shares them.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    second_look: Option<Arc<dyn ClientCertVerifier>>,
}

impl ServerTls {
    /// Starts with the session ticket keys of the process; TLS 1.2 and 1.3, no ALPN, no client certificates.
    pub fn builder(tickets: &Tickets) -> ServerTlsBuilder {
        ServerTlsBuilder {
            tickets: tickets.clone(),
            identities: Vec::new(),
            alpn: Vec::new(),
            min: TlsVersion::V1_2,
            max: TlsVersion::V1_3,
            client_auth: ClientAuth::None,
        }
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("alpn", &self.config.alpn_protocols.len()).finish_non_exhaustive()
    }
}

/// Settings of a TLS server to be.
#[derive(Clone, Debug)]
pub struct ServerTlsBuilder {
    tickets: Tickets,
    identities: Vec<Arc<Identity>>,
    alpn: Vec<Vec<u8>>,
    min: TlsVersion,
    max: TlsVersion,
    client_auth: ClientAuth,
}

impl ServerTlsBuilder {
    /// Adds a certificate. It serves the names it has itself; the first one added also serves all other names, and clients
    /// that name none.
    pub fn identity(mut self, identity: Arc<Identity>) -> Self {
        self.identities.push(identity);
        self
    }

    /// The protocols to agree on, preferred first. A client that offers only others is refused (RFC 7301 §3.2); one that
    /// offers none is served.
    pub fn alpn<'a>(mut self, protocols: impl IntoIterator<Item = &'a [u8]>) -> Self {
        self.alpn = protocols.into_iter().map(<[u8]>::to_vec).collect();
        self
    }

    /// The oldest and the newest version allowed.
    pub fn versions(mut self, min: TlsVersion, max: TlsVersion) -> Self {
        (self.min, self.max) = (min, max);
        self
    }

    /// What to ask of clients.
    pub fn client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.client_auth = client_auth;
        self
    }

    /// Compiles the settings.
    pub fn build(self) -> Result<ServerTls, SetupError> {
        if self.identities.is_empty() {
            return Err(SetupError::NoCertificate);
        }
        let versions = versions(self.min, self.max);
        if versions.is_empty() {
            return Err(SetupError::Versions { min: self.min, max: self.max });
        }
        let mut config = ServerConfig::builder_with_provider(provider().clone())
            .with_protocol_versions(&versions)?
            .with_client_cert_verifier(self.client_auth.verifier()?)
            .with_cert_resolver(Arc::new(CertResolver::new(&self.identities)));
        config.alpn_protocols = self.alpn;
        config.ticketer = self.tickets.scoped(self.client_auth.scope());
        // The default keeps sessions behind a lock that all workers would share; tickets need no memory.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(ServerTls { config: Arc::new(config), second_look: self.client_auth.second_look()? })
    }
}

/// Reads the client's first message, so that the caller can choose the settings by what it asks for.
///
/// Has no time limit; bound this and [`Hello::accept`] together. The message is limited to 64 KiB.
pub async fn read_hello(stream: Stream) -> Result<Hello, TlsError> {
    // In a box of its own, so that the handshake's state does not stay part of the connection's future for good.
    let acceptor = Box::pin(LazyConfigAcceptor::new(Acceptor::default(), stream));
    Ok(Hello(Box::new(acceptor.await?)))
}

/// A client's first message, to be answered.
pub struct Hello(Box<StartHandshake<Stream>>);

impl Hello {
    /// The host that the client wants to talk to (SNI, RFC 6066 §3), lower-case.
    pub fn server_name(&self) -> Option<Rc<str>> {
        self.0.client_hello().server_name().map(Rc::from)
    }

    /// Whether the client offers `protocol` by ALPN.
    pub fn offers_alpn(&self, protocol: &[u8]) -> bool {
        self.0.client_hello().alpn().is_some_and(|mut offered| offered.any(|p| p == protocol))
    }

    /// Completes the handshake.
    pub async fn accept(self, tls: &ServerTls) -> Result<(Stream, TlsInfo), TlsError> {
        let accepted: TlsStream<Stream> = Box::pin(self.0.into_stream(tls.config.clone())).await?;
        let info = TlsInfo::of_client(accepted.get_ref().1, tls.second_look.as_deref());
        Ok((Stream::TlsServer(Box::new(accepted)), info))
    }

    /// Turns the client away with the alert `unrecognized_name` (RFC 6066 §3): no listener serves the name.
    pub async fn refuse(self) -> io::Result<()> {
        // Record: alert (21), version 1.2, 2 bytes; fatal (2), unrecognized_name (112). Nothing is encrypted yet.
        const ALERT: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];
        let mut stream = self.0.io;
        let mut rest = &ALERT[..];
        while !rest.is_empty() {
            let n = poll_fn(|cx| stream.poll_write(cx, rest)).await?;
            if n == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = &rest[n..];
        }
        poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx)).await
    }
}

impl fmt::Debug for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hello").field("server_name", &self.server_name()).finish_non_exhaustive()
    }
}
