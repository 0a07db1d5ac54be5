//! Does a private key belong to a certificate? As far as the key's file says, without computing.

use rustls_pki_types::PrivateKeyDer;
use x509_parser::x509::SubjectPublicKeyInfo;

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

/// What the key's file tells of the public key.
enum Public<'a> {
    /// The modulus.
    Rsa(&'a [u8]),
    /// The point, when the file has it.
    Ec(Option<&'a [u8]>),
    /// Another algorithm, by OID.
    Other(&'a [u8]),
}

/// What is wrong with the pair.
pub(super) fn check(key: &PrivateKeyDer<'_>, certificate: &SubjectPublicKeyInfo<'_>) -> Result<(), String> {
    let public = match key {
        PrivateKeyDer::Pkcs1(der) => rsa(der.secret_pkcs1_der()),
        PrivateKeyDer::Sec1(der) => ec(der.secret_sec1_der()),
        PrivateKeyDer::Pkcs8(der) => pkcs8(der.secret_pkcs8_der()),
        _ => None,
    };
    let public = public.ok_or("tls.key is damaged: its DER does not parse")?;
    let theirs = &*certificate.subject_public_key.data;
    let matches = match public {
        Public::Rsa(modulus) => {
            certificate.algorithm.algorithm.as_bytes() == RSA && certificate_modulus(theirs) == Some(modulus)
        }
        Public::Ec(point) => {
            certificate.algorithm.algorithm.as_bytes() == EC && point.is_none_or(|point| point == theirs)
        }
        Public::Other(oid) => certificate.algorithm.algorithm.as_bytes() == oid,
    };
    if matches { Ok(()) } else { Err("tls.key is not the key of the first certificate in tls.crt".to_owned()) }
}

/// RFC 8017 A.1.1: `SEQUENCE { n, e }`.
fn certificate_modulus(spki: &[u8]) -> Option<&[u8]> {
    let (sequence, _) = take(spki, 0x30)?;
    let (modulus, _) = take(sequence, 0x02)?;
    Some(trim(modulus))
}

/// RFC 8017 A.1.2: `SEQUENCE { version, n, … }`.
fn rsa(der: &[u8]) -> Option<Public<'_>> {
    let (sequence, _) = take(der, 0x30)?;
    let (_, rest) = take(sequence, 0x02)?;
    let (modulus, _) = take(rest, 0x02)?;
    Some(Public::Rsa(trim(modulus)))
}

/// RFC 5915: `SEQUENCE { version, OCTET STRING, [0] parameters?, [1] BIT STRING? }`.
fn ec(der: &[u8]) -> Option<Public<'_>> {
    let (sequence, _) = take(der, 0x30)?;
    let (_, rest) = take(sequence, 0x02)?;
    let (_, mut rest) = take(rest, 0x04)?;
    if let Some((_, after)) = take(rest, 0xa0) {
        rest = after;
    }
    let point = take(rest, 0xa1).and_then(|(tagged, _)| take(tagged, 0x03)).and_then(|(bits, _)| bits.split_first());
    Some(Public::Ec(point.map(|(_, point)| point)))
}

/// RFC 5958: `SEQUENCE { version, SEQUENCE { OID, … }, OCTET STRING, … }`.
fn pkcs8(der: &[u8]) -> Option<Public<'_>> {
    let (sequence, _) = take(der, 0x30)?;
    let (_, rest) = take(sequence, 0x02)?;
    let (algorithm, rest) = take(rest, 0x30)?;
    let (oid, _) = take(algorithm, 0x06)?;
    let (inner, _) = take(rest, 0x04)?;
    match oid {
        RSA => rsa(inner),
        EC => ec(inner),
        other => Some(Public::Other(other)),
    }
}

/// The content of an element with this tag, and what follows it.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    if first != tag {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

fn trim(integer: &[u8]) -> &[u8] {
    let zeros = integer.iter().take_while(|byte| **byte == 0).count();
    &integer[zeros..]
}
