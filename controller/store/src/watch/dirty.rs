//! Which paths to look at, and when.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use notify::Event;
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind, RenameMode};

/// Paths that changed. A path is due at once when its file is complete, later when it may not be.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    paths: HashMap<PathBuf, Times>,
    /// Events were lost: everything may have changed.
    all: Option<Instant>,
    /// Nothing is due before; found out exactly when it passes.
    earliest: Option<Instant>,
    last_removal: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    first: Instant,
    due: Instant,
    removed: bool,
}

/// Removed files are given up when nothing else was removed and nothing came in their place for this time: a directory
/// that is removed as a whole must look gone, not empty …
pub(crate) const GRACE: Duration = Duration::from_millis(50);
/// … or after this time at the latest.
const GRACE_AT_LATEST: Duration = Duration::from_secs(1);
/// A file that is written to and not closed is read after this time without writes …
const UNFINISHED: Duration = Duration::from_millis(20);
/// … or after this time at the latest.
const AT_LATEST: Duration = Duration::from_millis(200);

/// Whether an event says anything about content.
pub(crate) fn matters(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(access) => *access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

impl Dirty {
    /// Takes an event in; says which paths are no longer what they were.
    pub(crate) fn note<'e>(&mut self, event: &'e Event, now: Instant) -> impl Iterator<Item = &'e Path> + use<'e> {
        use RenameMode::{Both, From};
        let gone = match event.kind {
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(From)) => event.paths.len(),
            EventKind::Modify(ModifyKind::Name(Both)) => 1,
            _ => 0,
        };
        for (index, path) in event.paths.iter().enumerate() {
            let removed = index < gone;
            let complete = match event.kind {
                EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(_)) => true,
                // A link or a directory is complete when it is there.
                EventKind::Create(_) => std::fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_file()),
                _ => false,
            };
            let times = self.paths.entry(path.clone()).or_insert(Times { first: now, due: now, removed });
            times.removed = removed;
            times.due = match (removed, complete) {
                (true, _) => (now + GRACE).min((times.first + GRACE_AT_LATEST).max(now)),
                (false, true) => now,
                (false, false) => (now + UNFINISHED).min((times.first + AT_LATEST).max(now)),
            };
            if removed {
                self.last_removal = Some(now);
            }
            self.earliest = Some(self.earliest.map_or(times.due, |earliest| earliest.min(times.due)));
        }
        event.paths.iter().take(gone).map(PathBuf::as_path)
    }

    /// Everything may have changed.
    pub(crate) fn all(&mut self, now: Instant) {
        self.all.get_or_insert(now);
    }

    /// When to look at the earliest, if there is anything to look at.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.earliest.into_iter().chain(self.all).min()
    }

    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        if self.earliest.is_some_and(|earliest| earliest <= now) {
            self.earliest = self.paths.values().map(|times| self.due_of(times)).min();
        }
        self.due().is_some_and(|due| due <= now)
    }

    /// What is due; `None` for everything.
    pub(crate) fn take(&mut self, now: Instant) -> Option<HashSet<PathBuf>> {
        let mut paths = std::mem::take(&mut self.paths);
        self.earliest = None;
        if self.all.take().is_some() {
            return None;
        }
        let due = paths.extract_if(|_, times| self.due_of(times) <= now).map(|(path, _)| path).collect();
        self.earliest = paths.values().map(|times| times.due).min();
        self.paths = paths;
        Some(due)
    }

    fn due_of(&self, times: &Times) -> Instant {
        match self.last_removal {
            Some(last) if times.removed => (last + GRACE).min((times.first + GRACE_AT_LATEST).max(times.due)),
            _ => times.due,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{CreateKind, DataChange, RemoveKind};

    fn event(kind: EventKind, path: &str) -> Event {
        Event::new(kind).add_path(path.into())
    }

    const CLOSED: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
    const WRITTEN: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));

    #[test]
    fn a_closed_file_is_due_at_once_and_a_written_one_later() {
        let (mut dirty, t) = (Dirty::default(), Instant::now());
        let _ = dirty.note(&event(EventKind::Create(CreateKind::File), "/none/a"), t);
        let _ = dirty.note(&event(WRITTEN, "/none/a"), t);
        assert_eq!(dirty.due(), Some(t + UNFINISHED));
        let _ = dirty.note(&event(CLOSED, "/none/a"), t);
        assert!(dirty.is_due(t));
        assert_eq!(dirty.take(t).map(|paths| paths.len()), Some(1));
        assert_eq!(dirty.due(), None);
    }

    #[test]
    fn endless_writing_is_read_at_last() {
        let (mut dirty, t) = (Dirty::default(), Instant::now());
        for ms in 0..400 {
            let _ = dirty.note(&event(WRITTEN, "/none/a"), t + Duration::from_millis(ms));
            if dirty.is_due(t + Duration::from_millis(ms)) {
                assert_eq!(ms, 200);
                return;
            }
        }
        panic!("never due");
    }

    #[test]
    fn a_removed_file_has_time_to_come_back() {
        let (mut dirty, t) = (Dirty::default(), Instant::now());
        let removed = event(EventKind::Remove(RemoveKind::File), "/none/a");
        assert_eq!(dirty.note(&removed, t).collect::<Vec<_>>(), [Path::new("/none/a")]);
        assert!(!dirty.is_due(t + GRACE / 2));
        assert!(dirty.is_due(t + GRACE));
        let _ = dirty.note(&event(EventKind::Remove(RemoveKind::File), "/none/b"), t + GRACE / 2);
        assert!(!dirty.is_due(t + GRACE), "removing goes on");
        assert!(dirty.is_due(t + GRACE * 2));
        dirty.all(t);
        assert_eq!(dirty.take(t), None, "everything");
        assert_eq!(dirty.due(), None);
    }
}
