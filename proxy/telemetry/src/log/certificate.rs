//! Certificates in the log: `DOWNSTREAM_PEER_…` and `UPSTREAM_PEER_…`.

use super::fact::Fact;
use super::stamp::{StampFormat, Stamps, TimeOf};
use crate::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::net::IpAddr;

/// The certificate that the other side of a connection presented. Nothing is worked out before a format asks for it.
pub trait Certificate {
    /// The certificate itself.
    fn der(&self) -> &[u8];
    /// Distinguished name (RFC 2253); empty when the certificate cannot be parsed.
    fn subject(&self) -> &str;
    /// As the subject.
    fn issuer(&self) -> &str;
    /// Lower-case hexadecimal.
    fn serial(&self) -> &str;
    /// Begin and end; `None` when the certificate cannot be parsed.
    fn validity(&self) -> Option<(Timestamp, Timestamp)>;
    /// URIs among its names.
    fn uris(&self) -> &[String];
    /// DNS names.
    fn dns(&self) -> &[String];
    /// E-mail addresses.
    fn emails(&self) -> &[String];
    /// IP addresses.
    fn ips(&self) -> &[IpAddr];
    /// SHA-1 of it.
    fn sha1(&self) -> [u8; 20];
    /// SHA-256 of it.
    fn sha256(&self) -> [u8; 32];
}

/// Whose certificate it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Downstream,
    Upstream,
}

/// What of a certificate is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertFact {
    Subject,
    Issuer,
    Serial,
    Sha1,
    Sha256,
    Uris,
    Dns,
    Emails,
    Ips,
    /// PEM, percent-encoded.
    Pem,
    /// Index of a stamp of the format.
    NotBefore(usize),
    NotAfter(usize),
}

impl CertFact {
    /// What comes after `…_PEER_` in the operator's name; `format` is its argument. `None` when there is no such operator.
    pub(crate) fn parse(name: &str, format: Option<&str>, stamps: &mut Stamps) -> Option<Result<CertFact, String>> {
        let fact = match name {
            "SUBJECT" => CertFact::Subject,
            "ISSUER" => CertFact::Issuer,
            "SERIAL" => CertFact::Serial,
            "FINGERPRINT_1" => CertFact::Sha1,
            "FINGERPRINT_256" => CertFact::Sha256,
            "URI_SAN" => CertFact::Uris,
            "DNS_SAN" => CertFact::Dns,
            "EMAIL_SAN" => CertFact::Emails,
            "IP_SAN" => CertFact::Ips,
            "CERT" => CertFact::Pem,
            "CERT_V_START" | "CERT_V_END" => {
                let stamp = StampFormat::parse(format.unwrap_or("")).map(|format| stamps.add(TimeOf::Validity, format));
                let fact = if name == "CERT_V_START" { CertFact::NotBefore } else { CertFact::NotAfter };
                return Some(stamp.map(fact));
            }
            _ => return None,
        };
        Some(if format.is_some() { Err("takes no argument".into()) } else { Ok(fact) })
    }

    pub(crate) fn of<'a>(self, certificate: Option<&'a dyn Certificate>) -> Fact<'a> {
        let Some(certificate) = certificate else { return Fact::Missing };
        let names = |names: &'a [String]| if names.is_empty() { Fact::Missing } else { Fact::Names(names) };
        match self {
            CertFact::Subject => Fact::str(certificate.subject()),
            CertFact::Issuer => Fact::str(certificate.issuer()),
            CertFact::Serial => Fact::str(certificate.serial()),
            CertFact::Uris => names(certificate.uris()),
            CertFact::Dns => names(certificate.dns()),
            CertFact::Emails => names(certificate.emails()),
            CertFact::Ips if certificate.ips().is_empty() => Fact::Missing,
            CertFact::Ips | CertFact::Sha1 | CertFact::Sha256 | CertFact::Pem => Fact::Certificate(certificate, self),
            CertFact::NotBefore(stamp) => {
                certificate.validity().map_or(Fact::Missing, |(at, _)| Fact::Stamp(stamp, at))
            }
            CertFact::NotAfter(stamp) => certificate.validity().map_or(Fact::Missing, |(_, at)| Fact::Stamp(stamp, at)),
        }
    }

    /// What needs no escapes and is worked out only here.
    pub(crate) fn write(self, certificate: &dyn Certificate, out: &mut Vec<u8>) {
        match self {
            CertFact::Sha1 => hex(&certificate.sha1(), out),
            CertFact::Sha256 => hex(&certificate.sha256(), out),
            CertFact::Ips => {
                let ips: Vec<String> = certificate.ips().iter().map(IpAddr::to_string).collect();
                out.extend_from_slice(ips.join(",").as_bytes());
            }
            CertFact::Pem => pem(certificate.der(), out),
            _ => {}
        }
    }
}

fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.extend([byte >> 4, byte & 15].map(|nibble| b"0123456789abcdef"[usize::from(nibble)]));
    }
}

/// RFC 7468, with what is not safe in a URL percent-encoded, as Envoy has it.
fn pem(der: &[u8], out: &mut Vec<u8>) {
    let text = STANDARD.encode(der);
    out.extend_from_slice(b"-----BEGIN%20CERTIFICATE-----%0A");
    for line in text.as_bytes().chunks(64) {
        for byte in line {
            match byte {
                b'+' => out.extend_from_slice(b"%2B"),
                b'/' => out.extend_from_slice(b"%2F"),
                b'=' => out.extend_from_slice(b"%3D"),
                byte => out.push(*byte),
            }
        }
        out.extend_from_slice(b"%0A");
    }
    out.extend_from_slice(b"-----END%20CERTIFICATE-----%0A");
}

#[cfg(test)]
mod tests;
