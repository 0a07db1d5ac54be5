//! A TLS client for connections that wait.

use crate::Request;
use fairlead_testkit::read_response;
use rcgen::CertifiedKey;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

/// A new self-signed certificate (ECDSA P-256) and its key.
pub struct Identity {
    /// PEM.
    pub certificate: String,
    /// PEM.
    pub key: String,
    name: String,
    der: CertificateDer<'static>,
}

impl Identity {
    /// For a host.
    pub fn new(name: &str) -> Identity {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        Identity {
            certificate: cert.pem(),
            key: signing_key.serialize_pem(),
            name: name.to_owned(),
            der: cert.der().clone(),
        }
    }
}

/// Trusts one identity, and keeps no sessions: every handshake is a full one.
pub struct TlsClient {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl TlsClient {
    /// A client of this identity.
    pub fn new(identity: &Identity) -> TlsClient {
        let mut roots = RootCertStore::empty();
        roots.add(identity.der.clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
        let mut config = versions.with_root_certificates(roots).with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        TlsClient { config: Arc::new(config), name: ServerName::try_from(identity.name.clone()).expect("a name") }
    }

    /// A connection that made one request and got 200.
    pub fn open(&self, address: SocketAddr, request: &Request) -> StreamOwned<ClientConnection, TcpStream> {
        let connection = ClientConnection::new(self.config.clone(), self.name.clone()).expect("a client");
        let socket = TcpStream::connect(address).expect("connect");
        socket.set_nodelay(true).expect("nodelay");
        let mut stream = StreamOwned::new(connection, socket);
        std::io::Write::write_all(&mut stream, request.as_bytes()).expect("send");
        let answer = read_response(&mut stream, &mut Vec::new(), false).expect("a response");
        assert_eq!(answer.status, 200, "{}", answer.text());
        stream
    }
}
