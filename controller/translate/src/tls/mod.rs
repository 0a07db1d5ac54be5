//! Secrets, ConfigMaps and ClusterTrustBundles → PEM material that is known to parse.

pub(crate) mod ca;
mod key;
#[cfg(test)]
mod tests;

use crate::host::Host;
use fairlead_crds::core::{ClusterTrustBundle, ConfigMap, Secret};
use fairlead_crds::{Kind, Object, Typed as _};
use fairlead_store::Key;
use foldhash::HashMap;
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// A certificate chain and the key of its first certificate.
#[derive(Debug)]
pub(crate) struct KeyPair {
    pub secret: Arc<fairlead_ir::Secret>,
    /// DNS names of the first certificate.
    pub names: Vec<Host>,
    pub validity: Validity,
}

/// CA certificates.
#[derive(Debug)]
pub(crate) struct Bundle {
    pub secret: Arc<fairlead_ir::Secret>,
    /// Of the certificate that expires last.
    pub validity: Validity,
}

/// Seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Validity {
    from: i64,
    until: i64,
}

impl Validity {
    /// What is wrong with it at a time.
    pub fn problem(self, now: Option<i64>) -> Option<String> {
        let now = now?;
        let days = |from: i64, to: i64| (to - from).div_euclid(86_400);
        if now > self.until {
            return Some(format!("the certificate expired {} days ago and will be refused", days(self.until, now)));
        }
        (now < self.from)
            .then(|| format!("the certificate is not valid before {} days from now", days(now, self.from) + 1))
    }
}

/// What was made of Secrets, ConfigMaps and ClusterTrustBundles, kept while the objects stay the same.
#[derive(Default)]
pub(crate) struct Vault {
    pairs: HashMap<Key, Known<Arc<Secret>, KeyPair>>,
    bundles: HashMap<(Kind, Key), Known<Object, Bundle>>,
}

/// An object, and what it holds or why it doesn't.
type Known<O, T> = (O, Result<Arc<T>, String>);

impl Vault {
    /// The key pair in `tls.crt` and `tls.key` of a Secret.
    pub fn key_pair(&mut self, key: &Key, secret: &Arc<Secret>) -> Result<Arc<KeyPair>, String> {
        if let Some((known, result)) = self.pairs.get(key)
            && Arc::ptr_eq(known, secret)
        {
            return result.clone();
        }
        let result = key_pair(key, secret).map(Arc::new);
        self.pairs.insert(key.clone(), (secret.clone(), result.clone()));
        result
    }

    /// The CA bundle in `ca.crt` of a ConfigMap or Secret, or in a ClusterTrustBundle.
    pub fn bundle(&mut self, key: &Key, object: Object) -> Result<Arc<Bundle>, String> {
        let at = (object.kind(), key.clone());
        if let Some((known, result)) = self.bundles.get(&at)
            && same(known, &object)
        {
            return result.clone();
        }
        let result = bundle(key, &object).map(Arc::new);
        self.bundles.insert(at, (object, result.clone()));
        result
    }

    /// Lets go of an object that no longer exists.
    pub fn forget(&mut self, kind: Kind, key: &Key) {
        if kind == Kind::Secret {
            self.pairs.remove(key);
        }
        self.bundles.remove(&(kind, key.clone()));
    }
}

fn same(a: &Object, b: &Object) -> bool {
    match (a, b) {
        (Object::Secret(a), Object::Secret(b)) => Arc::ptr_eq(a, b),
        (Object::ConfigMap(a), Object::ConfigMap(b)) => Arc::ptr_eq(a, b),
        (Object::ClusterTrustBundle(a), Object::ClusterTrustBundle(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

fn key_pair(name: &Key, secret: &Secret) -> Result<KeyPair, String> {
    let chain = text(secret, "tls.crt")?;
    let private = text(secret, "tls.key")?;
    let certificates = certificates(chain, "tls.crt")?;
    let key = PrivateKeyDer::from_pem_slice(private.as_bytes())
        .map_err(|error| format!("tls.key holds no private key in PEM (PKCS#8, PKCS#1 or SEC1): {}", damage(&error)))?;
    let (first, validity) = (parse(&certificates[0], "tls.crt", 0)?, validity(&certificates[..1]));
    key::check(&key, first.public_key())?;
    let secret = fairlead_ir::Secret {
        id: format!("secret/{name}").into(),
        certificates: chain.into(),
        key: Some(private.into()),
    };
    Ok(KeyPair { secret: Arc::new(secret), names: dns_names(&first), validity })
}

fn bundle(name: &Key, object: &Object) -> Result<Bundle, String> {
    let mut field = "ca.crt";
    let (prefix, pem) = if let Some(map) = ConfigMap::of(object) {
        let pem = map.data.as_ref().and_then(|data| data.get("ca.crt")).ok_or("it has no key ca.crt")?;
        ("configmap", pem.as_str())
    } else if let Some(secret) = Secret::of(object) {
        ("secret", text(secret, "ca.crt")?)
    } else if let Some(bundle) = ClusterTrustBundle::of(object) {
        field = "spec.trustBundle";
        ("clustertrustbundle", bundle.spec.trust_bundle.as_str())
    } else {
        return Err("it is neither a ConfigMap nor a Secret nor a ClusterTrustBundle".to_owned());
    };
    let certificates = certificates(pem, field)?;
    for (i, certificate) in certificates.iter().enumerate() {
        parse(certificate, field, i)?;
    }
    // Another id than the key pair of the same Secret would have.
    let id = if prefix == "secret" { format!("secret/{name}/ca.crt") } else { format!("{prefix}/{name}") };
    let secret = fairlead_ir::Secret { id: id.into(), certificates: pem.into(), key: None };
    Ok(Bundle { secret: Arc::new(secret), validity: validity(&certificates) })
}

fn text<'a>(secret: &'a Secret, key: &str) -> Result<&'a str, String> {
    let bytes = secret.data.as_ref().and_then(|data| data.get(key)).ok_or_else(|| format!("it has no key {key}"))?;
    std::str::from_utf8(&bytes.0).map_err(|_| format!("{key} is not PEM text"))
}

/// What is wrong with a PEM text. Not in its reader's words: they repeat what was read, which may be a whole key, when its line breaks were
/// lost; and what is said here is for everyone who may read a status.
fn damage(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => {
            "there is no -----END …----- line to a -----BEGIN …----- line; line breaks may be lost, or the end cut off"
        }
        pem::Error::IllegalSectionStart { .. } => "a -----BEGIN …----- line is broken",
        pem::Error::Base64Decode(_) => "what is between the lines -----BEGIN …----- and -----END …----- is not base64",
        pem::Error::NoItemsFound => "nothing of the kind is in it",
        _ => "it can't be read",
    }
}

fn certificates(pem: &str, name: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match all {
        Ok(all) if all.is_empty() => Err(format!("{name} holds no certificate in PEM")),
        Ok(all) => Ok(all),
        Err(error) => Err(format!("{name} is not PEM: {}", damage(&error))),
    }
}

fn parse<'a>(der: &'a CertificateDer<'_>, name: &str, index: usize) -> Result<X509Certificate<'a>, String> {
    let (_, parsed) =
        X509Certificate::from_der(der).map_err(|error| format!("{name}: certificate {index} is not X.509: {error}"))?;
    Ok(parsed)
}

/// Of a chain's first certificate, or of the bundle's certificate that lives longest.
fn validity(certificates: &[CertificateDer<'_>]) -> Validity {
    let each = certificates.iter().filter_map(|der| X509Certificate::from_der(der).ok()).map(|(_, parsed)| {
        let v = parsed.validity();
        Validity { from: v.not_before.timestamp(), until: v.not_after.timestamp() }
    });
    each.max_by_key(|v| v.until).unwrap_or(Validity { from: i64::MIN, until: i64::MAX })
}

fn dns_names(certificate: &X509Certificate<'_>) -> Vec<Host> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Host::parse(name).ok(),
        _ => None,
    });
    names.collect()
}
