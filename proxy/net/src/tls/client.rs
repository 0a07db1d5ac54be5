//! The client side: TLS to upstreams.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::verify::{Names, Verifier};
use super::{Identity, Roots, San, SetupError, TlsError, TlsVersion, provider, versions};
use crate::Stream;

/// Compiled settings of a TLS client. Cloning shares them, with the sessions that can be resumed.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    sni: ServerName<'static>,
}

impl ClientTls {
    /// Starts with who may have signed the server's certificate, and the host name (or IP address) to send as SNI and to
    /// verify the certificate against. TLS 1.2 and 1.3, no ALPN, no client certificate.
    pub fn builder(roots: &Roots, hostname: &str) -> ClientTlsBuilder {
        ClientTlsBuilder {
            roots: roots.clone(),
            hostname: hostname.into(),
            verify_host: None,
            sans: Vec::new(),
            identity: None,
            alpn: Vec::new(),
            min: TlsVersion::V1_2,
            max: TlsVersion::V1_3,
        }
    }

    /// The name sent as SNI, or the IP address, for which none is sent.
    pub fn hostname(&self) -> String {
        self.sni.to_str().into_owned()
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("hostname", &self.hostname()).finish_non_exhaustive()
    }
}

/// Settings of a TLS client to be.
#[derive(Clone, Debug)]
pub struct ClientTlsBuilder {
    roots: Roots,
    hostname: Box<str>,
    verify_host: Option<Box<str>>,
    sans: Vec<San>,
    identity: Option<Arc<Identity>>,
    alpn: Vec<Vec<u8>>,
    min: TlsVersion,
    max: TlsVersion,
}

impl ClientTlsBuilder {
    /// Verifies the certificate against this name instead of the one sent as SNI.
    pub fn verify_host(mut self, name: &str) -> Self {
        self.verify_host = Some(name.into());
        self
    }

    /// The certificate must have at least one of these names; the host name is then for SNI only (BackendTLSPolicy
    /// `subjectAltNames`, GEP-3155). None given changes nothing.
    pub fn subject_alt_names(mut self, sans: impl IntoIterator<Item = San>) -> Self {
        self.sans.extend(sans);
        self
    }

    /// The certificate to present when the server asks for one.
    pub fn identity(mut self, identity: Arc<Identity>) -> Self {
        self.identity = Some(identity);
        self
    }

    /// The protocols to offer, preferred first.
    pub fn alpn<'a>(mut self, protocols: impl IntoIterator<Item = &'a [u8]>) -> Self {
        self.alpn = protocols.into_iter().map(<[u8]>::to_vec).collect();
        self
    }

    /// The oldest and the newest version allowed.
    pub fn versions(mut self, min: TlsVersion, max: TlsVersion) -> Self {
        (self.min, self.max) = (min, max);
        self
    }

    /// Compiles the settings.
    pub fn build(self) -> Result<ClientTls, SetupError> {
        let versions = versions(self.min, self.max);
        if versions.is_empty() {
            return Err(SetupError::Versions { min: self.min, max: self.max });
        }
        let sni = server_name(&self.hostname)?;
        let names = if self.sans.is_empty() {
            Names::Host(self.verify_host.as_deref().map_or_else(|| Ok(sni.clone()), server_name)?)
        } else {
            Names::any(self.sans)?
        };
        let builder = ClientConfig::builder_with_provider(provider().clone())
            .with_protocol_versions(&versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier::new(self.roots, names)));
        let mut config = match self.identity {
            Some(identity) => builder.with_client_cert_resolver(Arc::new(Present::new(&identity))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn;
        // All sessions of these settings go to one name.
        config.resumption = Resumption::in_memory_sessions(8);
        Ok(ClientTls { config: Arc::new(config), sni })
    }
}

/// Makes the TLS handshake as a client over `stream`. Has no time limit.
///
/// With TLS 1.3 a server that refuses our certificate says so only after this has succeeded: the first read fails.
pub async fn connect(stream: Stream, tls: &ClientTls) -> Result<Stream, TlsError> {
    let connector = TlsConnector::from(tls.config.clone());
    // In a box of its own, so that the handshake's state does not stay part of the caller's future for good.
    let connected: TlsStream<Stream> = Box::pin(connector.connect(tls.sni.clone(), stream)).await?;
    Ok(Stream::TlsClient(Box::new(connected)))
}

pub(super) fn server_name(name: &str) -> Result<ServerName<'static>, SetupError> {
    let trimmed = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    ServerName::try_from(trimmed).map_err(|_| SetupError::ServerName(name.into()))
}

/// Presents one certificate to every server that asks, whatever CAs it names.
#[derive(Debug)]
struct Present(SingleCertAndKey);

impl Present {
    fn new(identity: &Identity) -> Present {
        Present(SingleCertAndKey::from(CertifiedKey::clone(&identity.key)))
    }
}

impl ResolvesClientCert for Present {
    fn resolve(&self, root_hint_subjects: &[&[u8]], schemes: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.resolve(root_hint_subjects, schemes)
    }

    fn has_certs(&self) -> bool {
        true
    }
}
