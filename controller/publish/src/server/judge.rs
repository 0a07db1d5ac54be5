//! Judges proxies' certificates, and says in the log whose is refused and why: TLS tells the proxy no more than an alert, and us only from where
//! the connection came.

use super::identity::Peer;
use super::warnings::{Warnings, quoted};
use fairlead_wire::out_of_time;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::sync::Arc;

/// As the verifier that it stands before, but not in silence.
#[derive(Debug)]
pub(super) struct Judge {
    pub verifier: Arc<dyn ClientCertVerifier>,
    pub warnings: Arc<Warnings>,
}

/// Bytes of a name that are shown. Kubernetes' own have 253 at most, and a namespace 63.
const SHOWN: usize = 320;

impl ClientCertVerifier for Judge {
    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let judged = self.verifier.verify_client_cert(certificate, intermediates, now);
        judged.inspect_err(|error| {
            if self.warnings.certificates.may_tell() {
                tracing::warn!("{}", refusal(certificate, error));
            }
        })
    }

    fn offer_client_auth(&self) -> bool {
        self.verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Whom a refused certificate names (nobody has vouched for that), why it is refused, and what comes next.
fn refusal(certificate: &CertificateDer<'_>, error: &Error) -> String {
    let whose = match Peer::of(certificate) {
        Some(Peer { identity, .. }) => {
            format!("that names pod {} of Gateway {}", quoted(&identity.pod, SHOWN), quoted(&identity.gateway, SHOWN))
        }
        None => "that names no proxy".to_owned(),
    };
    let why = match (out_of_time(error), error) {
        (Some(time), _) => time,
        (None, Error::InvalidCertificate(CertificateError::UnknownIssuer)) => "no CA of ours has signed it".to_owned(),
        (None, error) => error.to_string(),
    };
    format!(
        "a certificate {whose} is refused: {why}. A proxy serves on meanwhile, and asks for another one with its token"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;
    use crate::ca::{Authority, LIFETIME};
    use fairlead_wire::crypto;
    use rustls::RootCertStore;
    use rustls::server::WebPkiClientVerifier;
    use std::time::{Duration, SystemTime};

    fn start() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    /// What is said of a proxy's certificate of an hour by the clock.
    fn said(issuer: &Authority, trusted: &Authority, hours: i64) -> Option<String> {
        said_of("p", issuer, trusted, hours)
    }

    fn said_of(pod: &str, issuer: &Authority, trusted: &Authority, hours: i64) -> Option<String> {
        let mut roots = RootCertStore::empty();
        trusted.roots().into_iter().for_each(|root| roots.add(root).unwrap());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto()).build().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let request = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
        let identity = Identity { gateway: "shop/edge".into(), pod: pod.into() };
        let certificate = issuer.sign(request.der(), &identity, start()).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs((1_800_000_000 + hours * 3600) as u64));
        let judge = Judge { verifier, warnings: Arc::default() };
        let error = judge.verify_client_cert(&certificate, &[], now).err()?;
        Some(refusal(&certificate, &error))
    }

    #[test]
    fn a_refusal_names_the_proxy_and_the_reason() {
        let (ours, other) = (Authority::generate(start()).unwrap(), Authority::generate(start()).unwrap());
        assert_eq!(said(&ours, &ours, 1), None);
        let hours = (LIFETIME.as_secs() / 3600) as i64;
        let expired = said(&ours, &ours, hours + 2).unwrap();
        let date = "it was valid until 2027-01-16T08:00:00Z, and the clock here says 2027-01-16T10:00:00Z";
        for part in ["pod p of Gateway shop/edge is refused", date, "serves on meanwhile"] {
            assert!(expired.contains(part), "{part}: {expired}");
        }
        let early = said(&ours, &ours, -5).unwrap();
        assert!(early.contains("not valid yet") && early.contains("2027-01-15T03:00:00Z"), "{early}");
        let foreign = said(&other, &ours, 1).unwrap();
        assert!(foreign.contains("pod p of Gateway shop/edge is refused: no CA of ours has signed it"), "{foreign}");
    }

    #[test]
    fn names_that_nobody_vouches_for_are_no_text_of_the_log() {
        let (ours, other) = (Authority::generate(start()).unwrap(), Authority::generate(start()).unwrap());
        let text = said_of("p\n2027 ERROR \x1b[2Jgone", &other, &ours, 1).unwrap();
        assert!(text.contains("pod p\\n2027 ERROR \\u{1b}[2Jgone of Gateway shop/edge"), "{text}");
        let long = said_of(&"x".repeat(5000), &other, &ours, 1).unwrap();
        assert!(long.contains("xxx… of Gateway shop/edge") && long.len() < 700, "{long}");
    }
}
