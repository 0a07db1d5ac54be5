//! Certificates in PEM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Characters of a line (RFC 7468 §2).
const LINE: usize = 64;

/// Why a text has no certificates to offer.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// There is something else, or nothing, in it.
    #[error("no certificate in it")]
    Empty,
    /// A section is damaged. Not in the reader's words: they repeat what was read, which may be a key that stands where a certificate should.
    #[error("not valid PEM: a section has no end, or is not base64; are line breaks lost?")]
    Damaged,
}

/// All certificates of a PEM text; other sections are passed over.
///
/// # Errors
/// When there is none, or when a section is damaged.
pub fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().map_err(|_| PemError::Damaged)?;
    if found.is_empty() { Err(PemError::Empty) } else { Ok(found) }
}

/// A certificate as PEM.
pub fn certificate_pem(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    let mut pem = String::with_capacity(text.len() + text.len() / LINE + 64);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
