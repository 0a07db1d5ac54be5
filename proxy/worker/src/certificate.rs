//! Certificates as the access log reads them.

use fairlead_net::tls::{CertFacts, PeerCert, TlsInfo};
use fairlead_telemetry::{Certificate, Timestamp};
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

/// A certificate that the other side of a connection presented.
#[derive(Clone, Copy)]
pub struct Presented<'a>(&'a PeerCert);

impl<'a> Presented<'a> {
    /// `None` when it presented none.
    pub fn of(tls: Option<&'a TlsInfo>) -> Option<Presented<'a>> {
        tls?.peer_cert.as_deref().map(Presented)
    }

    fn facts(&self) -> Option<&'a CertFacts> {
        self.0.facts()
    }
}

impl Certificate for Presented<'_> {
    fn der(&self) -> &[u8] {
        self.0.der()
    }

    fn subject(&self) -> &str {
        self.facts().map_or("", |facts| &facts.subject)
    }

    fn issuer(&self) -> &str {
        self.facts().map_or("", |facts| &facts.issuer)
    }

    fn serial(&self) -> &str {
        self.facts().map_or("", |facts| &facts.serial)
    }

    fn validity(&self) -> Option<(Timestamp, Timestamp)> {
        self.facts().map(|facts| (timestamp(facts.not_before), timestamp(facts.not_after)))
    }

    fn uris(&self) -> &[String] {
        self.facts().map_or(&[], |facts| &facts.uris)
    }

    fn dns(&self) -> &[String] {
        self.facts().map_or(&[], |facts| &facts.dns)
    }

    fn emails(&self) -> &[String] {
        self.facts().map_or(&[], |facts| &facts.emails)
    }

    fn ips(&self) -> &[IpAddr] {
        self.facts().map_or(&[], |facts| &facts.ips)
    }

    fn sha1(&self) -> [u8; 20] {
        self.0.fingerprint_sha1()
    }

    fn sha256(&self) -> [u8; 32] {
        self.0.fingerprint()
    }
}

/// 1970 for what was before.
fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
