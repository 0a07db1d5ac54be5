//! What is known of a TLS connection after the handshake.

use std::cell::OnceCell;
use std::fmt::Write;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::SystemTime;

use aws_lc_rs::digest;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::{CommonState, HandshakeKind, ServerConnection};
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use super::identity::time;
use super::{TlsVersion, sha256};
use crate::Stream;

/// Facts of a TLS connection, for routing, logs and headers.
#[derive(Clone, Debug)]
pub struct TlsInfo {
    /// The host that the client named (RFC 6066 §3), lower-case; of connections to us only.
    pub sni: Option<Rc<str>>,
    /// The protocol agreed on (RFC 7301).
    pub alpn: Option<Rc<[u8]>>,
    /// The protocol version.
    pub version: TlsVersion,
    /// The cipher suite's name in the IANA registry, for example `TLS_AES_128_GCM_SHA256`.
    pub cipher: &'static str,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// The other side's certificate, if it presented one: every server does, few clients do.
    pub peer_cert: Option<Rc<PeerCert>>,
}

impl TlsInfo {
    /// `second_look` verifies certificates that the handshake let through unseen.
    pub(super) fn of_client(session: &ServerConnection, second_look: Option<&dyn ClientCertVerifier>) -> TlsInfo {
        let peer_cert = session.peer_certificates().and_then(<[_]>::split_first).map(|(leaf, rest)| {
            let verified = second_look.is_none_or(|v| v.verify_client_cert(leaf, rest, UnixTime::now()).is_ok());
            Rc::new(PeerCert { leaf: leaf.clone(), rest: rest.into(), verified, facts: OnceCell::new() })
        });
        TlsInfo {
            sni: session.server_name().map(Rc::from),
            alpn: session.alpn_protocol().map(Rc::from),
            version: TlsVersion::of(session.protocol_version()),
            cipher: cipher(session),
            resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
            peer_cert,
        }
    }

    /// Of a connection to an upstream ([`super::connect`], which has verified its certificate); `None` for any other stream. Only the
    /// server's own certificate is kept, not what led to its CA.
    pub fn of_upstream(stream: &Stream) -> Option<TlsInfo> {
        let Stream::TlsClient(stream) = stream else { return None };
        let session = stream.get_ref().1;
        let peer_cert = session.peer_certificates().and_then(<[_]>::first).map(|leaf| {
            Rc::new(PeerCert { leaf: leaf.clone(), rest: Box::default(), verified: true, facts: OnceCell::new() })
        });
        Some(TlsInfo {
            sni: None,
            alpn: session.alpn_protocol().map(Rc::from),
            version: TlsVersion::of(session.protocol_version()),
            cipher: cipher(session),
            resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
            peer_cert,
        })
    }
}

/// rustls calls the suites of TLS 1.3 `TLS13_…`, nobody else does.
fn cipher(session: &CommonState) -> &'static str {
    let name = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("");
    match name {
        "TLS13_AES_128_GCM_SHA256" => "TLS_AES_128_GCM_SHA256",
        "TLS13_AES_256_GCM_SHA384" => "TLS_AES_256_GCM_SHA384",
        "TLS13_CHACHA20_POLY1305_SHA256" => "TLS_CHACHA20_POLY1305_SHA256",
        name => name,
    }
}

/// A certificate that the other side presented.
#[derive(Debug)]
pub struct PeerCert {
    leaf: CertificateDer<'static>,
    rest: Box<[CertificateDer<'static>]>,
    verified: bool,
    facts: OnceCell<Option<CertFacts>>,
}

impl PeerCert {
    /// The certificate itself.
    pub fn der(&self) -> &[u8] {
        &self.leaf
    }

    /// All certificates that a client sent, its own first; of a server only its own.
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.leaf).chain(&self.rest).map(|der| &**der)
    }

    /// Whether it led to a trusted CA. Only false where clients without a valid certificate are let in
    /// ([`super::ClientAuth::Fallback`]). A resumed session keeps the certificate of the first one.
    pub fn verified(&self) -> bool {
        self.verified
    }

    /// SHA-256 of the certificate.
    pub fn fingerprint(&self) -> [u8; 32] {
        sha256(&self.leaf)
    }

    /// SHA-1 of the certificate, which older tools know certificates by. Proves nothing.
    pub fn fingerprint_sha1(&self) -> [u8; 20] {
        let mut out = [0; 20];
        out.copy_from_slice(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.leaf).as_ref());
        out
    }

    /// What the certificate says; parsed at the first call. `None` when it cannot be parsed.
    pub fn facts(&self) -> Option<&CertFacts> {
        self.facts.get_or_init(|| CertFacts::parse(&self.leaf)).as_ref()
    }
}

/// What a certificate says about its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertFacts {
    /// Distinguished name as RFC 2253 writes it, for example `CN=client,O=Example`.
    pub subject: String,
    /// As the subject.
    pub issuer: String,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// Begin of validity.
    pub not_before: SystemTime,
    /// End of validity.
    pub not_after: SystemTime,
    /// DNS names.
    pub dns: Vec<String>,
    /// URIs.
    pub uris: Vec<String>,
    /// E-mail addresses.
    pub emails: Vec<String>,
    /// IP addresses.
    pub ips: Vec<IpAddr>,
}

impl CertFacts {
    fn parse(der: &[u8]) -> Option<CertFacts> {
        let (_, x509) = X509Certificate::from_der(der).ok()?;
        let mut facts = CertFacts {
            subject: distinguished_name(x509.subject()),
            issuer: distinguished_name(x509.issuer()),
            serial: serial(x509.raw_serial()),
            not_before: time(x509.validity().not_before.timestamp()),
            not_after: time(x509.validity().not_after.timestamp()),
            dns: Vec::new(),
            uris: Vec::new(),
            emails: Vec::new(),
            ips: Vec::new(),
        };
        let sans = x509.subject_alternative_name().ok()?;
        for san in sans.iter().flat_map(|extension| &extension.value.general_names) {
            match san {
                GeneralName::DNSName(name) => facts.dns.push((*name).to_owned()),
                GeneralName::URI(uri) => facts.uris.push((*uri).to_owned()),
                GeneralName::RFC822Name(email) => facts.emails.push((*email).to_owned()),
                GeneralName::IPAddress(bytes) => facts.ips.extend(ip(bytes)),
                _ => {}
            }
        }
        Some(facts)
    }
}

/// Without the zero byte that DER puts in front of a number whose first bit is set (X.690 §8.3).
fn serial(bytes: &[u8]) -> String {
    hex(bytes.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(bytes))
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// RFC 2253: the last part first, special characters escaped.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let mut out = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for part in parts.into_iter().rev() {
        for (i, attribute) in part.iter().enumerate() {
            if i > 0 {
                out.push('+');
            } else if !out.is_empty() {
                out.push(',');
            }
            match oid2abbrev(attribute.attr_type(), oid_registry()) {
                Ok(short) => out.push_str(short),
                Err(_) => out.push_str(&attribute.attr_type().to_id_string()),
            }
            out.push('=');
            match attribute.as_str() {
                Ok(value) => escape(value, &mut out),
                Err(_) => {
                    out.push('#');
                    out.push_str(&hex(attribute.as_slice()));
                }
            }
        }
    }
    out
}

fn escape(value: &str, out: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (i, c) in value.chars().enumerate() {
        match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => out.extend(['\\', c]),
            '#' if i == 0 => out.push_str("\\#"),
            ' ' if i == 0 || i == last => out.push_str("\\ "),
            c if c.is_control() => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\{byte:02X}");
                }
            }
            c => out.push(c),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}
