//! A certificate chain with its private key.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate chain, leaf first, with the leaf's private key: what one end proves to be.
pub struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    names: Vec<Box<str>>,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Identity {
    /// Reads a chain and a key (PKCS#8, PKCS#1 or SEC1) from PEM, and makes sure that they belong together.
    ///
    /// An expired certificate is accepted, since serving it is better than serving none; see [`Identity::not_after`].
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Identity, IdentityError> {
        let chain = certificates(chain)?;
        let key = signing_key(key)?;
        let leaf = &chain[0];
        let (_, x509) = X509Certificate::from_der(leaf)
            .map_err(|e| IdentityError::Certificate { number: 1, reason: e.to_string().into() })?;
        let names = dns_names(&x509);
        let validity = x509.validity();
        let (not_before, not_after) = (time(validity.not_before.timestamp()), time(validity.not_after.timestamp()));

        check_match(&chain, &*key)?;
        let key = Arc::new(CertifiedKey::new(chain, key));
        Ok(Identity { key, names, not_before, not_after })
    }

    /// The DNS names the certificate is good for, lower-case; wildcards as `*.example.com`.
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// When the certificate begins to be valid.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// When the certificate ends to be valid. Clients refuse it from then on, so tell somebody before.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Whether the certificate is valid at `now`.
    pub fn is_valid_at(&self, now: SystemTime) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("names", &self.names)
            .field("not_after", &self.not_after)
            .field("key", &"[redacted]")
            .finish()
    }
}

/// Why PEM material is no usable identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The chain holds no `CERTIFICATE` section.
    #[error("there is no certificate in the PEM data; expected -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// A certificate of the chain cannot be decoded.
    #[error("certificate {number} of the chain is invalid: {reason}")]
    Certificate {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        reason: Box<str>,
    },
    /// The key holds no private key section.
    #[error("there is no private key in the PEM data; expected -----BEGIN PRIVATE KEY-----, RSA or EC PRIVATE KEY")]
    NoKey,
    /// The key needs a passphrase.
    #[error("the private key is encrypted; store it without a passphrase (`openssl pkey` removes it)")]
    EncryptedKey,
    /// The key's PEM or DER is broken.
    #[error("the private key cannot be read: {0}")]
    Key(Box<str>),
    /// The key is of a kind that TLS here does not support.
    #[error(
        "the private key is of an unsupported kind; RSA (2048 to 8192 bits), ECDSA P-256, P-384, P-521 and Ed25519 are supported"
    )]
    UnsupportedKey,
    /// The key is that of another certificate.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
    /// The key belongs to a certificate of the chain that is not the first.
    #[error("the private key belongs to certificate {number} of the chain; that one must come first")]
    Order {
        /// Counted from 1.
        number: usize,
    },
}

/// All certificates of a PEM text, at least one.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let mut all = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(text) {
        let number = all.len() + 1;
        let invalid = |reason: String| IdentityError::Certificate { number, reason: reason.into() };
        let certificate = certificate.map_err(|e| invalid(reason(&e)))?;
        X509Certificate::from_der(&certificate).map_err(|e| invalid(e.to_string()))?;
        all.push(certificate);
    }
    if all.is_empty() { Err(IdentityError::NoCertificate) } else { Ok(all) }
}

/// A PEM error as a sentence; the library's own prints byte lists, and of keys even the offending line.
fn reason(e: &pem::Error) -> String {
    match e {
        pem::Error::MissingSectionEnd { .. } => "the PEM section has no -----END line".into(),
        pem::Error::IllegalSectionStart { .. } => "the -----BEGIN line is malformed".into(),
        pem::Error::Base64Decode(_) => "the PEM section is not valid base64".into(),
        pem::Error::NoItemsFound => "nothing of the kind is in the PEM data".into(),
        _ => "the PEM data cannot be read".into(),
    }
}

fn signing_key(text: &[u8]) -> Result<Arc<dyn SigningKey>, IdentityError> {
    let der = PrivateKeyDer::from_pem_slice(text).map_err(|e| match e {
        pem::Error::NoItemsFound if contains(text, b"-----BEGIN ENCRYPTED PRIVATE KEY-----") => {
            IdentityError::EncryptedKey
        }
        pem::Error::NoItemsFound => IdentityError::NoKey,
        // The old way to encrypt has headers within the section, which are no base64.
        _ if contains(text, b"Proc-Type: 4,ENCRYPTED") => IdentityError::EncryptedKey,
        e => IdentityError::Key(reason(&e).into()),
    })?;
    super::provider().key_provider.load_private_key(der).map_err(|_| IdentityError::UnsupportedKey)
}

fn contains(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|w| w == what)
}

fn check_match(chain: &[CertificateDer<'_>], key: &dyn SigningKey) -> Result<(), IdentityError> {
    let Some(key) = key.public_key() else {
        return Ok(());
    };
    let owns = |certificate: &CertificateDer<'_>| {
        X509Certificate::from_der(certificate).is_ok_and(|(_, x509)| x509.public_key().raw == key.as_ref())
    };
    match chain.iter().position(owns) {
        Some(0) => Ok(()),
        Some(n) => Err(IdentityError::Order { number: n + 1 }),
        None => Err(IdentityError::Mismatch),
    }
}

fn dns_names(x509: &X509Certificate<'_>) -> Vec<Box<str>> {
    let Ok(Some(sans)) = x509.subject_alternative_name() else {
        return Vec::new();
    };
    let dns = sans.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into()),
        _ => None,
    });
    dns.collect()
}

pub(super) fn time(unix_seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(unix_seconds.unsigned_abs());
    let time = if unix_seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}
