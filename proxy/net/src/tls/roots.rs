//! Who may have signed a peer's certificate.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::RootCertStore;

use super::identity::{IdentityError, certificates};

/// Trust anchors.
#[derive(Clone)]
pub struct Roots(pub(super) Trust);

#[derive(Clone)]
pub(super) enum Trust {
    Anchors(Arc<RootCertStore>),
    /// Nobody is asked.
    Anyone,
}

impl Roots {
    /// The anchors of one or more PEM bundles together; each must hold at least one certificate.
    pub fn from_pem<'a>(bundles: impl IntoIterator<Item = &'a [u8]>) -> Result<Roots, RootsError> {
        let mut store = RootCertStore::empty();
        for bundle in bundles {
            for (i, certificate) in certificates(bundle)?.into_iter().enumerate() {
                store
                    .add(certificate)
                    .map_err(|e| RootsError::Anchor { number: i + 1, reason: e.to_string().into() })?;
            }
        }
        if store.is_empty() {
            return Err(IdentityError::NoCertificate.into());
        }
        Ok(Roots(Trust::Anchors(Arc::new(store))))
    }

    /// The operating system's anchors (or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name). Read from disk at the first
    /// call, which may take some milliseconds, and never again.
    pub fn system() -> Result<Roots, RootsError> {
        static SYSTEM: OnceLock<Result<Roots, RootsError>> = OnceLock::new();
        SYSTEM.get_or_init(load_system).clone()
    }

    /// Accepts every certificate, whoever signed it and whatever it says: encryption without authentication.
    pub fn insecure() -> Roots {
        Roots(Trust::Anyone)
    }

    /// The number of anchors.
    pub fn len(&self) -> usize {
        match &self.0 {
            Trust::Anchors(store) => store.len(),
            Trust::Anyone => 0,
        }
    }

    /// Whether there is no anchor, as with [`Roots::insecure`].
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Trust::Anchors(store) => write!(f, "Roots({})", store.len()),
            Trust::Anyone => f.write_str("Roots(insecure)"),
        }
    }
}

fn load_system() -> Result<Roots, RootsError> {
    let loaded = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    // Systems ship odd old anchors that cannot be parsed; the others are as good as without them.
    let (_, ignored) = store.add_parsable_certificates(loaded.certs);
    if store.is_empty() {
        let reason = loaded.errors.first().map_or_else(|| "none was found".to_owned(), ToString::to_string);
        return Err(RootsError::System { reason: reason.into() });
    }
    tracing::debug!(
        anchors = store.len(),
        ignored,
        errors = loaded.errors.len(),
        "loaded the system's CA certificates"
    );
    Ok(Roots(Trust::Anchors(Arc::new(store))))
}

/// Why there are no trust anchors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootsError {
    /// The PEM text is unusable.
    #[error(transparent)]
    Pem(#[from] IdentityError),
    /// A certificate cannot be a trust anchor.
    #[error("CA certificate {number} is invalid: {reason}")]
    Anchor {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        reason: Box<str>,
    },
    /// The system has none.
    #[error(
        "the system's CA certificates cannot be loaded: {reason}; install the package ca-certificates or set SSL_CERT_FILE"
    )]
    System {
        /// The first of the errors.
        reason: Box<str>,
    },
}
