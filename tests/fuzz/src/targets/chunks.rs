//! Chunked content.

use fairlead_http::Framing;
use fairlead_http::fuzzing::content;

use super::cut;
use crate::Target;

/// Chunked content: the same to a naive reader, whatever the cut.
pub const TARGET: Target = Target {
    name: "chunks",
    run,
    seeds: &[
        b"5\r\nhello\r\n0\r\n\r\n",
        b"A;a=b;c=\"d\"\r\n0123456789\r\n1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\nGET /",
        b"0\r\n\r\n",
        b"000f\r\n0123456789abcde\r\n00\r\nx-sum: 1\r\n\r\n",
    ],
    tokens: &["0\r\n\r\n", "\r\n", "5\r\nhello\r\n", "1\r\nx\r\n", ";a=b", ";a=\"\\\"\"", "ffffffffffffffff", "0x", "+", "a: b\r\n", "Content-Length: 1\r\n"],
};

/// Panics when a promise is broken.
pub fn run(data: &[u8]) {
    let whole = content(Framing::Streamed, &[data]);
    let (a, b) = data.split_at(cut(data));
    // Only which fault is seen first may depend on the cut.
    assert_eq!(content(Framing::Streamed, &[a, b]).ok(), whole.clone().ok(), "depends on the cut");
    if let Ok(Some(content)) = whole {
        assert_eq!(naive(data), Some((content.bytes, content.len)));
    }
}

/// Content and length of a chunked message, by a reader that believes what it sees.
fn naive(data: &[u8]) -> Option<(Vec<u8>, usize)> {
    let text: String = data.iter().map(|b| *b as char).collect();
    let (mut rest, mut content) = (text.as_str(), Vec::new());
    loop {
        let (line, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(line.split(';').next()?, 16).ok()?;
        rest = after;
        if size == 0 {
            break;
        }
        let skip: usize = rest.chars().take(size).map(char::len_utf8).sum();
        content.extend(rest[..skip].chars().map(|c| c as u8));
        rest = rest[skip..].strip_prefix("\r\n")?;
    }
    loop {
        let (line, after) = rest.split_once("\r\n")?;
        rest = after;
        if line.is_empty() {
            return Some((content, data.len() - rest.chars().count()));
        }
    }
}
