//! Warnings that anybody can cause who reaches the push port: some are told, the rest is counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// So many of a kind are told …
const TOLD: u64 = 10;
/// … in this time.
const WINDOW: Duration = Duration::from_secs(60);

/// The kinds, each with its own count: a flood of one does not hide another.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    /// Connections that can't be accepted.
    pub sockets: Few,
    /// Handshakes that failed.
    pub handshakes: Few,
    /// Certificates that were refused.
    pub certificates: Few,
    /// Proxies that were not enrolled.
    pub enrolments: Few,
    /// Proxies that say they are another one, or that speak of what there is not.
    pub answers: Few,
}

/// Warnings of one kind.
#[derive(Debug, Default)]
pub(super) struct Few(AtomicU64);

impl Warnings {
    /// Tells how many were left out, as often as that is known; never ends.
    pub async fn count(&self) {
        loop {
            sleep(WINDOW).await;
            for (few, what) in [
                (&self.sockets, "connections that could not be accepted"),
                (&self.handshakes, "failed TLS handshakes"),
                (&self.certificates, "refused certificates"),
                (&self.enrolments, "proxies that were not enrolled"),
                (&self.answers, "proxies' wrong messages"),
            ] {
                let left_out = few.start_over();
                if left_out > 0 {
                    tracing::warn!(left_out, what, "the push port: warnings of the last minute that were left out");
                }
            }
        }
    }
}

impl Few {
    /// Whether one more may be told.
    pub fn may_tell(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) < TOLD
    }

    /// Begins the next time; how many were left out in this one.
    fn start_over(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed).saturating_sub(TOLD)
    }
}

/// Text of strangers as it may stand in the log: no line breaks or terminal's commands, and not more than `most` bytes of it.
pub(super) fn quoted(text: &str, most: usize) -> String {
    let short = shortened(text, most);
    let rest = if short.len() < text.len() { "…" } else { "" };
    format!("{}{rest}", short.escape_debug())
}

/// Text of proxies as it may stand in a status: on one line, without a terminal's commands, and not more than `most` bytes of it.
pub(super) fn plain(text: &str, most: usize) -> String {
    shortened(text, most).replace(char::is_control, " ")
}

/// At most so many bytes of a text.
pub(super) fn shortened(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_told_in_part_and_counted() {
        let warnings = Arc::new(Warnings::default());
        let counting = tokio::spawn({
            let warnings = warnings.clone();
            async move { warnings.count().await }
        });
        let told = |few: &Few| (0..1000).filter(|_| few.may_tell()).count() as u64;
        tokio::task::yield_now().await;
        assert_eq!((told(&warnings.handshakes), told(&warnings.handshakes)), (TOLD, 0));
        assert_eq!(told(&warnings.certificates), TOLD, "another kind");
        sleep(WINDOW + Duration::from_secs(1)).await;
        assert_eq!(told(&warnings.handshakes), TOLD, "the next minute");
        assert_eq!(warnings.handshakes.start_over(), 1000 - TOLD);
        assert!(warnings.handshakes.may_tell());
        assert_eq!(warnings.handshakes.start_over(), 0);
        counting.abort();
    }

    #[test]
    fn text_of_strangers_stays_on_its_line() {
        assert_eq!(quoted("shop/edge", 9), "shop/edge");
        assert_eq!(quoted("a\n2026 ERROR \x1b[31m\u{202e}", 99), "a\\n2026 ERROR \\u{1b}[31m\\u{202e}");
        assert_eq!(quoted(&"ä".repeat(1000), 5), "ää…");
        assert_eq!(quoted("", 0), "");
        assert_eq!(plain("in \"use\"\r\n\x1b[31mby ä\u{9b}", 99), "in \"use\"   [31mby ä ");
        assert_eq!(plain("äää", 5), "ää");
    }
}
