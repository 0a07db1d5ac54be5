//! Which events are new, which are told again, and which are too many.

use super::{BURST, Event, Severity};
use foldhash::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// The last ten minutes.
pub(super) struct Window {
    told: HashMap<Same, Told>,
    /// By object: how many different ones since when.
    objects: HashMap<Object, (u32, Instant)>,
    swept: Option<Instant>,
}

/// What to do about an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Say {
    First,
    /// It was written as `name` before, and told `count` times since.
    Again {
        name: String,
        count: i32,
    },
    Nothing,
}

/// Namespace, kind, name and UID.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Object([Option<String>; 4]);

/// What makes two events the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Same {
    object: Object,
    severity: Severity,
    reason: String,
    message: String,
}

struct Told {
    /// Name of the written one.
    name: Option<String>,
    count: i32,
    written: Instant,
}

/// How long an event is not written again.
const QUIET: Duration = Duration::from_secs(600);

impl Window {
    pub fn new() -> Self {
        Window { told: HashMap::default(), objects: HashMap::default(), swept: None }
    }

    /// Takes note of an event that is told now.
    pub fn say(&mut self, event: &Event, now: Instant) -> Say {
        self.sweep(now);
        let same = Same::of(event);
        if let Some(told) = self.told.get_mut(&same) {
            told.count = told.count.saturating_add(1);
            if now.duration_since(told.written) < QUIET {
                return Say::Nothing;
            }
            told.written = now;
            return match &told.name {
                Some(name) => Say::Again { name: name.clone(), count: told.count },
                None => Say::First,
            };
        }
        let (count, since) = self.objects.entry(same.object.clone()).or_insert((0, now));
        if now.duration_since(*since) >= QUIET {
            (*count, *since) = (0, now);
        }
        if *count as usize >= BURST {
            return Say::Nothing;
        }
        *count += 1;
        self.told.insert(same, Told { name: None, count: 1, written: now });
        Say::First
    }

    /// The event was written.
    pub fn said(&mut self, event: &Event, name: String) {
        if let Some(told) = self.told.get_mut(&Same::of(event)) {
            told.name = Some(name);
        }
    }

    /// Forgets what has not been told for long: events of an API server live for an hour.
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now.duration_since(swept) < QUIET) {
            return;
        }
        self.swept = Some(now);
        self.told.retain(|_, told| now.duration_since(told.written) < 3 * QUIET);
        self.objects.retain(|_, (_, since)| now.duration_since(*since) < QUIET);
    }
}

impl Same {
    fn of(event: &Event) -> Self {
        let object = &event.regarding;
        Same {
            object: Object([object.namespace.clone(), object.kind.clone(), object.name.clone(), object.uid.clone()]),
            severity: event.severity,
            reason: event.reason.clone(),
            message: event.message.clone(),
        }
    }
}
