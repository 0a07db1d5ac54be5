//! Secrets that are not of TLS type: many, large, and hardly ever of interest here.
//!
//! ```text
//! metadata of all ──(names, versions)──► Secrets ◄──(need)── who refers to which
//!                                           └──(GET what is both)──► World
//! ```
//!
//! So memory and traffic follow what is referred to, and a name and a version stay of each of the others.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use fairlead_crds::{Kind, Typed as _, core};
use fairlead_store::{Key, Severity};
use foldhash::fast::RandomState;
use futures_util::stream::{self, StreamExt as _};
use kube::Client;
use kube::api::GetParams;
use kube::core::Request;
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Settings;
use crate::follow::{self, Item, Sink};
use crate::objects::{self, Objects};
use crate::origin::{Origin, TLS};
use crate::raw::Raw;
use crate::retry::Retry;
use crate::shared::{Shared, State};

/// What is known of them.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    /// All there are, with their versions.
    there: HashMap<Key, Versions, RandomState>,
    needed: HashSet<Key, RandomState>,
    /// Those that are both and have not been read at all.
    unread: HashSet<Key, RandomState>,
}

#[derive(Debug)]
struct Versions {
    /// As it is.
    now: Box<str>,
    /// As it was read.
    read: Option<Box<str>>,
}

impl Secrets {
    /// Those that are to be read.
    fn due(&self) -> Vec<Key> {
        let each = self
            .needed
            .iter()
            .filter(|key| self.there.get(*key).is_some_and(|versions| versions.read.as_ref() != Some(&versions.now)));
        each.cloned().collect()
    }

    /// Whether one is needed, there, and not read at all.
    pub fn lacks(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Looks at one again whose state is another now.
    fn note(&mut self, key: &Key) {
        let unread = self.there.get(key).is_some_and(|versions| versions.read.is_none());
        if unread && self.needed.contains(key) {
            self.unread.insert(key.clone());
        } else {
            self.unread.remove(key);
        }
    }
}

/// See [`Watch::need`](crate::Watch::need).
pub(crate) fn need(shared: &Shared, secrets: impl IntoIterator<Item = Key>) -> bool {
    let lacks = shared.edit(|state| {
        let needed: HashSet<Key, RandomState> = secrets.into_iter().collect();
        let dropped: Vec<Key> = state.secrets.needed.difference(&needed).cloned().collect();
        state.secrets.needed = needed;
        for key in dropped {
            drop_one(state, &key);
        }
        let Secrets { there, needed, unread } = &mut state.secrets;
        let lacks = |key: &&Key| there.get(*key).is_some_and(|versions| versions.read.is_none());
        *unread = needed.iter().filter(lacks).cloned().collect();
        state.secrets.lacks()
    });
    shared.secrets.notify_one();
    lacks
}

/// Whether a Secret that the World has is not of TLS type.
pub(crate) fn is_other(state: &State, kind: Kind, key: &Key) -> bool {
    kind == Kind::Secret
        && state.editor.world().entry(kind, &key.namespace, &key.name).is_some_and(|entry| {
            core::Secret::of(&entry.object).is_some_and(|secret| secret.type_.as_deref() != Some(TLS))
        })
}

/// Forgets what a Secret holds.
fn drop_one(state: &mut State, key: &Key) {
    if let Some(versions) = state.secrets.there.get_mut(key) {
        versions.read = None;
    }
    if is_other(state, Kind::Secret, key) {
        state.editor.remove(Kind::Secret, key);
        state.problem(Kind::Secret, key, None);
    }
}

/// Reads them for ever.
pub(crate) async fn read(client: Client, settings: Settings, shared: Arc<Shared>) {
    let mut watches = JoinSet::new();
    for origin in Origin::other_secrets(&settings) {
        shared.edit(|state| state.expect(origin.clone()));
        let collection = origin.collection(Kind::Secret.version());
        let sink = Names { shared: shared.clone(), origin: origin.clone(), staged: HashMap::default() };
        watches.spawn(follow::follow(client.clone(), origin, collection, shared.clone(), sink));
    }
    let mut retry = Retry::default();
    loop {
        let due = shared.edit(|state| state.secrets.due());
        if due.is_empty() {
            shared.secrets.notified().await;
            continue;
        }
        let mut answers = stream::iter(due)
            .map(|key| {
                let (client, shared) = (client.clone(), shared.clone());
                async move { fetch(&client, &shared, key).await }
            })
            .buffer_unordered(PARALLEL);
        let mut failed = false;
        while let Some(answer) = answers.next().await {
            failed |= answer.is_err();
        }
        if failed {
            sleep(retry.delay()).await;
        } else {
            retry.reset();
        }
    }
}

async fn fetch(client: &Client, shared: &Arc<Shared>, key: Key) -> Result<(), ()> {
    // Where a Secret is told of decides where its problem is.
    let origin = Origin::Objects(Kind::Secret, Some(key.namespace.clone()));
    let request = Request::new(format!("/api/v1/namespaces/{}/secrets", key.namespace));
    let request = request.get(&key.name, &GetParams::default()).map_err(|_| ())?;
    let text = match follow::request_text(client, request).await {
        Ok(text) => text,
        // The watch tells.
        Err(follow::Refusal { is_absent: true, .. }) => {
            shared.edit(|state| {
                state.secrets.there.remove(&key);
                state.secrets.note(&key);
            });
            return Ok(());
        }
        Err(refusal) => {
            let message = format!("can't read Secret {key}: {}", refusal.why);
            shared.board.report(&origin, refusal.cause, Severity::Error, message);
            return Err(());
        }
    };
    let Ok(raw) = serde_json::from_str::<Raw>(&text) else {
        // The place only: it is a Secret.
        let message = format!("can't read Secret {key}: an answer that is not as expected");
        shared.board.report(&origin, crate::Cause::Unreachable, Severity::Error, message);
        return Err(());
    };
    drop(text);
    shared.board.solve(&origin);
    let version: Box<str> = raw.resource_version.clone();
    let read = Objects::new(shared.clone(), Kind::Secret, origin, Kind::Secret.version()).read(raw);
    shared.edit(|state| {
        let needed = state.secrets.needed.contains(&key);
        let Some(versions) = state.secrets.there.get_mut(&key).filter(|_| needed) else { return };
        // It may be later than what the watch has told.
        versions.now = version.clone();
        versions.read = Some(version);
        state.secrets.note(&key);
        objects::put(state, Kind::Secret, read);
    });
    Ok(())
}

/// Takes names and versions.
struct Names {
    shared: Arc<Shared>,
    origin: Origin,
    staged: HashMap<(Box<str>, Box<str>), Box<str>, RandomState>,
}

/// The metadata of a Secret.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Name {
    metadata: Metadata,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: Box<str>,
    namespace: Box<str>,
    resource_version: Box<str>,
}

impl Item for Name {
    fn version(&self) -> &str {
        &self.metadata.resource_version
    }
}

impl Sink for Names {
    type Item = Name;

    fn begin(&mut self) {
        self.staged.clear();
    }

    fn page(&mut self, items: Vec<Name>) {
        let each =
            items.into_iter().map(|Name { metadata }| ((metadata.namespace, metadata.name), metadata.resource_version));
        self.staged.extend(each);
    }

    fn listed(&mut self) {
        let staged = std::mem::take(&mut self.staged);
        self.shared.edit(|state| {
            let mut listed: HashSet<Key, RandomState> = HashSet::default();
            for ((namespace, name), version) in staged {
                let key = state.key(&namespace, &name);
                there(state, key.clone(), version);
                listed.insert(key);
            }
            let here = |key: &Key| self.origin.namespace().is_none_or(|namespace| *namespace == key.namespace);
            let known = state.secrets.there.keys().filter(|key| here(key) && !listed.contains(*key));
            let gone: Vec<Key> = known.cloned().collect();
            gone.iter().for_each(|key| lose(state, key));
            state.listed(&self.origin);
        });
        self.shared.secrets.notify_one();
    }

    fn put(&mut self, item: Name) {
        let Metadata { name, namespace, resource_version } = item.metadata;
        let is_needed = self.shared.edit(|state| {
            let key = state.key(&namespace, &name);
            let is_needed = state.secrets.needed.contains(&key);
            there(state, key, resource_version);
            is_needed
        });
        if is_needed {
            self.shared.secrets.notify_one();
        }
    }

    fn remove(&mut self, item: Name) {
        self.shared.edit(|state| {
            let key = state.key(&item.metadata.namespace, &item.metadata.name);
            lose(state, &key);
        });
    }
}

fn there(state: &mut State, key: Key, version: Box<str>) {
    match state.secrets.there.get_mut(&key) {
        Some(versions) => versions.now = version,
        None => {
            state.secrets.there.insert(key.clone(), Versions { now: version, read: None });
            state.secrets.note(&key);
        }
    }
}

fn lose(state: &mut State, key: &Key) {
    drop_one(state, key);
    state.secrets.there.remove(key);
    state.secrets.note(key);
}

/// Secrets that are read at a time.
const PARALLEL: usize = 8;
