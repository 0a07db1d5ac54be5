//! Durations of the Gateway API (GEP-2257): one to four numbers with `h`, `m`, `s` or `ms`.

use fairlead_ir::Millis;

/// The duration, or what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Millis, String> {
    let wrong = || format!("{text:?} is not a duration such as 10s, 500ms or 1m30s (GEP-2257)");
    let mut rest = text;
    let mut total = 0u64;
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        parts += 1;
        if !(1..=5).contains(&digits) || parts > 4 {
            return Err(wrong());
        }
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let (scale, tail) = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1000)]
            .into_iter()
            .find_map(|(unit, scale)| Some((scale, tail.strip_prefix(unit)?)))
            .ok_or_else(wrong)?;
        total += number * scale;
        rest = tail;
    }
    if parts == 0 { Err(wrong()) } else { Ok(Millis(total)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gep_2257() {
        for (text, millis) in [
            ("0s", 0),
            ("500ms", 500),
            ("10s", 10_000),
            ("1h30m10s1ms", 5_410_001),
            ("1m", 60_000),
            ("99999h", 359_996_400_000),
        ] {
            assert_eq!(parse(text), Ok(Millis(millis)), "{text}");
        }
        for text in ["", "1", "s", "-1s", "1.5s", "1d", "100000s", "1h1m1s1ms1h", "1 s", "1S"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
