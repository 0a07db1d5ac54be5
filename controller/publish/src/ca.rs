//! The CA of the push channel: signs the controller's own certificate and those of the proxies.
//!
//! It lives in a Secret ([`Authority::to_data`]), so that all replicas of the controller have the same, and is replaced before it ends
//! ([`Authority::rotate`]): the next one is made and spread first, and signs only when all had time to trust it. Pure but for chance: what
//! time it is, is passed in.

mod certificate;

use crate::Identity;
use certificate::Ca;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

/// How long a CA is valid.
pub const CA_LIFETIME: Duration = Duration::from_secs(365 * 86_400);
/// After so much of its life the next one is made.
pub const CA_RENEWAL: Duration = Duration::from_secs(243 * 86_400);
/// A new CA signs only when it was in the bundle for so long: ConfigMap volumes follow in about two minutes.
pub const SPREAD: Duration = Duration::from_secs(3600);
/// How long a certificate is valid. Its holder asks for the next one at half of it.
pub const LIFETIME: Duration = Duration::from_secs(86_400);
/// Certificates begin so long before they are issued, for clocks that are behind or are put back.
pub const BACKDATE: Duration = Duration::from_secs(3600);

/// Why there is no CA or no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Secret lacks an entry.
    #[error("the CA's Secret lacks {0}")]
    Missing(&'static str),
    /// An entry of the Secret is of no use.
    #[error("{entry} of the CA's Secret: {problem}")]
    Entry {
        /// Name of the entry.
        entry: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A proxy's request is not acceptable.
    #[error("certificate request: {0}")]
    Request(String),
    /// The cryptographic library fails.
    #[error("cannot make a certificate: {0}")]
    Crypto(#[from] rcgen::Error),
}

/// The CA, its successor when there is one, and those that it succeeded.
#[derive(Clone)]
pub struct Authority {
    current: Ca,
    next: Option<Ca>,
    /// Their keys are gone; what they signed is valid until it ends.
    previous: Vec<CertificateDer<'static>>,
}

/// A certificate with its key.
#[derive(Debug)]
pub struct KeyPair {
    /// The certificate; its issuer is in the bundle.
    pub certificate: CertificateDer<'static>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
    /// Ends its validity.
    pub not_after: SystemTime,
}

impl Authority {
    /// A new CA.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn generate(now: SystemTime) -> Result<Authority, Error> {
        Ok(Authority { current: Ca::generate(now)?, next: None, previous: Vec::new() })
    }

    /// Reads the entries of the Secret; those that it does not know don't matter.
    ///
    /// # Errors
    /// When entries lack, can't be read, or don't belong together. A CA that has ended can be read; it is to be rotated.
    pub fn from_data<K: AsRef<str>, V: AsRef<[u8]>>(
        data: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Authority, Error> {
        let (mut entries, known) = (BTreeMap::new(), ENTRIES);
        for (name, text) in data {
            if let Some(known) = known.into_iter().find(|known| *known == name.as_ref()) {
                entries.insert(known, text.as_ref().to_vec());
            }
        }
        let pair = |certificate, key| match (entries.get(certificate), entries.get(key)) {
            (Some(c), Some(k)) => Ca::from_pem(certificate, c, key, k).map(Some),
            (None, None) => Ok(None),
            (None, _) => Err(Error::Missing(certificate)),
            (_, None) => Err(Error::Missing(key)),
        };
        let [current, current_key, next, next_key, previous] = known;
        Ok(Authority {
            current: pair(current, current_key)?.ok_or(Error::Missing(current))?,
            next: pair(next, next_key)?,
            previous: match entries.get(previous) {
                Some(text) => certificate::read_all(previous, text)?,
                None => Vec::new(),
            },
        })
    }

    /// What is to be kept in the Secret, keys included.
    pub fn to_data(&self) -> BTreeMap<String, String> {
        let [current, current_key, next, next_key, previous] = ENTRIES.map(str::to_string);
        let mut data = BTreeMap::from([(current, self.current.pem()), (current_key, self.current.key_pem())]);
        if let Some(ca) = &self.next {
            data.extend([(next, ca.pem()), (next_key, ca.key_pem())]);
        }
        if !self.previous.is_empty() {
            data.insert(previous, self.previous.iter().map(|der| certificate::pem(der)).collect());
        }
        data
    }

    /// What proxies and controllers are to trust, in PEM: `ca.crt` of the Gateways' ConfigMaps.
    pub fn bundle(&self) -> String {
        self.roots().iter().map(|der| certificate::pem(der)).collect()
    }

    /// As [`Authority::bundle`], in DER.
    pub fn roots(&self) -> Vec<CertificateDer<'static>> {
        let own = [Some(&self.current), self.next.as_ref()].into_iter().flatten().map(|ca| ca.certificate.clone());
        own.chain(self.previous.iter().cloned()).collect()
    }

    /// The next state when it is time for one: a new CA beside the old one, then in its place, then alone. `None`: nothing is to be done.
    /// One that is not valid (it has ended, or the clock has jumped) is replaced at once.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn rotate(&self, now: SystemTime) -> Result<Option<Authority>, Error> {
        let mut after = self.clone();
        after.previous.retain(|der| certificate::not_after(der).is_some_and(|end| end > now));
        if !self.current.is_valid(now) {
            let next = match after.next.take().filter(|next| next.is_valid(now)) {
                Some(next) => next,
                None => Ca::generate(now)?,
            };
            after.promote(next, now);
        } else if let Some(next) = &self.next {
            if now >= next.made() + SPREAD {
                let next = next.clone();
                after.next = None;
                after.promote(next, now);
            }
        } else if now >= self.current.made() + CA_RENEWAL {
            after.next = Some(Ca::generate(now)?);
        }
        Ok((after.roots() != self.roots()).then_some(after))
    }

    /// When [`Authority::rotate`] has something to do, unless the clock jumps: ask each hour or so, too.
    pub fn next_rotation(&self) -> SystemTime {
        let step = match &self.next {
            Some(next) => next.made() + SPREAD,
            None => self.current.made() + CA_RENEWAL,
        };
        let ends = self.previous.iter().filter_map(certificate::not_after);
        ends.chain([step, self.current.not_after]).min().unwrap_or(step)
    }

    /// Issues the controller's own certificate.
    ///
    /// # Errors
    /// When a name is none, or the cryptographic library fails.
    pub fn issue(&self, names: &[String], now: SystemTime) -> Result<KeyPair, Error> {
        let key = rcgen::KeyPair::generate()?;
        let (certificate, not_after) = self.current.issue(names, &key, now)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Ok(KeyPair { certificate, key, not_after })
    }

    /// Signs a proxy's request (DER). Only the public key is taken from it; whom it names is said by `identity`.
    ///
    /// # Errors
    /// When the request can't be read or was not signed by its key, or the cryptographic library fails.
    pub fn sign(&self, request: &[u8], identity: &Identity, now: SystemTime) -> Result<CertificateDer<'static>, Error> {
        self.current.sign(request, &identity.uri(), now)
    }

    fn promote(&mut self, next: Ca, now: SystemTime) {
        let old = std::mem::replace(&mut self.current, next);
        if old.not_after > now {
            self.previous.push(old.certificate);
        }
    }
}

/// Entries of the Secret: this CA, the next one, those before.
const ENTRIES: [&str; 5] = ["tls.crt", "tls.key", "next.crt", "next.key", "previous.crt"];

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("not_after", &self.current.not_after)
            .field("next", &self.next.as_ref().map(|next| next.not_after))
            .field("previous", &self.previous.len())
            .finish()
    }
}

#[cfg(test)]
mod tests;
