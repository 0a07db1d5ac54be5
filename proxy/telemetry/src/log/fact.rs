//! Facts of a record, and how they are written.

use super::certificate::{CertFact, Certificate};
use super::escape;
use super::operator::Part;
use crate::trace::TraceId;
use crate::{Flag, Flags, Timestamp};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A fact on its way into the line.
#[derive(Clone, Copy)]
pub(crate) enum Fact<'a> {
    /// `-`, or `null` in JSON.
    Missing,
    /// From outside: needs escapes.
    Bytes(&'a [u8]),
    /// A number also in JSON.
    Number(u64),
    /// Digits that are a string in JSON.
    Digits(u64),
    Flags(Flags),
    FlagsLong(Flags),
    Address(SocketAddr),
    Ip(IpAddr),
    TraceId(TraceId),
    /// A time, in the form of the stamp with that index.
    Stamp(usize, Timestamp),
    /// A new one each time.
    Uuid,
    /// From outside, with commas in between.
    Names(&'a [String]),
    /// What is worked out of a certificate when it is written.
    Certificate(&'a dyn Certificate, CertFact),
}

impl<'a> Fact<'a> {
    /// Bytes, or missing when there are none.
    pub(crate) fn bytes(bytes: &'a [u8]) -> Self {
        if bytes.is_empty() { Fact::Missing } else { Fact::Bytes(bytes) }
    }

    pub(crate) fn str(text: &'a str) -> Self {
        Fact::bytes(text.as_bytes())
    }

    pub(crate) fn or(self, other: impl FnOnce() -> Fact<'a>) -> Self {
        match self {
            Fact::Missing => other(),
            fact => fact,
        }
    }

    pub(crate) fn address(address: Option<SocketAddr>, part: Part) -> Self {
        match (address, part) {
            (None, _) => Fact::Missing,
            (Some(address), Part::Whole) => Fact::Address(address),
            (Some(address), Part::Ip) => Fact::Ip(address.ip()),
            (Some(address), Part::Port) => Fact::Number(u64::from(address.port())),
        }
    }

    pub(crate) fn time(time: Option<Duration>) -> Self {
        time.map_or(Fact::Missing, |time| Fact::Number(millis(time)))
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// In a text format.
    Text,
    /// As a JSON value: string, number or `null`.
    JsonValue,
    /// Inside a JSON string.
    JsonPart,
}

/// Appends the fact, at most `limit` bytes of it; `stamp` writes times.
#[inline]
pub(crate) fn write(
    fact: Fact<'_>,
    limit: usize,
    form: Form,
    stamp: impl FnOnce(usize, Timestamp, &mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    let quoted = form == Form::JsonValue && !matches!(fact, Fact::Missing | Fact::Number(_));
    if quoted {
        out.push(b'"');
    }
    let start = out.len();
    match fact {
        Fact::Missing if form == Form::JsonValue => return out.extend_from_slice(b"null"),
        Fact::Missing => out.push(b'-'),
        Fact::Bytes(bytes) if form == Form::Text => escape::text(escape::cut(bytes, limit), out),
        Fact::Bytes(bytes) => escape::json(escape::cut(bytes, limit), out),
        Fact::Number(n) | Fact::Digits(n) => out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
        Fact::Flags(flags) => write_flags(flags, Flag::short, out),
        Fact::FlagsLong(flags) => write_flags(flags, Flag::long, out),
        Fact::Address(address) => write_address(address, out),
        Fact::Ip(ip) => write_ip(ip.to_canonical(), out),
        Fact::TraceId(trace) => out.extend_from_slice(&trace.hex()),
        Fact::Stamp(index, time) => stamp(index, time, out),
        Fact::Uuid => write_uuid(out),
        Fact::Names(names) => write_names(names, limit, form, out),
        Fact::Certificate(certificate, which) => which.write(certificate, out),
    }
    // Text from outside is cut before it is escaped, so that no escape is cut; a JSON number stays one.
    let whole =
        matches!(fact, Fact::Bytes(_) | Fact::Names(_)) || (form == Form::JsonValue && matches!(fact, Fact::Number(_)));
    if !whole && out.len() - start > limit {
        out.truncate(start + limit);
    }
    if quoted {
        out.push(b'"');
    }
}

fn write_flags(flags: Flags, name: fn(Flag) -> &'static str, out: &mut Vec<u8>) {
    if flags.is_empty() {
        out.push(b'-');
    }
    for (i, flag) in flags.iter().enumerate() {
        out.extend_from_slice(if i > 0 { b",".as_slice() } else { b"" });
        out.extend_from_slice(name(flag).as_bytes());
    }
}

/// Version 4 of RFC 9562 §5.4.
fn write_uuid(out: &mut Vec<u8>) {
    let id = fastrand::u128(..) & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let (a, b, c) = (id >> 96, (id >> 80) & 0xffff, (id >> 64) & 0xffff);
    // Writing to a vector cannot fail.
    let _ = write!(out, "{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", (id >> 48) & 0xffff, id & 0xffff_ffff_ffff);
}

fn write_names(names: &[String], limit: usize, form: Form, out: &mut Vec<u8>) {
    let mut left = limit;
    for (i, name) in names.iter().enumerate() {
        if i > 0 && left > 0 {
            out.push(b',');
            left -= 1;
        }
        let name = escape::cut(name.as_bytes(), left);
        left -= name.len();
        if form == Form::Text { escape::text(name, out) } else { escape::json(name, out) }
    }
}

/// IPv4 addresses of dual-stack sockets are written as IPv4.
fn write_address(address: SocketAddr, out: &mut Vec<u8>) {
    match address.ip().to_canonical() {
        IpAddr::V4(_) => write_ip(address.ip().to_canonical(), out),
        IpAddr::V6(ip) => _ = write!(out, "[{ip}]"),
    }
    out.push(b':');
    out.extend_from_slice(itoa::Buffer::new().format(address.port()).as_bytes());
}

fn write_ip(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => {
            let (mut text, mut len) = ([0; 16], 0);
            for octet in ip.octets() {
                let ([a, b, c], digits) = OCTETS[usize::from(octet)];
                // Those behind its digits are written over.
                text[len..len + 4].copy_from_slice(&[a, b, c, 0]);
                text[len + usize::from(digits)] = b'.';
                len += usize::from(digits) + 1;
            }
            out.extend_from_slice(&text[..len - 1]);
        }
        IpAddr::V6(ip) => _ = write!(out, "{ip}"),
    }
}

/// Each octet's digits, and how many they are: three or four addresses stand in a line.
const OCTETS: [([u8; 3], u8); 256] = {
    let mut all = [([0; 3], 0); 256];
    let mut octet = 0;
    while octet < 256 {
        let (hundreds, tens, ones) =
            (b'0' + (octet / 100) as u8, b'0' + (octet / 10 % 10) as u8, b'0' + (octet % 10) as u8);
        all[octet] = match octet {
            0..10 => ([ones, 0, 0], 1),
            10..100 => ([tens, ones, 0], 2),
            _ => ([hundreds, tens, ones], 3),
        };
        octet += 1;
    }
    all
};

/// Whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
