//! What can go wrong in a handshake, and before one.

use std::io;

use rustls::{AlertDescription, CertificateError, InvalidMessage, PeerIncompatible};

/// Why a handshake failed. The message is for logs; it names no key material.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The peer went away. Port scanners, health checks on the TCP level and impatient clients do this.
    #[error("the peer closed the connection during the TLS handshake")]
    Closed,
    /// The first bytes are no TLS record, for example a plain HTTP request on a TLS port.
    #[error("the peer does not speak TLS")]
    NotTls,
    /// We refused the peer's certificate.
    #[error("the peer's certificate is refused: {}", describe(.0))]
    Certificate(Box<CertificateError>),
    /// The client was asked for a certificate that it must have, and sent none.
    #[error("the client presented no certificate")]
    NoClientCertificate,
    /// The peer refused the handshake; on certificates it does not trust, this is all that is known here.
    #[error("the peer refused the TLS handshake: {0:?}")]
    Alert(AlertDescription),
    /// No version, cipher suite or protocol in common.
    #[error("the peer's TLS does not fit: {0:?}")]
    Incompatible(PeerIncompatible),
    /// The peer broke the protocol in another way.
    #[error("TLS handshake failed: {0}")]
    Protocol(Box<rustls::Error>),
    /// The connection failed.
    #[error("TLS handshake failed: {0}")]
    Io(io::Error),
}

impl From<io::Error> for TlsError {
    fn from(e: io::Error) -> TlsError {
        let inner = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).cloned();
        match (inner, e.kind()) {
            (Some(inner), _) => inner.into(),
            (
                None,
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionAborted,
            ) => TlsError::Closed,
            _ => TlsError::Io(e),
        }
    }
}

impl From<rustls::Error> for TlsError {
    fn from(e: rustls::Error) -> TlsError {
        match e {
            rustls::Error::InvalidCertificate(e) => TlsError::Certificate(Box::new(e)),
            rustls::Error::NoCertificatesPresented => TlsError::NoClientCertificate,
            rustls::Error::AlertReceived(alert) => TlsError::Alert(alert),
            rustls::Error::PeerIncompatible(e) => TlsError::Incompatible(e),
            rustls::Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => TlsError::NotTls,
            e => TlsError::Protocol(Box::new(e)),
        }
    }
}

/// rustls prints some of these by their names only.
fn describe(e: &CertificateError) -> String {
    match e {
        CertificateError::UnknownIssuer => "it is not signed by a trusted CA".into(),
        CertificateError::BadEncoding => "it cannot be decoded".into(),
        CertificateError::BadSignature => "its signature is wrong".into(),
        CertificateError::Other(e) => e.0.to_string(),
        e => e.to_string(),
    }
}

/// Why TLS settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A server needs a certificate.
    #[error("no certificate is given for the TLS server")]
    NoCertificate,
    /// The lowest version allowed is above the highest.
    #[error("the minimum TLS version {min} is above the maximum {max}")]
    Versions {
        /// As asked for.
        min: super::TlsVersion,
        /// As asked for.
        max: super::TlsVersion,
    },
    /// A host name that is neither a DNS name nor an IP address.
    #[error("{0:?} is not a valid host name for TLS")]
    ServerName(Box<str>),
    /// Validation of client certificates without a CA: nobody could pass.
    #[error("no CA certificate is given to validate client certificates with")]
    NoClientCa,
    /// rustls refuses the settings.
    #[error("the TLS settings are unusable: {0}")]
    Other(Box<str>),
}

impl From<rustls::Error> for SetupError {
    fn from(e: rustls::Error) -> SetupError {
        SetupError::Other(e.to_string().into())
    }
}
