//! What may stand in a message. Filters write what people configured into heads; nothing of it may end a line or a field.

use crate::Problem;

/// A field name: a token (RFC 9110 §5.6.2), in lower case.
pub(crate) fn name(field: &str, name: &str) -> Result<(), Problem> {
    let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&b);
    match !name.is_empty() && name.bytes().all(token) {
        true => Ok(()),
        false => Err(Problem::new(field, format!("`{}` is no header name", name.escape_debug()))),
    }
}

/// A field value: visible characters, spaces and tabs between them (RFC 9110 §5.5).
pub(crate) fn value(field: &str, value: &str) -> Result<(), Problem> {
    let visible = |b: u8| b == b'\t' || (b >= b' ' && b != 0x7f);
    match value.bytes().all(visible) && value.trim_matches([' ', '\t']) == value {
        true => Ok(()),
        false => Err(Problem::new(field, format!("`{}` is no header value", value.escape_debug()))),
    }
}

/// What may stand in a request target: visible ASCII but `#` (RFC 3986 §3.3; everything else is percent-encoded).
pub(crate) fn path(field: &str, path: &str) -> Result<(), Problem> {
    match path.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        true => Ok(()),
        false => {
            Err(Problem::new(field, format!("`{}` has characters that must be percent-encoded", path.escape_debug())))
        }
    }
}

/// A host name, with a port where the filter allows it.
pub(crate) fn authority(field: &str, authority: &str) -> Result<(), Problem> {
    match fairlead_http::authority::is_valid(authority.as_bytes()) {
        true => Ok(()),
        false => Err(Problem::new(field, format!("`{}` is no host name", authority.escape_debug()))),
    }
}
