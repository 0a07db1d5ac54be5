//! Objects of one origin → the World.

use std::collections::HashSet;
use std::sync::Arc;

use fairlead_crds::{Kind, Object, ParseError};
use fairlead_store::{Code, Key, Problem, Stored, digest};
use foldhash::fast::RandomState;

use crate::follow::Sink;
use crate::origin::Origin;
use crate::raw::{Raw, Slim};
use crate::secrets;
use crate::shared::{Shared, State};

pub(crate) struct Objects {
    shared: Arc<Shared>,
    kind: Kind,
    origin: Origin,
    api_version: String,
    /// Of a list that is not complete yet.
    staged: Vec<Read>,
}

/// An object as it is now.
pub(crate) struct Read {
    key: Key,
    stored: Option<Arc<Stored>>,
    content: Content,
}

enum Content {
    /// As it was.
    Same,
    New(Object, u64),
    /// Not usable.
    Broken(ParseError),
}

impl Objects {
    /// Of a version of the kind's group.
    pub fn new(shared: Arc<Shared>, kind: Kind, origin: Origin, version: &str) -> Self {
        let api_version = match kind.group() {
            "" => version.to_owned(),
            group => format!("{group}/{version}"),
        };
        Objects { shared, kind, origin, api_version, staged: Vec::new() }
    }

    /// What an object is now.
    pub fn read(&self, raw: Raw) -> Read {
        let kind = self.kind;
        let (key, before) = self.shared.edit(|state| {
            let key = state.key(raw.namespace(), raw.name());
            let before = state.editor.world().entry(kind, &key.namespace, &key.name);
            let before = before.map(fairlead_store::Entry::digest);
            (key, before)
        });
        let Slim { value, stored } = raw.slim(kind, &self.api_version);
        let digest = digest(&value);
        let content = match before {
            Some(before) if before == digest => Content::Same,
            _ => match Object::parse(kind, value) {
                Ok(object) => Content::New(object, digest),
                Err(error) => Content::Broken(error),
            },
        };
        Read { key, stored, content }
    }
}

impl Sink for Objects {
    type Item = Raw;

    fn begin(&mut self) {
        self.staged.clear();
    }

    fn page(&mut self, items: Vec<Raw>) {
        for item in items {
            let read = self.read(item);
            self.staged.push(read);
        }
    }

    fn listed(&mut self) {
        let (kind, staged) = (self.kind, std::mem::take(&mut self.staged));
        let listed: HashSet<Key, RandomState> = staged.iter().map(|read| read.key.clone()).collect();
        self.shared.edit(|state| {
            staged.into_iter().for_each(|read| put(state, kind, read));
            remove(state, &self.origin, |key| !listed.contains(key));
            state.listed(&self.origin);
        });
    }

    fn put(&mut self, item: Raw) {
        let read = self.read(item);
        self.shared.edit(|state| put(state, self.kind, read));
    }

    fn remove(&mut self, item: Raw) {
        self.shared.edit(|state| {
            let key = state.key(item.namespace(), item.name());
            // One of another type may have come in its place.
            if !secrets::is_other(state, self.kind, &key) {
                state.editor.remove(self.kind, &key);
                state.problem(self.kind, &key, None);
            }
        });
    }
}

/// Takes all objects of an origin away that are wanted no more.
pub(crate) fn remove(state: &mut State, origin: &Origin, unwanted: impl Fn(&Key) -> bool) {
    let Some(kind) = origin.kind() else { return };
    let is_of = |key: &Key| match origin.namespace() {
        Some(name) if kind == Kind::Namespace => key.name == *name,
        Some(namespace) => key.namespace == *namespace,
        None => true,
    };
    let keys = state.editor.world().entries(kind).map(|(key, _)| key).chain(state.troubled(kind));
    let listed = |key: &Key| is_of(key) && !secrets::is_other(state, kind, key);
    let gone: Vec<Key> = keys.filter(|key| listed(key) && unwanted(key)).cloned().collect();
    for key in gone {
        state.editor.remove(kind, &key);
        state.problem(kind, &key, None);
    }
}

/// Puts what was read into the World.
pub(crate) fn put(state: &mut State, kind: Kind, read: Read) {
    let Read { key, stored, content } = read;
    match content {
        Content::Same => {
            state.problem(kind, &key, None);
            state.editor.restate(kind, key, stored);
        }
        Content::New(object, digest) => {
            state.problem(kind, &key, None);
            state.editor.put(key, object, digest, stored);
        }
        Content::Broken(error) => {
            let has_good = state.editor.world().entry(kind, &key.namespace, &key.name).is_some();
            state.problem(kind, &key, Some(problem(kind, &key, &error, has_good)));
            // A status can still be written, of the generation that is in use.
            state.editor.restate(kind, key, stored);
        }
    }
}

fn problem(kind: Kind, key: &Key, error: &ParseError, has_good: bool) -> Problem {
    let path = if error.path == "." { String::new() } else { format!("{}: ", error.path) };
    let problem = Problem::error(Code::WrongType, format!("{kind} {key}: {path}{}", error.message));
    let problem = problem.of(kind, key.clone());
    match has_good {
        true => problem.note("the last good version stays in use", None),
        false => problem,
    }
}
