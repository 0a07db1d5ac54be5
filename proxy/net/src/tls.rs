//! TLS on both sides, by rustls with aws-lc-rs.
//!
//! Everything that is compiled from configuration ([`Identity`], [`Roots`], [`ServerTls`], [`ClientTls`]) is immutable,
//! `Send + Sync` and cheap to clone, so that it can be built once and shared by all workers. Handshake state lives in
//! boxes of its own and is gone once the connection stands.
//!
//! Private keys stay inside the provider's types; no `Debug` output shows them.

mod client;
mod client_auth;
mod error;
mod identity;
mod info;
mod names;
mod peek;
mod roots;
mod server;
mod tickets;
mod verify;

pub use client::{ClientTls, ClientTlsBuilder, connect};
pub use client_auth::ClientAuth;
pub use error::{SetupError, TlsError};
pub use identity::{Identity, IdentityError};
pub use info::{CertFacts, PeerCert, TlsInfo};
pub use names::NameMap;
pub use peek::{ClientHello, MalformedHello, PeekError, parse_client_hello, peek_client_hello};
pub use roots::{Roots, RootsError};
pub use server::{Hello, ServerTls, ServerTlsBuilder, read_hello};
pub use tickets::Tickets;
pub use verify::San;

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::{ProtocolVersion, SupportedProtocolVersion};

/// HTTP/2 over TLS, as an ALPN identifier (RFC 9113 §3.2).
pub const ALPN_H2: &[u8] = b"h2";
/// HTTP/1.1 as an ALPN identifier (RFC 7301 §6).
pub const ALPN_HTTP11: &[u8] = b"http/1.1";
/// HTTP/1.0 as an ALPN identifier (IANA's registry); who offers only this would not be served otherwise.
pub const ALPN_HTTP10: &[u8] = b"http/1.0";

/// A protocol version. Older ones than 1.2 don't exist here (RFC 8996).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.2, RFC 5246.
    V1_2,
    /// TLS 1.3, RFC 8446.
    V1_3,
}

impl TlsVersion {
    /// As Envoy's `%DOWNSTREAM_TLS_VERSION%` writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            TlsVersion::V1_2 => "TLSv1.2",
            TlsVersion::V1_3 => "TLSv1.3",
        }
    }

    fn of(version: Option<ProtocolVersion>) -> TlsVersion {
        match version {
            Some(ProtocolVersion::TLSv1_2) => TlsVersion::V1_2,
            _ => TlsVersion::V1_3,
        }
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The versions from `min` to `max`, newest first.
fn versions(min: TlsVersion, max: TlsVersion) -> Vec<&'static SupportedProtocolVersion> {
    [(TlsVersion::V1_3, &rustls::version::TLS13), (TlsVersion::V1_2, &rustls::version::TLS12)]
        .into_iter()
        .filter(|(v, _)| (min..=max).contains(v))
        .map(|(_, supported)| supported)
        .collect()
}

/// The one cryptography provider. Passed to rustls explicitly, so no process default is needed or disturbed.
fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

/// SHA-256 of `data`, by the provider.
fn sha256(data: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    if let Some(suite) = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13() {
        digest.copy_from_slice(suite.common.hash_provider.hash(data).as_ref());
    }
    digest
}

#[cfg(test)]
mod tests;
