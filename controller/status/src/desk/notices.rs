//! Which turns of conditions are events.
//!
//! What turns bad is told when it has been so for a moment: objects that are applied together see each other late, and nobody should read of
//! a Service that was missing for half a second. What turns good again is told at once.

use super::Name;
use crate::merge::Turn;
use crate::{Event, Severity};
use fairlead_crds::Kind;
use k8s_openapi::api::core::v1::ObjectReference;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// What will be told, unless it turns good before.
#[derive(Debug, Default)]
pub(super) struct Notices {
    waiting: BTreeMap<(Name, String, &'static str), (Instant, Event)>,
}

/// How long something must be bad.
const SETTLED: Duration = Duration::from_secs(2);

impl Notices {
    /// Takes note of what a write changed; what is to be told at once.
    pub fn note(&mut self, name: &Name, turns: &[Turn], regarding: &ObjectReference, now: Instant) -> Vec<Event> {
        let mut told = Vec::new();
        for turn in turns {
            let slot = (name.clone(), turn.of.clone(), turn.kind);
            match Mood::of(name.0, turn) {
                Mood::Bad => {
                    let event = event(turn, Severity::Warning, regarding);
                    let (_, waiting) = self.waiting.entry(slot).or_insert_with(|| (now + SETTLED, event.clone()));
                    *waiting = event;
                }
                Mood::Good => {
                    if self.waiting.remove(&slot).is_none() {
                        told.push(event(turn, Severity::Normal, regarding));
                    }
                }
                Mood::Gone => drop(self.waiting.remove(&slot)),
                // Still bad, maybe for another reason.
                Mood::Same => {
                    if let Some((_, waiting)) = self.waiting.get_mut(&slot) {
                        *waiting = event(turn, Severity::Warning, regarding);
                    }
                }
            }
        }
        told
    }

    /// What has been bad for long enough.
    pub fn due(&mut self, now: Instant) -> Vec<(Name, Event)> {
        self.waiting.extract_if(.., |_, (at, _)| *at <= now).map(|((name, ..), (_, event))| (name, event)).collect()
    }

    /// When something is due next.
    pub fn wake(&self) -> Option<Instant> {
        self.waiting.values().map(|(at, _)| *at).min()
    }
}

enum Mood {
    Bad,
    Good,
    /// Nothing is said any more.
    Gone,
    Same,
}

impl Mood {
    fn of(kind: Kind, turn: &Turn) -> Mood {
        let before = turn.before.as_deref();
        let of_listener = matches!(kind, Kind::Gateway | Kind::ListenerSet) && !turn.of.is_empty();
        // Other conditions of listeners are summed up in those of the whole.
        let matters = match turn.kind {
            "Programmed" => !of_listener || turn.reason != "Pending",
            "Accepted" | "ResolvedRefs" => !of_listener,
            "PartiallyInvalid" => {
                return match (before, turn.after) {
                    (Some("True"), Some(true)) => Mood::Same,
                    (_, Some(true)) => Mood::Bad,
                    (Some("True"), _) => Mood::Good,
                    _ => Mood::Same,
                };
            }
            "SupportedVersion" => true,
            _ => false,
        };
        let expected = turn.reason == "Pending" && before != Some("True");
        match (before, turn.after) {
            _ if !matters => Mood::Same,
            (_, None) => Mood::Gone,
            (Some("False"), Some(true)) if !of_listener => Mood::Good,
            (before, Some(false)) if before != Some("False") && !expected => Mood::Bad,
            _ => Mood::Same,
        }
    }
}

fn event(turn: &Turn, severity: Severity, regarding: &ObjectReference) -> Event {
    let good = severity == Severity::Normal;
    let message = match (&*turn.message, &*turn.of) {
        ("", "") => format!("{} no longer", turn.kind),
        ("", of) => format!("{of}: {} no longer", turn.kind),
        (message, "") => message.to_owned(),
        (message, of) => format!("{of}: {message}"),
    };
    let reason = if turn.reason.is_empty() { turn.kind } else { turn.reason };
    Event {
        regarding: regarding.clone(),
        severity,
        reason: if good || reason != turn.kind { reason.to_owned() } else { format!("Not{reason}") },
        action: "UpdateStatus".to_owned(),
        message: if good { message } else { format!("{}: {message}", turn.kind) },
    }
}
