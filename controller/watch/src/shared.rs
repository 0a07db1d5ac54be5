//! What the watches of all kinds write and [`Watch::next`](crate::Watch::next) reads.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fairlead_crds::Kind;
use fairlead_store::{Change, Editor, Key, Problem};
use foldhash::fast::RandomState;
use tokio::sync::Notify;

use crate::health::Board;
use crate::origin::Origin;
use crate::secrets::Secrets;

#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub board: Board,
    state: Mutex<State>,
    wake: Notify,
    /// Other Secrets are asked for, or there are others.
    pub secrets: Notify,
    stopped: AtomicBool,
}

/// All objects as they are now, and what was not told yet.
#[derive(Debug)]
pub(crate) struct State {
    pub editor: Editor,
    /// Of objects that can't be used.
    problems: BTreeMap<(Kind, Key), Problem>,
    /// Names of namespaces, one for all keys.
    namespaces: HashSet<Arc<str>, RandomState>,
    /// Who has not listed yet.
    waiting: HashSet<Origin, RandomState>,
    bundle: Option<Arc<str>>,
    /// Whether the Gateway API's CRDs are those of the experimental channel.
    experimental: bool,
    /// Kinds of Kubernetes that not every cluster has and this one does.
    served: BTreeSet<Kind>,
    /// Secrets that are read when they are asked for.
    pub secrets: Secrets,
    /// Whether the first change was told.
    told: bool,
    /// Whether something else than objects changed.
    dirty: bool,
    /// Whether what is restated waited long enough.
    quietly: bool,
}

/// Whether there is something to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    /// Only statuses were written.
    Restated,
    /// Only statuses were written, some time ago.
    Quietly,
    Changed,
}

impl Default for State {
    fn default() -> Self {
        State {
            editor: Editor::default(),
            problems: BTreeMap::new(),
            namespaces: HashSet::default(),
            waiting: [Origin::Definitions].into_iter().collect(),
            bundle: None,
            experimental: false,
            served: BTreeSet::new(),
            secrets: Secrets::default(),
            told: false,
            dirty: true,
            quietly: false,
        }
    }
}

impl Shared {
    /// Changes something; whoever waits for a change is woken when there is one.
    pub fn edit<T>(&self, edit: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let before = state.due();
        let result = edit(&mut state);
        let after = state.due();
        drop(state);
        if after != before {
            self.wake.notify_one();
        }
        result
    }

    pub fn due(&self) -> Due {
        self.lock().due()
    }

    pub fn quietly(&self) {
        self.lock().quietly = true;
    }

    pub fn take(&self) -> Change {
        self.lock().take()
    }

    pub fn bundle(&self) -> Option<Arc<str>> {
        self.lock().bundle.clone()
    }

    pub fn is_experimental(&self) -> bool {
        self.lock().experimental
    }

    pub fn serves(&self, kind: Kind) -> bool {
        self.lock().served.contains(&kind)
    }

    /// Waits until there may be something to tell.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The key of an object; names of namespaces are shared.
    pub fn key(&mut self, namespace: &str, name: &str) -> Key {
        let namespace = match self.namespaces.get(namespace) {
            Some(known) => known.clone(),
            None => {
                let new: Arc<str> = namespace.into();
                self.namespaces.insert(new.clone());
                new
            }
        };
        Key::new(namespace, name)
    }

    /// The first change waits for a list of this.
    pub fn expect(&mut self, origin: Origin) {
        self.waiting.insert(origin);
    }

    /// The first change does not wait for a list of this any more.
    pub fn listed(&mut self, origin: &Origin) {
        self.waiting.remove(origin);
    }

    /// Says that an object can't be used as it is now, or that it can.
    pub fn problem(&mut self, kind: Kind, key: &Key, problem: Option<Problem>) {
        if problem.is_none() && self.problems.is_empty() {
            return;
        }
        let object = (kind, key.clone());
        self.dirty |= match problem {
            Some(problem) if self.problems.get(&object) == Some(&problem) => false,
            Some(problem) => {
                self.problems.insert(object, problem);
                true
            }
            None => self.problems.remove(&object).is_some(),
        };
    }

    /// The objects of a kind that have a problem.
    pub fn troubled(&self, kind: Kind) -> impl Iterator<Item = &Key> {
        self.problems.keys().filter(move |(of, _)| *of == kind).map(|(_, key)| key)
    }

    pub fn set_bundle(&mut self, bundle: Option<Arc<str>>) {
        if self.bundle != bundle {
            self.bundle = bundle;
            self.dirty = true;
        }
    }

    pub fn set_experimental(&mut self, experimental: bool) {
        self.dirty |= std::mem::replace(&mut self.experimental, experimental) != experimental;
    }

    pub fn set_served(&mut self, kind: Kind, served: bool) {
        self.dirty |= if served { self.served.insert(kind) } else { self.served.remove(&kind) };
    }

    fn due(&self) -> Due {
        if !self.told && !self.waiting.is_empty() {
            Due::Nothing
        } else if self.dirty || self.editor.has_changed() {
            Due::Changed
        } else if self.editor.is_clean() {
            Due::Nothing
        } else if self.quietly {
            Due::Quietly
        } else {
            Due::Restated
        }
    }

    fn take(&mut self) -> Change {
        self.told = true;
        self.dirty = false;
        self.quietly = false;
        self.editor.take(self.problems.values().cloned().collect())
    }
}
