//! Validation of client certificates by a server.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientCertVerifierBuilder, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::roots::Trust;
use super::{Roots, SetupError, provider, sha256};

/// What a server asks of clients (GEP-91).
#[derive(Clone, Debug, Default)]
pub enum ClientAuth {
    /// No certificate is asked for.
    #[default]
    None,
    /// A certificate is asked for. A client without one is let in, one whose certificate does not lead to the roots is not.
    Optional(Roots),
    /// Every client must present a certificate that leads to one of the roots (`AllowValidOnly`).
    Required(Roots),
    /// A certificate is asked for, and a connection without one, or with one that does not lead to the roots, goes on all
    /// the same (`AllowInsecureFallback`). [`super::PeerCert::verified`] tells which it was.
    Fallback(Roots),
}

impl ClientAuth {
    /// The verifier of the handshake.
    pub(super) fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, SetupError> {
        Ok(match self {
            ClientAuth::None => WebPkiClientVerifier::no_client_auth(),
            ClientAuth::Optional(roots) => build(roots, ClientCertVerifierBuilder::allow_unauthenticated)?,
            ClientAuth::Required(roots) => strict(roots)?,
            ClientAuth::Fallback(roots) => Arc::new(Fallback { strict: strict(roots)? }),
        })
    }

    /// The verifier that tells valid certificates from those that were let through; only where the two differ.
    pub(super) fn second_look(&self) -> Result<Option<Arc<dyn ClientCertVerifier>>, SetupError> {
        match self {
            ClientAuth::Fallback(roots) => strict(roots).map(Some),
            ClientAuth::None | ClientAuth::Optional(_) | ClientAuth::Required(_) => Ok(None),
        }
    }

    /// A digest of the requirement: what two servers must have in common to accept each other's sessions.
    pub(super) fn scope(&self) -> [u8; 32] {
        let (mode, roots) = match self {
            ClientAuth::None => (0u8, None),
            ClientAuth::Required(roots) => (1, Some(roots)),
            ClientAuth::Fallback(roots) => (2, Some(roots)),
            ClientAuth::Optional(roots) => (3, Some(roots)),
        };
        let mut anchors: Vec<[u8; 32]> = Vec::new();
        if let Some(Roots(Trust::Anchors(store))) = roots {
            for anchor in &store.roots {
                let constraints = anchor.name_constraints.as_deref().unwrap_or_default();
                let parts = [&*anchor.subject, &*anchor.subject_public_key_info, constraints].map(sha256);
                anchors.push(sha256(parts.as_flattened()));
            }
        }
        anchors.sort_unstable();
        anchors.dedup();
        sha256(&[&[mode][..], anchors.as_flattened()].concat())
    }
}

fn strict(roots: &Roots) -> Result<Arc<dyn ClientCertVerifier>, SetupError> {
    build(roots, |builder| builder)
}

fn build(
    roots: &Roots,
    adjust: impl FnOnce(ClientCertVerifierBuilder) -> ClientCertVerifierBuilder,
) -> Result<Arc<dyn ClientCertVerifier>, SetupError> {
    let Roots(Trust::Anchors(store)) = roots else {
        return Err(SetupError::NoClientCa);
    };
    let builder = adjust(WebPkiClientVerifier::builder_with_provider(store.clone(), provider().clone()));
    builder.build().map_err(|e| SetupError::Other(e.to_string().into()))
}

/// Asks for a certificate and lets everybody through. A certificate that is presented must still be the peer's own: the
/// signature that proves it is checked.
#[derive(Debug)]
struct Fallback {
    strict: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for Fallback {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // With hints, clients hold back certificates of other CAs, which are welcome here.
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}
