//! Who the proxy is on the channel: a key that never leaves the process, and a certificate that the controller signed for it.

use super::Failure;
use crate::connect::{KeyPair, Target, connect, tls};
use crate::{Clock, certificates, proto};
use rcgen::CertificateParams;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A client certificate with its key.
#[derive(Debug)]
pub(super) struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    /// When the next one is to be asked for; by the monotonic clock, which does not jump.
    pub renew: Instant,
}

/// What it takes to get one.
#[derive(Clone, Debug)]
pub(super) struct Enrolment {
    /// Always the controller's own address, where no redirect leads away from.
    pub target: Target,
    pub ca_file: Arc<PathBuf>,
    pub token_file: Arc<PathBuf>,
    pub clock: Clock,
}

impl Identity {
    pub fn pair(&self) -> KeyPair<'_> {
        KeyPair { certificate: &self.certificate, key: &self.key }
    }
}

impl Enrolment {
    /// Who may have signed the controller's certificate. Read anew each time: bundles change when CAs rotate.
    pub async fn roots(&self) -> Result<Vec<CertificateDer<'static>>, Failure> {
        let text = read(&self.ca_file).await?;
        certificates(&text).map_err(|error| Failure::of(format!("{}: {error}", self.ca_file.display())))
    }

    /// Asks the controller for a certificate, with the token of the moment.
    pub async fn enroll(&self) -> Result<Identity, Failure> {
        let key = rcgen::KeyPair::generate().map_err(|error| Failure::of(format!("cannot make a key: {error}")))?;
        let request = CertificateParams::default().serialize_request(&key);
        let request = request.map_err(|error| Failure::of(format!("cannot make a certificate request: {error}")))?;
        let token = read(&self.token_file).await?;
        let token = String::from_utf8_lossy(&token).trim().to_string();
        if token.is_empty() {
            return Err(Failure::of(format!("{} is empty", self.token_file.display())));
        }
        let config = tls(&self.roots().await?, None, &self.clock).map_err(|error| Failure::of(error.to_string()))?;
        let connected = connect(&self.target, config).await;
        let mut client = connected.map_err(|error| Failure::of(error.to_string()))?.client;
        let request = proto::EnrollRequest { token, csr: request.der().to_vec() };
        let answer = client.enroll(request).await;
        let answer = answer.map_err(|status| Failure::status("the controller does not enrol this proxy", &status))?;
        let answer = answer.into_inner();
        Ok(Identity {
            certificate: answer.certificate.into(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            // A bound: a controller that says nonsense must not make proxies storm it.
            renew: Instant::now() + Duration::from_secs(answer.renew_after_seconds.clamp(60, 365 * 86_400)),
        })
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    tokio::fs::read(path).await.map_err(|error| Failure::of(format!("cannot read {}: {error}", path.display())))
}
