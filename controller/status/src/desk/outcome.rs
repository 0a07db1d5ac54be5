//! What came of a write.

use super::objects::Refused;
use super::{DENIED, Desk, Live, Name};
use std::time::Duration;
use tokio::time::Instant;

/// How a write ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The object is so now.
    Written(Live),
    /// Somebody else wrote first; the object is so now, when that could be read.
    Conflict(Option<Live>),
    /// There is no such object (any more).
    Gone,
    /// We may not write statuses of this kind.
    Denied(String),
    /// The server takes no such status.
    Refused(String),
    /// The server is not there, too busy, or broken.
    Away {
        /// What it says.
        message: String,
        /// How long it asks to wait.
        wait: Option<Duration>,
    },
}

/// After how long a status that the server refused is tried again: a webhook may have changed its mind.
const REFUSED: Duration = Duration::from_secs(300);

/// Conflicts in a row after which it is better to wait.
const PATIENT: u32 = 5;

impl Desk {
    /// A write has ended.
    pub fn done(&mut self, name: &Name, outcome: Outcome, now: Instant) {
        let Some((state, writing)) = self.objects.end(name) else { return };
        if !matches!(outcome, Outcome::Away { .. }) && self.pause.succeed() {
            tracing::info!("the API server takes statuses again");
        }
        match outcome {
            Outcome::Written(live) => {
                let same = state.last.as_ref().is_some_and(|(last, _)| *last == writing.fingerprint);
                state.undone = if same { state.undone.saturating_add(1) } else { 0 };
                state.last = Some((writing.fingerprint, live.version.clone()));
                state.wrote(now);
                state.attempts = 0;
                state.refused = None;
                state.local = Some(live);
                if state.undone + 1 < super::evaluate::QUARREL {
                    self.problems.remove(&(name.0, Some(name.1.clone())));
                }
                let regarding = self.reference(name);
                let told = self.notices.note(name, &writing.turns, &regarding, now);
                self.told.extend(told);
            }
            Outcome::Conflict(live) => {
                state.attempts = state.attempts.saturating_add(1);
                let attempts = state.attempts;
                state.local = live.or(state.local.take());
                if attempts <= PATIENT {
                    self.objects.push(name.clone());
                } else {
                    let delay = Duration::from_millis(200) * 2u32.saturating_pow((attempts - PATIENT).min(5));
                    self.objects.push_at(name.clone(), now + delay.mul_f64(1.0 + 0.2 * fastrand::f64()));
                }
            }
            Outcome::Gone => self.forget(name),
            Outcome::Denied(message) => {
                let message = format!(
                    "statuses of {} can't be written: {message}; allow the controller's ServiceAccount to patch {}/status",
                    name.0.plural(),
                    name.0.plural()
                );
                if self.problems.insert((name.0, None), message.clone()).as_ref() != Some(&message) {
                    tracing::warn!("{message}");
                }
                self.denied.insert(name.0, now + DENIED);
            }
            Outcome::Refused(message) => {
                let until = Some(now + REFUSED);
                state.refused = Some(Refused { fingerprint: writing.fingerprint, version: writing.version, until });
                self.objects.push_at(name.clone(), now + REFUSED);
                let message = format!("the API server refuses the status: {message}");
                tracing::warn!("{} {}: {message}", name.0, name.1);
                self.problems.insert((name.0, Some(name.1.clone())), message);
            }
            Outcome::Away { message, wait } => {
                if self.pause.fail(wait, now) {
                    tracing::warn!("statuses can't be written: {message}");
                }
                self.objects.push(name.clone());
            }
        }
        if !self.denied.contains_key(&name.0) {
            self.problems.remove(&(name.0, None));
        }
    }
}
