//! Bytes from outside, made harmless for a line of a log.

/// Appends a JSON string's content: quotes, backslashes and control characters escaped, invalid UTF-8 as U+FFFD.
pub(crate) fn json(bytes: &[u8], out: &mut Vec<u8>) {
    if is_plain(bytes) {
        return out.extend_from_slice(bytes);
    }
    for chunk in bytes.utf8_chunks() {
        for &b in chunk.valid().as_bytes() {
            match b {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                0..0x20 | 0x7f => out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(b >> 4), hex(b & 15)]),
                b => out.push(b),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// Appends text that stays within its line and its quotes: `\"`, `\\`, and `\xNN` for control characters and invalid UTF-8.
pub(crate) fn text(bytes: &[u8], out: &mut Vec<u8>) {
    if is_plain(bytes) {
        return out.extend_from_slice(bytes);
    }
    for chunk in bytes.utf8_chunks() {
        for &b in chunk.valid().as_bytes() {
            match b {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
                0..0x20 | 0x7f => hex_escape(b, out),
                b => out.push(b),
            }
        }
        for &b in chunk.invalid() {
            hex_escape(b, out);
        }
    }
}

fn hex_escape(b: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'\\', b'x', hex(b >> 4), hex(b & 15)]);
}

fn hex(nibble: u8) -> u8 {
    b"0123456789abcdef"[usize::from(nibble & 15)]
}

/// Whether nothing needs an escape. Without an early exit, so that the compiler looks at 16 bytes at once.
fn is_plain(bytes: &[u8]) -> bool {
    !bytes.iter().fold(false, |odd, &b| odd | (b.wrapping_sub(0x20) >= 0x5f) | (b == b'"') | (b == b'\\'))
}

/// At most `limit` bytes, cut between characters.
pub(crate) fn cut(bytes: &[u8], limit: usize) -> &[u8] {
    if bytes.len() <= limit {
        return bytes;
    }
    // A continuation byte at the cut belongs to a character of at most four bytes that began before it.
    let mut end = limit;
    while end > 0 && limit - end < 3 && bytes[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    &bytes[..if bytes[end] & 0xc0 == 0x80 { limit } else { end }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json_of(bytes: &[u8]) -> String {
        let mut out = vec![b'"'];
        json(bytes, &mut out);
        out.push(b'"');
        String::from_utf8(out).unwrap()
    }

    fn text_of(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        text(bytes, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn knows_plain_bytes() {
        for b in 0..=255u8 {
            let plain = (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\';
            assert_eq!(is_plain(&[b'a', b, b'z']), plain, "{b:#x}");
        }
        assert!(is_plain(b""));
    }

    #[test]
    fn text_stays_in_its_quotes() {
        assert_eq!(text_of(b"a\"b\\c\r\nd\x00\x7f\xff\xc3\xa9"), "a\\\"b\\\\c\\x0d\\x0ad\\x00\\x7f\\xff\u{e9}");
    }

    #[test]
    fn cuts_between_characters() {
        let e = "a\u{e9}b".as_bytes();
        assert_eq!(
            [cut(e, 0), cut(e, 1), cut(e, 2), cut(e, 3), cut(e, 9)],
            [&b""[..], b"a", b"a", "a\u{e9}".as_bytes(), e]
        );
        assert_eq!(cut("\u{1f600}x".as_bytes(), 3), b"");
        assert_eq!(cut(&[0x80; 9], 5), [0x80; 5], "not a character at all");
    }

    proptest! {
        #[test]
        fn json_is_what_lossy_decoding_says(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let text: String = serde_json::from_str(&json_of(&bytes)).unwrap();
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn text_has_no_control_and_no_open_quote(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let text = text_of(&bytes);
            let control = text.chars().any(|c| c.is_ascii_control());
            prop_assert!(!control);
            let mut escaped = false;
            for c in text.chars() {
                prop_assert!(escaped || c != '"');
                escaped = c == '\\' && !escaped;
            }
            prop_assert!(!escaped);
        }

        #[test]
        fn a_cut_of_text_is_text(text in "\\PC{0,12}", limit in 0usize..20) {
            let cut = cut(text.as_bytes(), limit);
            prop_assert!(cut.len() <= limit && std::str::from_utf8(cut).is_ok());
            prop_assert!(cut.len() + 4 > limit.min(text.len()));
        }
    }
}
