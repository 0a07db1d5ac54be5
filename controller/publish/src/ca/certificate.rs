//! One CA certificate with its key.

use super::{BACKDATE, CA_LIFETIME, Error, LIFETIME};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls::pki_types::CertificateDer;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// A public key and its signature algorithm are hundreds of bytes.
const REQUEST_LIMIT: usize = 16 << 10;

#[derive(Clone)]
pub(super) struct Ca {
    pub certificate: CertificateDer<'static>,
    pub not_before: SystemTime,
    pub not_after: SystemTime,
    key: Arc<KeyPair>,
}

impl Ca {
    pub fn generate(now: SystemTime) -> Result<Ca, Error> {
        let key = KeyPair::generate()?;
        let (not_before, not_after) = (whole(now - BACKDATE), whole(now + CA_LIFETIME));
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("fairlead push {:08x}", fastrand::u32(..)));
        (params.not_before, params.not_after) = (not_before.into(), not_after.into());
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key)?.into();
        Ok(Ca { certificate, not_before, not_after, key: Arc::new(key) })
    }

    pub fn from_pem(entry: &'static str, certificate: &[u8], key_entry: &'static str, key: &[u8]) -> Result<Ca, Error> {
        let wrong = |problem: &str| Error::Entry { entry, problem: problem.into() };
        let mut found = read_all(entry, certificate)?;
        let (Some(certificate), true) = (found.pop(), found.is_empty()) else {
            return Err(wrong("must be one certificate"));
        };
        let key = std::str::from_utf8(key).map_err(|error| error.to_string());
        let key = key.and_then(|key| KeyPair::from_pem(key).map_err(|error| error.to_string()));
        let key = key.map_err(|problem| Error::Entry { entry: key_entry, problem })?;
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|error| wrong(&error.to_string()))?;
        if !parsed.is_ca() {
            return Err(wrong("not a CA"));
        }
        if parsed.public_key().subject_public_key.data.as_ref() != key.der_bytes() {
            return Err(Error::Entry { entry: key_entry, problem: format!("not the key of {entry}") });
        }
        let validity = parsed.validity();
        let (not_before, not_after) = (time(validity.not_before.timestamp()), time(validity.not_after.timestamp()));
        Ok(Ca { certificate, not_before, not_after, key: Arc::new(key) })
    }

    pub fn pem(&self) -> String {
        pem(&self.certificate)
    }

    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    pub fn is_valid(&self, now: SystemTime) -> bool {
        (self.not_before..self.not_after).contains(&now)
    }

    /// When it was generated.
    pub fn made(&self) -> SystemTime {
        self.not_before + BACKDATE
    }

    /// A certificate of a server.
    pub fn issue(
        &self,
        names: &[String],
        key: &KeyPair,
        now: SystemTime,
    ) -> Result<(CertificateDer<'static>, SystemTime), Error> {
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "fairlead controller");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.finish(params, key, now)
    }

    /// A certificate of a client.
    pub fn sign(&self, request: &[u8], uri: &str, now: SystemTime) -> Result<CertificateDer<'static>, Error> {
        if request.len() > REQUEST_LIMIT {
            return Err(Error::Request(format!("more than {REQUEST_LIMIT} bytes")));
        }
        let request = CertificateSigningRequestParams::from_der(&request.into());
        let request = request.map_err(|error| Error::Request(error.to_string()))?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "fairlead proxy");
        params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(self.finish(params, &request.public_key, now)?.0)
    }

    fn finish(
        &self,
        mut params: CertificateParams,
        key: &impl PublicKeyData,
        now: SystemTime,
    ) -> Result<(CertificateDer<'static>, SystemTime), Error> {
        let not_after = whole(now + LIFETIME).min(self.not_after);
        (params.not_before, params.not_after) = (whole(now - BACKDATE).into(), not_after.into());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &*self.key)?;
        Ok((params.signed_by(key, &issuer)?.into(), not_after))
    }
}

/// All certificates of an entry.
pub(super) fn read_all(entry: &'static str, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    fairlead_wire::certificates(text).map_err(|error| Error::Entry { entry, problem: error.to_string() })
}

pub(super) fn pem(der: &CertificateDer<'_>) -> String {
    fairlead_wire::certificate_pem(der)
}

pub(super) fn not_after(der: &CertificateDer<'_>) -> Option<SystemTime> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    Some(time(parsed.validity().not_after.timestamp()))
}

/// Certificates count in seconds.
fn whole(at: SystemTime) -> SystemTime {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

fn time(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}
