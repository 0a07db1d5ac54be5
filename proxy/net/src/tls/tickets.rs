//! Session tickets: resumption without state on the server (RFC 5077, RFC 8446 §4.6.1).

use std::fmt;
use std::sync::Arc;

use rustls::server::ProducesTickets;

use super::SetupError;

/// The ticket keys of a process. One is made at start and given to every [`super::ServerTls`], so that a client resumes
/// its session with any worker and after any change of configuration. Keys change every six hours.
#[derive(Clone)]
pub struct Tickets(Arc<dyn ProducesTickets>);

impl Tickets {
    /// Fresh random keys.
    pub fn new() -> Result<Tickets, SetupError> {
        Ok(Tickets(rustls::crypto::aws_lc_rs::Ticketer::new()?))
    }

    /// The keys for one scope: a ticket is good only where it would have been issued.
    ///
    /// A resumed handshake asks for no client certificate and verifies none, so without this a session from a listener
    /// without (or with another) validation would be a pass for one with (CVE-2025-23419).
    pub(super) fn scoped(&self, scope: [u8; 32]) -> Arc<dyn ProducesTickets> {
        Arc::new(Scoped { inner: self.0.clone(), scope })
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets([redacted])")
    }
}

struct Scoped {
    inner: Arc<dyn ProducesTickets>,
    scope: [u8; 32],
}

impl fmt::Debug for Scoped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scoped([redacted])")
    }
}

impl ProducesTickets for Scoped {
    fn enabled(&self) -> bool {
        self.inner.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.inner.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.inner.encrypt(&[&self.scope[..], plain].concat())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let plain = self.inner.decrypt(cipher)?;
        plain.strip_prefix(&self.scope[..]).map(<[u8]>::to_vec)
    }
}
