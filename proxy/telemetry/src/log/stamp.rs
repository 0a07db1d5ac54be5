//! Start times, formatted once a second.

use crate::Timestamp;

/// `strftime` of `START_TIME`, taken apart: what changes once a second is rendered by jiff and kept, fractions of the second
/// are patched in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StampFormat(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// For jiff.
    Whole(String),
    /// That many digits of the second's fraction.
    Fraction(usize),
}

/// Envoy's default: ISO 8601 in UTC with milliseconds.
const DEFAULT: &str = "%Y-%m-%dT%H:%M:%S.%3fZ";

impl StampFormat {
    /// Understands `strftime` as jiff has it, in UTC, and `%f`, `%1f` to `%9f` (digits of the fraction) and `%E1S` to `%E9S` (seconds with
    /// them). An error says where in the text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = if text.is_empty() { DEFAULT } else { text };
        let (mut pieces, mut whole, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find('%') {
            whole.push_str(&rest[..at]);
            let spec = &rest.as_bytes()[at + 1..];
            let (digits, len) = match spec {
                [b'f', ..] => (9, 2),
                [d @ b'1'..=b'9', b'f', ..] => (usize::from(d - b'0'), 3),
                [b'E', d @ b'1'..=b'9', b'S', ..] => {
                    whole.push_str("%S.");
                    (usize::from(d - b'0'), 4)
                }
                _ => {
                    // A specifier is at least one character; `%%` must not be taken apart.
                    let len = rest[at + 1..].chars().next().map_or(0, char::len_utf8);
                    whole.push_str(&rest[at..=at + len]);
                    rest = &rest[at + 1 + len..];
                    continue;
                }
            };
            pieces.extend([Piece::Whole(std::mem::take(&mut whole)), Piece::Fraction(digits)]);
            rest = &rest[at + len..];
        }
        whole.push_str(rest);
        pieces.push(Piece::Whole(whole));
        pieces.retain(|piece| !matches!(piece, Piece::Whole(text) if text.is_empty()));
        let format = StampFormat(pieces);
        Stamp::default().render(&format, 0)?;
        Ok(format)
    }
}

/// Which times a stamp is for. Those of one kind are mostly of the same second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeOf {
    Start,
    Emission,
    Validity,
}

/// The stamps of a format.
#[derive(Debug, Default)]
pub(crate) struct Stamps(Vec<(TimeOf, StampFormat)>);

impl Stamps {
    /// The index of such a stamp.
    pub(crate) fn add(&mut self, time: TimeOf, format: StampFormat) -> usize {
        let stamp = (time, format);
        self.0.iter().position(|known| *known == stamp).unwrap_or_else(|| {
            self.0.push(stamp);
            self.0.len() - 1
        })
    }

    pub(crate) fn into_formats(self) -> Box<[StampFormat]> {
        self.0.into_iter().map(|(_, format)| format).collect()
    }
}

/// The last second that was rendered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stamp {
    second: Option<u64>,
    text: Vec<u8>,
    /// Place and number of digits.
    fractions: Vec<(usize, usize)>,
}

impl Stamp {
    pub(crate) fn write(&mut self, format: &StampFormat, time: Timestamp, out: &mut Vec<u8>) {
        if self.second != Some(time.seconds()) && self.render(format, time.seconds()).is_err() {
            // A year beyond 9999: nothing to write, and no reason to fail.
            return;
        }
        let start = out.len();
        out.extend_from_slice(&self.text);
        for &(at, digits) in &self.fractions {
            let mut rest = u64::from(time.subsec_micros()) * 1_000 / 10u64.pow(9 - digits as u32);
            for place in out[start + at..start + at + digits].iter_mut().rev() {
                *place = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
    }

    #[cold]
    fn render(&mut self, format: &StampFormat, second: u64) -> Result<(), String> {
        self.second = None;
        self.text.clear();
        self.fractions.clear();
        let out_of_range = |_| "time out of range".to_string();
        let time = jiff::Timestamp::from_second(i64::try_from(second).unwrap_or(i64::MAX))
            .map_err(|e| out_of_range(e.to_string()))?;
        let time = jiff::fmt::strtime::BrokenDownTime::from(&time.to_zoned(jiff::tz::TimeZone::UTC));
        for piece in &format.0 {
            match piece {
                Piece::Whole(text) => time.format(text, &mut self.text).map_err(|e| e.to_string())?,
                Piece::Fraction(digits) => {
                    self.fractions.push((self.text.len(), *digits));
                    self.text.resize(self.text.len() + digits, b'0');
                }
            }
        }
        self.second = Some(second);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(format: &str, micros: u64) -> String {
        let format = StampFormat::parse(format).unwrap();
        let mut out = Vec::new();
        Stamp::default().write(&format, Timestamp(micros), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn formats() {
        let t = 1_721_060_999_012_345;
        assert_eq!(stamp("", t), "2024-07-15T16:29:59.012Z");
        assert_eq!(stamp("%s.%6f|%f|%1f", t), "1721060999.012345|012345000|0");
        assert_eq!(stamp("%E3S %% %%f", t), "59.012 % %f");
        assert_eq!(stamp("%d/%b/%Y:%H:%M:%S %z", t), "15/Jul/2024:16:29:59 +0000");
    }

    #[test]
    fn rejects_what_is_no_format() {
        for bad in ["%!", "%", "x%Ky"] {
            assert!(StampFormat::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_new_second_is_rendered() {
        let format = StampFormat::parse("").unwrap();
        let mut stamp = Stamp::default();
        let mut out = Vec::new();
        for micros in [999_999, 1_000_000, 1_001_000, 0, 86_400_000_000] {
            stamp.write(&format, Timestamp(micros), &mut out);
            out.push(b' ');
        }
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "1970-01-01T00:00:00.999Z 1970-01-01T00:00:01.000Z 1970-01-01T00:00:01.001Z 1970-01-01T00:00:00.000Z 1970-01-02T00:00:00.000Z "
        );
    }

    #[test]
    fn a_time_beyond_the_calendar_is_left_out() {
        assert_eq!(stamp("", u64::MAX), "");
    }
}
