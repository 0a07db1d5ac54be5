//! Formats of strings, from JSON Schema, Kubernetes and Go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether a string has a format of JSON Schema as an API server checks it. Formats that it does not know always fit.
pub(super) fn is(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => is_date_time(text),
        "date" => is_date(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "hostname" => subdomain(&text.to_ascii_lowercase()).is_ok(),
        "uri" => is_url(text),
        "duration" => go_duration(text).is_some(),
        _ => true,
    }
}

/// Whether a string has one of the formats that CEL's `format` library names.
///
/// # Errors
///
/// What is wrong, for people.
pub(super) fn named(name: &str, text: &str) -> Result<(), &'static str> {
    match name {
        "dns1123Label" => label(text),
        "dns1123Subdomain" => subdomain(text),
        "dns1035Label" => match text.as_bytes().first() {
            Some(first) if first.is_ascii_lowercase() => label(text),
            _ => Err("must start with a lower-case letter"),
        },
        "qualifiedName" => qualified_name(text),
        "labelValue" => {
            if text.is_empty() {
                Ok(())
            } else {
                simple_name(text)
            }
        }
        "uri" if !is_url(text) => Err("must be an absolute URI"),
        _ => Ok(()),
    }
}

/// A DNS label (RFC 1123): lower-case letters, digits and hyphens, not at an end, at most 63.
pub(super) fn label(text: &str) -> Result<(), &'static str> {
    if text.len() > 63 {
        return Err("must be no more than 63 characters");
    }
    if is_dns_label(text.as_bytes()) { Ok(()) } else { Err(LABEL) }
}

/// Labels joined by dots (RFC 1123), at most 253 characters.
pub(super) fn subdomain(text: &str) -> Result<(), &'static str> {
    if text.len() > 253 {
        return Err("must be no more than 253 characters");
    }
    let all = text.split('.').all(|part| is_dns_label(part.as_bytes()));
    if all { Ok(()) } else { Err(SUBDOMAIN) }
}

fn is_dns_label(text: &[u8]) -> bool {
    let ends = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.first().is_some_and(ends)
        && text.last().is_some_and(ends)
        && text.iter().all(|byte| ends(byte) || *byte == b'-')
}

/// A label key: an optional DNS subdomain and a slash, then a name.
pub(super) fn qualified_name(text: &str) -> Result<(), &'static str> {
    match text.split_once('/') {
        Some((prefix, name)) => subdomain(prefix).and_then(|()| simple_name(name)),
        None => simple_name(text),
    }
}

fn simple_name(text: &str) -> Result<(), &'static str> {
    let bytes = text.as_bytes();
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let ends =
        bytes.first().is_some_and(u8::is_ascii_alphanumeric) && bytes.last().is_some_and(u8::is_ascii_alphanumeric);
    if text.len() > 63 {
        Err("name part must be no more than 63 characters")
    } else if ends && bytes.iter().all(inner) {
        Ok(())
    } else {
        Err(
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with one of the former",
        )
    }
}

/// An IPv4 or IPv6 address, without zone.
pub(super) fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// An IP address, a slash and a prefix length.
pub(super) fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let canonical = length == "0" || !length.starts_with(['0', '+']);
    canonical && length.parse::<u8>().is_ok_and(|length| length <= most)
}

/// An absolute URI or an absolute path, as Go's `url.ParseRequestURI` has it.
pub(super) fn is_url(text: &str) -> bool {
    if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return false;
    }
    if text.starts_with('/') {
        return true;
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let letter = scheme.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    letter
        && !rest.is_empty()
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// Nanoseconds of a duration in Go's syntax (`1h30m`, `1.5s`, `-2ms`); none when it is not one or does not fit.
pub(super) fn go_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        total = total.checked_add(scaled(number, nanoseconds(unit)?)?)?;
        rest = tail;
    }
    Some(if negative { -total } else { total })
}

fn nanoseconds(unit: &str) -> Option<i64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// A decimal number times a unit, without floating point.
fn scaled(number: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = whole.checked_mul(unit)?;
    let mut share = unit;
    for digit in fraction.bytes() {
        share /= 10;
        total = total.checked_add(i64::from(digit - b'0').checked_mul(share)?)?;
    }
    Some(total)
}

/// RFC 3339, as `metav1.Time` writes it.
fn is_date_time(text: &str) -> bool {
    let Some((date, time)) = text.split_once(['T', 't', ' ']) else {
        return false;
    };
    let Some(zone) = time.rfind(['Z', 'z', '+', '-']) else {
        return false;
    };
    let (clock, zone) = time.split_at(zone);
    let zone_fits = matches!(zone, "Z" | "z")
        || zone[1..]
            .split_once(':')
            .is_some_and(|(hours, minutes)| is_number(hours, 2, 23) && is_number(minutes, 2, 59));
    let clock = clock.split_once('.').map_or(clock, |(clock, fraction)| {
        if !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit()) { clock } else { "" }
    });
    let mut parts = clock.split(':');
    let fits = parts.next().is_some_and(|hours| is_number(hours, 2, 23))
        && parts.next().is_some_and(|minutes| is_number(minutes, 2, 59))
        && parts.next().is_some_and(|seconds| is_number(seconds, 2, 60))
        && parts.next().is_none();
    is_date(date) && zone_fits && fits
}

fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    parts.next().is_some_and(|year| is_number(year, 4, 9999))
        && parts.next().is_some_and(|month| is_number(month, 2, 12) && month != "00")
        && parts.next().is_some_and(|day| is_number(day, 2, 31) && day != "00")
        && parts.next().is_none()
}

fn is_number(text: &str, digits: usize, most: u32) -> bool {
    text.len() == digits
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse::<u32>().is_ok_and(|number| number <= most)
}

const LABEL: &str =
    "must consist of lower-case alphanumeric characters or '-', and must start and end with an alphanumeric character";
const SUBDOMAIN: &str = "must consist of lower-case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("0s", 0),
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            ("-2ms", -2_000_000),
            (".5s", 500_000_000),
            ("1µs", 1_000),
            ("100ms", 100_000_000),
        ] {
            assert_eq!(go_duration(text), Some(nanoseconds), "{text}");
        }
        for text in ["", "5", "s", "1d", "1..5s", "-", "1h-1m", "99999999999h", "."] {
            assert_eq!(go_duration(text), None, "{text}");
        }
    }

    #[test]
    fn names_follow_their_formats() {
        for (format, text, fits) in [
            ("dns1123Label", "a-1", true),
            ("dns1123Label", "a.b", false),
            ("dns1123Label", "-a", false),
            ("dns1123Subdomain", "a.b-c.d", true),
            ("dns1123Subdomain", "a..b", false),
            ("dns1035Label", "1a", false),
            ("qualifiedName", "example.com/a_B.c", true),
            ("qualifiedName", "a/b/c", false),
            ("labelValue", "", true),
            ("labelValue", "a b", false),
            ("uri", "https://example.com/", true),
            ("uri", "example", false),
        ] {
            assert_eq!(named(format, text).is_ok(), fits, "{format} {text}");
        }
        assert!(label(&"a".repeat(64)).is_err());
        assert!(subdomain(&"a.".repeat(127)).is_err());
    }

    #[test]
    fn addresses_and_times_follow_their_formats() {
        for (format, text, fits) in [
            ("date-time", "2026-11-21T09:00:00Z", true),
            ("date-time", "1970-01-01T00:00:00.123+02:00", true),
            ("date-time", "2026-13-21T09:00:00Z", false),
            ("date-time", "2026-11-21", false),
            ("date-time", "2026-11-21T09:00Z", false),
            ("ipv4", "10.0.0.1", true),
            ("ipv6", "10.0.0.1", false),
            ("cidr", "10.0.0.0/8", true),
            ("cidr", "10.0.0.0/33", false),
            ("cidr", "::1/128", true),
            ("uri", "/path", true),
            ("uri", "no scheme", false),
            ("made-up", "anything", true),
        ] {
            assert_eq!(is(format, text), fits, "{format} {text}");
        }
    }
}
