//! One module per parser.

pub mod access_log;
pub mod authorisation;
pub mod authority;
pub mod chunks;
pub mod client_hello;
pub mod connection;
pub mod path;
pub mod request_head;
pub mod response_head;
pub mod trace_context;

/// Where to cut an input, decided by the input itself so that a run can be repeated.
fn cut(data: &[u8]) -> usize {
    let sum = data.iter().fold(data.len(), |sum, b| sum.wrapping_mul(31).wrapping_add(*b as usize));
    sum % (data.len() + 1)
}

/// Whether bytes could break a line of HTTP/1 apart.
fn breaks_lines(bytes: &[u8]) -> bool {
    bytes.iter().any(|c| matches!(c, b'\r' | b'\n' | 0))
}
