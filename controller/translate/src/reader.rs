//! Looking things up, and remembering what was looked up.

use crate::{Note, selector};
use fairlead_crds::core::Namespace;
use fairlead_crds::gateway::ReferenceGrant;
use fairlead_crds::meta::LabelSelector;
use fairlead_crds::{Kind, Typed};
use fairlead_store::{Key, World};
use foldhash::HashSet;
use std::sync::Arc;

/// An object that a result depends on, whether it exists or not. All ReferenceGrants of a namespace are one: with an empty
/// name.
pub(crate) type Dependency = (Kind, Key);

/// Looks objects up and remembers which, so that the memo knows what to do again when one of them changes.
pub(crate) struct Reader<'a> {
    pub world: &'a World,
    pub reads: HashSet<Dependency>,
    pub notes: Vec<Arc<Note>>,
}

impl<'a> Reader<'a> {
    pub fn new(world: &'a World) -> Self {
        Reader { world, reads: HashSet::default(), notes: Vec::new() }
    }

    pub fn find<T: Typed + 'a>(&mut self, key: &Key) -> Option<&'a Arc<T>> {
        self.reads.insert((T::KIND, key.clone()));
        self.world.all::<T>().get(key)
    }

    /// Whether there is an object of a kind that is known at run time only.
    pub fn exists(&mut self, kind: Kind, key: &Key) -> bool {
        self.reads.insert((kind, key.clone()));
        self.world.entry(kind, &key.namespace, &key.name).is_some()
    }

    /// Whether the labels of a namespace match. A namespace that has no object has the label that all have.
    pub fn namespace_matches(&mut self, namespace: &str, wanted: &LabelSelector) -> bool {
        match self.find::<Namespace>(&Key::cluster(namespace)) {
            Some(object) => selector::matches(wanted, &object.metadata.labels),
            None => {
                let implied = [("kubernetes.io/metadata.name", namespace)];
                selector::matches(wanted, &implied.into_iter().collect())
            }
        }
    }

    /// Whether an object of `from` (kind and namespace) may refer to `to` (group, kind and key): within a namespace always,
    /// into another one when a ReferenceGrant there says so.
    pub fn permits(&mut self, from: (Kind, &str), to: (&str, &str, &Key)) -> bool {
        let (group, kind, key) = to;
        if from.1 == &*key.namespace {
            return true;
        }
        self.reads.insert((Kind::ReferenceGrant, Key::new(key.namespace.clone(), "")));
        self.world.all::<ReferenceGrant>().namespace(&key.namespace).any(|(_, grant)| {
            let source = |f: &fairlead_crds::gateway::ReferenceGrantFrom| {
                f.group == from.0.group() && f.kind == from.0.as_str() && f.namespace == from.1
            };
            let target = |t: &fairlead_crds::gateway::ReferenceGrantTo| {
                let named = t.name.as_deref().is_none_or(|name| name.is_empty() || name == &*key.name);
                t.group == group && t.kind == kind && named
            };
            grant.spec.from.iter().any(source) && grant.spec.to.iter().any(target)
        })
    }

    pub fn note(&mut self, kind: Kind, key: &Key, path: impl Into<Box<str>>, message: impl Into<Box<str>>) {
        self.notes.push(Arc::new(Note { kind, key: key.clone(), path: path.into(), message: message.into() }));
    }
}
