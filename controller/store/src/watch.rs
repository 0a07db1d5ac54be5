//! Changes of the files, as they happen.

mod dirty;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use notify::event::Flag;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::files::{Scan, absolute};
use crate::{Change, Code, Files, Problem, Progress, Settings, Severity};
use dirty::Dirty;

/// Files that are watched: an iterator over [`Change`]s, of which the first is everything.
///
/// A change is handled at once when nobody is busy; what comes while the caller is busy with one is the next one, taken
/// together. A file is read when it was closed by who wrote it or moved into place, so that halves are not seen; one that is
/// gone is given up only after [`dirty::GRACE`], because editors replace files by removing them.
///
/// Where the system can't tell of changes (limits reached, a directory that is gone), files are looked at from time to time.
#[derive(Debug)]
pub struct Watch {
    files: Files,
    paths: Vec<PathBuf>,
    watcher: Option<RecommendedWatcher>,
    watched: HashMap<PathBuf, (u64, u64)>,
    messages: Receiver<Message>,
    sender: Sender<Message>,
    dirty: Dirty,
    first: bool,
    stopped: bool,
    /// Why the system can't tell of all changes.
    deaf: Option<Problem>,
    last_look: Instant,
}

/// Ends a [`Watch`] from another thread.
#[derive(Clone, Debug)]
pub struct Stopper(Sender<Message>);

#[derive(Debug)]
enum Message {
    Event(notify::Event),
    Lost,
    Stop,
}

/// What a wait ended with.
enum Wake {
    Paths(HashSet<PathBuf>),
    All,
    Timeout,
    Stop,
}

impl Stopper {
    /// Makes the iterator end; what waits returns at once.
    pub fn stop(&self) {
        // Nobody listens any more: it has ended.
        let _ = self.0.send(Message::Stop);
    }
}

impl Watch {
    /// Starts to watch, then reads all files.
    pub fn open(settings: Settings, progress: impl FnMut(Progress)) -> Watch {
        let (sender, messages) = mpsc::channel();
        let (watcher, deaf) = match watcher(sender.clone()) {
            Ok(watcher) => (Some(watcher), None),
            Err(error) => (None, Some(deaf(&error))),
        };
        let paths = settings.paths.clone();
        let mut watched = Watched { watcher, deaf, directories: HashMap::new() };
        let mut scan = Scan::of(&paths);
        // What was made before its directory was watched was not told of: look again until nothing is new.
        while watched.follow(&paths, &scan) {
            scan = Scan::of(&paths);
        }
        let files = Files::open_scanned(settings, scan, progress);
        let Watched { watcher, deaf, directories } = watched;
        let (dirty, last_look) = (Dirty::default(), Instant::now());
        Watch {
            files,
            paths,
            watcher,
            watched: directories,
            messages,
            sender,
            dirty,
            first: true,
            stopped: false,
            deaf,
            last_look,
        }
    }

    /// A handle that ends it.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.sender.clone())
    }

    /// The files as they are now.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Whether it was told to end.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// The next change; `None` when there was none in time, or when it was stopped.
    pub fn next_within(&mut self, timeout: Duration) -> Option<Change> {
        self.advance(Some(Instant::now() + timeout))
    }

    fn advance(&mut self, until: Option<Instant>) -> Option<Change> {
        if self.stopped {
            return None;
        }
        if std::mem::take(&mut self.first) {
            return Some(self.with_deafness(self.files.change()));
        }
        loop {
            let change = match self.wait(until) {
                Wake::Paths(paths) => {
                    let (change, walked) = self.files.refresh_paths(&paths);
                    if walked { self.follow().or(change) } else { change }
                }
                Wake::All => {
                    self.last_look = Instant::now();
                    let change = self.files.refresh();
                    self.follow().or(change)
                }
                Wake::Timeout | Wake::Stop => return None,
            };
            if let Some(change) = change {
                return Some(self.with_deafness(change));
            }
        }
    }

    /// Watches what the last walk found. The change is all that happened since the last one that the caller saw, because
    /// what was found in new directories comes on top.
    fn follow(&mut self) -> Option<Change> {
        let mut before = None;
        let directories = std::mem::take(&mut self.watched);
        let mut watched = Watched { watcher: self.watcher.take(), deaf: self.deaf.take(), directories };
        while watched.follow(&self.paths, self.files.scan()) {
            if let Some(change) = self.files.refresh() {
                before = Some(match before {
                    None => change,
                    Some(earlier) => merged(earlier, change),
                });
            }
        }
        Watched { watcher: self.watcher, deaf: self.deaf, directories: self.watched } = watched;
        before
    }

    fn wait(&mut self, until: Option<Instant>) -> Wake {
        loop {
            let now = Instant::now();
            if self.dirty.is_due(now) {
                return self.settle();
            }
            let look = self.look_every().map(|every| self.last_look + every);
            if look.is_some_and(|look| look <= now) {
                return Wake::All;
            }
            if until.is_some_and(|until| until <= now) {
                return Wake::Timeout;
            }
            let next = [self.dirty.due(), look, until].into_iter().flatten().min();
            let message = match next {
                Some(next) => self.messages.recv_timeout(next - now),
                None => self.messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match message {
                Ok(message) => {
                    if self.note(message) {
                        return Wake::Stop;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Wake::Stop,
            }
        }
    }

    /// Takes what comes at the same time together: until nothing came for [`QUIET`], at most for [`BURST`].
    fn settle(&mut self) -> Wake {
        let end = Instant::now() + BURST;
        loop {
            let now = Instant::now();
            match self.messages.recv_timeout(QUIET.min(end.saturating_duration_since(now))) {
                Ok(message) => {
                    if self.note(message) {
                        return Wake::Stop;
                    }
                }
                Err(_) => break,
            }
        }
        match self.dirty.take(Instant::now()) {
            Some(paths) => Wake::Paths(paths),
            None => Wake::All,
        }
    }

    /// Says whether to stop.
    fn note(&mut self, message: Message) -> bool {
        match message {
            Message::Event(event) => {
                for path in self.dirty.note(&event, Instant::now()) {
                    // The watch is gone with the directory, even if one of the same name or inode comes again.
                    self.watched.remove(path);
                }
                false
            }
            Message::Lost => {
                self.dirty.all(Instant::now());
                false
            }
            Message::Stop => {
                self.stopped = true;
                true
            }
        }
    }

    fn look_every(&self) -> Option<Duration> {
        match (self.files.is_blind(), &self.deaf) {
            (true, _) => Some(LOOK_BLIND),
            (false, Some(_)) => Some(LOOK_DEAF),
            (false, None) => None,
        }
    }

    fn with_deafness(&self, mut change: Change) -> Change {
        change.problems.extend(self.deaf.clone());
        change
    }
}

impl Iterator for Watch {
    type Item = Change;

    /// Waits for the next change; `None` after [`Stopper::stop`].
    fn next(&mut self) -> Option<Change> {
        self.advance(None)
    }
}

/// What is watched, and whether all of it could be.
struct Watched {
    watcher: Option<RecommendedWatcher>,
    deaf: Option<Problem>,
    directories: HashMap<PathBuf, (u64, u64)>,
}

impl Watched {
    /// Watches what a walk found, and the parents of the given paths. Says whether something is watched that was not.
    fn follow(&mut self, paths: &[PathBuf], scan: &Scan) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let mut seen = HashSet::new();
        let mut wanted: HashMap<PathBuf, (u64, u64)> = HashMap::new();
        let parents = paths.iter().filter_map(|path| Scan::directory_of(&absolute(path)));
        for (path, inode) in scan.directories.iter().cloned().chain(parents) {
            // The same directory by two names would be told of by one of them only.
            if seen.insert(inode) {
                wanted.insert(path, inode);
            }
        }
        self.directories.retain(|path, inode| {
            let keep = wanted.get(path) == Some(inode);
            if !keep && !wanted.contains_key(path) {
                // It may be gone, and its watch with it.
                let _ = watcher.unwatch(path);
            }
            keep
        });
        let mut is_new = false;
        let mut failed = None;
        for (path, inode) in wanted {
            if self.directories.contains_key(&path) {
                continue;
            }
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.directories.insert(path, inode);
                    is_new = true;
                }
                Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => {}
                Err(error) => failed = Some(deaf(&error)),
            }
        }
        self.deaf = failed;
        is_new
    }
}

fn watcher(sender: Sender<Message>) -> notify::Result<RecommendedWatcher> {
    notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let message = match event {
            Ok(event) if event.flag() == Some(Flag::Rescan) => Message::Lost,
            Ok(event) if dirty::matters(&event.kind) => Message::Event(event),
            Ok(_) => return,
            Err(_) => Message::Lost,
        };
        // Nobody listens any more: the watch has ended.
        let _ = sender.send(message);
    })
}

fn deaf(error: &notify::Error) -> Problem {
    let every = LOOK_DEAF.as_secs();
    let problem = Problem::new(Severity::Warning, Code::Unreadable, format!("can't watch for changes: {error}"));
    problem
        .note(format!("files are looked at every {every} s instead"), None)
        .help("raise the limits fs.inotify.max_user_watches and fs.inotify.max_user_instances (sysctl)")
}

fn merged(earlier: Change, later: Change) -> Change {
    let mut changed = earlier.changed;
    changed.extend(later.changed);
    changed.sort_unstable();
    changed.dedup();
    Change { changed, ..later }
}

const QUIET: Duration = Duration::from_millis(1);
const BURST: Duration = Duration::from_millis(10);
const LOOK_BLIND: Duration = Duration::from_millis(250);
const LOOK_DEAF: Duration = Duration::from_secs(1);
