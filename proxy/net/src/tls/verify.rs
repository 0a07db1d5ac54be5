//! Verifying the certificate of an upstream.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::client::server_name;
use super::roots::Trust;
use super::{Roots, SetupError, provider};

/// A subject alternative name that a certificate may be required to have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum San {
    /// A DNS name, which wildcards in the certificate may cover (RFC 9525 §6.3). As `*.example.com` it takes certificates
    /// with that very wildcard and with any name of one more label.
    Dns(Box<str>),
    /// A URI, for example `spiffe://example.org/ns/shop/sa/cart`; compared byte by byte.
    Uri(Box<str>),
}

impl fmt::Display for San {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            San::Dns(name) => write!(f, "DNS:{name}"),
            San::Uri(uri) => write!(f, "URI:{uri}"),
        }
    }
}

/// What names a certificate must have.
#[derive(Debug)]
pub(super) enum Names {
    Host(ServerName<'static>),
    Any(Vec<Wanted>),
}

/// One of several names, any of which will do.
#[derive(Debug)]
pub(super) enum Wanted {
    Host(ServerName<'static>),
    /// What follows the `*.`, lower-case.
    Below(Box<str>),
    Uri(Box<str>),
}

impl Names {
    pub(super) fn any(sans: Vec<San>) -> Result<Names, SetupError> {
        let wanted = sans.into_iter().map(|san| match san {
            San::Uri(uri) => Ok(Wanted::Uri(uri)),
            San::Dns(name) => match name.strip_prefix("*.") {
                Some(suffix) => server_name(suffix).map(|name| Wanted::Below(name.to_str().into())),
                None => server_name(&name).map(Wanted::Host),
            },
        });
        wanted.collect::<Result<_, _>>().map(Names::Any)
    }

    fn check(&self, parsed: &ParsedCertificate<'_>, der: &CertificateDer<'_>) -> Result<(), Error> {
        let wanted = match self {
            Names::Host(name) => return verify_server_name(parsed, name),
            Names::Any(wanted) => wanted,
        };
        let (_, x509) = X509Certificate::from_der(der).map_err(|_| CertificateError::BadEncoding)?;
        let sans = x509.subject_alternative_name().map_err(|_| CertificateError::BadEncoding)?;
        let sans = sans.as_ref().map_or(&[][..], |extension| &extension.value.general_names[..]);
        let has = |wanted: &Wanted| match wanted {
            Wanted::Host(name) => verify_server_name(parsed, name).is_ok(),
            Wanted::Below(suffix) => sans.iter().any(|san| is_below(san, suffix)),
            Wanted::Uri(uri) => sans.iter().any(|san| matches!(san, GeneralName::URI(has) if *has == &**uri)),
        };
        if wanted.iter().any(has) {
            return Ok(());
        }
        let presented = sans.iter().map(ToString::to_string).collect();
        Err(CertificateError::Other(OtherError(Arc::new(NoWantedName { presented }))).into())
    }
}

/// Whether `san` is the DNS name `*.suffix`, or one with exactly one label before `suffix`.
fn is_below(san: &GeneralName<'_>, suffix: &str) -> bool {
    let GeneralName::DNSName(name) = san else {
        return false;
    };
    name.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(suffix))
}

#[derive(Debug)]
struct NoWantedName {
    presented: Vec<String>,
}

impl fmt::Display for NoWantedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it has none of the required subject alternative names, only [{}]", self.presented.join(", "))
    }
}

impl std::error::Error for NoWantedName {}

/// Verifies chain and names.
#[derive(Debug)]
pub(super) struct Verifier {
    roots: Roots,
    names: Names,
}

impl Verifier {
    pub(super) fn new(roots: Roots, names: Names) -> Verifier {
        Verifier { roots, names }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Trust::Anchors(roots) = &self.roots.0 {
            let parsed = ParsedCertificate::try_from(end_entity)?;
            let algorithms = provider().signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms)?;
            self.names.check(&parsed, end_entity)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
