//! What the objects of a Gateway are called.

/// The longest label value, and the longest name of a Service.
const LIMIT: usize = 63;
const PREFIX: &str = "fairlead-";

/// What all objects of a Gateway's proxies are called: `fairlead-NAME`. Where that is no name of a Service (RFC 1035: 63
/// characters, no dots), the start of it and eight hexadecimal digits of a hash that never changes.
pub fn object_name(gateway: &str) -> String {
    let name = format!("{PREFIX}{gateway}");
    if name.len() <= LIMIT && !name.contains('.') { name } else { shortened(&name.replace('.', "-"), gateway) }
}

/// A name of at most 253 characters as the value of a label, which has at most 63: itself, or its start and a hash.
pub fn label_value(name: &str) -> String {
    if name.len() <= LIMIT { name.to_owned() } else { shortened(name, name) }
}

/// A name of letters, digits and dashes, or its start and a hash of what it is made of.
pub(super) fn limited(name: String, of: &str) -> String {
    if name.len() <= LIMIT { name } else { shortened(&name, of) }
}

fn shortened(name: &str, of: &str) -> String {
    let start: String = name.chars().take(LIMIT - 9).collect();
    format!("{}-{:08x}", start.trim_end_matches(['-', '.']), short_hash(of))
}

/// FNV-1a, 64 bits folded to 32. Written down here since names must not change with a library.
pub(crate) fn short_hash(text: &str) -> u32 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    #[allow(clippy::cast_possible_truncation)]
    let folded = (hash >> 32) as u32 ^ hash as u32;
    folded
}
