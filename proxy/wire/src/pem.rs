//! Certificates in PEM.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};

/// Why a text has no certificates to offer.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// There is something else, or nothing, in it.
    #[error("no certificate in it")]
    Empty,
    /// A section is damaged.
    #[error("not valid PEM: {0}")]
    Damaged(pem::Error),
}

/// All certificates of a PEM text; other sections are passed over.
///
/// # Errors
/// When there is none, or when a section is damaged.
pub fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().map_err(PemError::Damaged)?;
    if found.is_empty() { Err(PemError::Empty) } else { Ok(found) }
}
