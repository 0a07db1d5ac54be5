//! A World that is changed object by object.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;

use fairlead_crds::{Kind, Object};

use crate::files::revision;
use crate::{Change, Entry, Key, Problem, Stored, World};

/// Makes a [`World`] of objects that come one at a time, and remembers what it did until that is taken as a [`Change`].
///
/// ```
/// use fairlead_crds::{Kind, Object};
/// use fairlead_store::{Editor, Effect, Key};
///
/// let mut editor = Editor::default();
/// let value = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
/// let shop = Object::parse(Kind::Namespace, value)?;
/// assert_eq!(editor.put(Key::cluster("shop"), shop.clone(), 1, None), Effect::Changed);
/// assert_eq!(editor.put(Key::cluster("shop"), shop, 1, None), Effect::None);
/// let change = editor.take(Vec::new());
/// assert_eq!((change.changed.len(), change.world.len()), (1, 1));
/// # Ok::<(), fairlead_crds::ParseError>(())
/// ```
#[derive(Debug, Default)]
pub struct Editor {
    world: World,
    changed: BTreeSet<(Kind, Key)>,
    restated: BTreeSet<(Kind, Key)>,
}

/// What an edit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing is another than before.
    None,
    /// The object is the same, [`Entry::stored`] is another.
    Restated,
    /// The object is new, different or gone.
    Changed,
}

impl Editor {
    /// The objects as they are now.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Whether nothing happened since the last [`take`](Editor::take).
    pub fn is_clean(&self) -> bool {
        self.changed.is_empty() && self.restated.is_empty()
    }

    /// Whether an object changed since the last [`take`](Editor::take): one that is only restated does not count.
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Puts an object there. One that equals what is there keeps its `Arc` and its revision.
    ///
    /// `digest` stands for the object: it can be asked for with [`Entry::digest`], to see beforehand that nothing changed.
    pub fn put(&mut self, key: Key, object: Object, digest: u64, stored: Option<Arc<Stored>>) -> Effect {
        let kind = object.kind();
        let Some(before) = self.world.entry(kind, &key.namespace, &key.name) else {
            self.insert(key, Entry { object, source: None, stored, spec: digest, revision: revision() });
            return Effect::Changed;
        };
        if before.object != object {
            self.insert(key, Entry { object, source: None, stored, spec: digest, revision: revision() });
            return Effect::Changed;
        }
        if before.spec != digest {
            let entry = Entry { stored, spec: digest, ..before.clone() };
            return self.replace(key, entry);
        }
        self.restate(kind, key, stored)
    }

    /// Keeps an object and says how it is stored now. Does nothing when there is no such object.
    pub fn restate(&mut self, kind: Kind, key: Key, stored: Option<Arc<Stored>>) -> Effect {
        match self.world.entry(kind, &key.namespace, &key.name) {
            Some(before) if !same(before.stored.as_deref(), stored.as_deref()) => {
                let entry = Entry { stored, ..before.clone() };
                self.replace(key, entry)
            }
            _ => Effect::None,
        }
    }

    /// Takes an object away.
    pub fn remove(&mut self, kind: Kind, key: &Key) -> Effect {
        if self.world.remove(kind, key).is_none() {
            return Effect::None;
        }
        self.changed.insert((kind, key.clone()));
        Effect::Changed
    }

    /// All that happened since the last time. Where an object was both changed and restated, it is changed.
    pub fn take(&mut self, problems: Vec<Problem>) -> Change {
        let changed = mem::take(&mut self.changed);
        let restated = mem::take(&mut self.restated).into_iter().filter(|object| !changed.contains(object)).collect();
        Change { world: self.world.clone(), changed: changed.into_iter().collect(), restated, problems }
    }

    fn insert(&mut self, key: Key, entry: Entry) {
        let kind = entry.object.kind();
        self.changed.insert((kind, key.clone()));
        self.world.insert(kind, key, entry);
    }

    /// Puts an entry of the same object there.
    fn replace(&mut self, key: Key, entry: Entry) -> Effect {
        let kind = entry.object.kind();
        let before = self.world.entry(kind, &key.namespace, &key.name);
        let is_same = before.is_some_and(|before| same(before.stored.as_deref(), entry.stored.as_deref()));
        if !is_same {
            self.restated.insert((kind, key.clone()));
        }
        self.world.insert(kind, key, entry);
        if is_same { Effect::None } else { Effect::Restated }
    }
}

fn same(one: Option<&Stored>, other: Option<&Stored>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.resource_version == other.resource_version && one.uid == other.uid,
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
