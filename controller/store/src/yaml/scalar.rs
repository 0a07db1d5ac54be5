//! Plain scalars → JSON values, as `sigs.k8s.io/yaml` reads them, which `kubectl` and the API server's clients use: the
//! core schema with the booleans, octals and underscores of YAML 1.1. A manifest must not mean one thing here and another there.

use serde_json::Value;

/// The value of a scalar without quotes and without tag.
pub(crate) fn plain(text: &str) -> Value {
    let Some(first) = text.bytes().next() else { return Value::Null };
    match first {
        b'0'..=b'9' | b'+' | b'-' | b'.' => number(text).unwrap_or_else(|| text.into()),
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => word(text),
        _ => text.into(),
    }
}

fn word(text: &str) -> Value {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => true.into(),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => false.into(),
        "~" | "null" | "Null" | "NULL" => Value::Null,
        _ => text.into(),
    }
}

fn number(text: &str) -> Option<Value> {
    let plain = if text.contains('_') { &text.replace('_', "") } else { text };
    let (negative, digits) = match plain.as_bytes().first()? {
        b'-' => (true, &plain[1..]),
        b'+' => (false, &plain[1..]),
        _ => (false, plain),
    };
    if let Some(magnitude) = magnitude(digits) {
        return if !negative { Some(magnitude.into()) } else { 0i64.checked_sub_unsigned(magnitude).map(Value::from) };
    }
    if !is_float(digits) {
        return None;
    }
    let float: f64 = plain.parse().ok()?;
    // JSON from Go writes whole floats without a point, so that `1.0` and `1e3` are integers there.
    #[allow(clippy::cast_possible_truncation)]
    let whole = float as i64;
    #[allow(clippy::cast_precision_loss)]
    if whole as f64 == float && whole.unsigned_abs() < 1 << 53 { Some(whole.into()) } else { Some(float.into()) }
}

fn magnitude(digits: &str) -> Option<u64> {
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let exponent = exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)));
    let mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    mantissa && exponent
}
