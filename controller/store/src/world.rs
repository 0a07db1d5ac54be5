//! The immutable picture of all objects.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fairlead_crds::{Kind, Object, Typed};
use imbl::OrdMap;
use serde_json::value::RawValue;

use crate::key::Borrowed;
use crate::{Key, Problem};

/// An immutable picture of all objects, one map per kind. Cheap to clone: maps share what did not change, and an object
/// that did not change is the same `Arc` in every later World.
///
/// ```
/// use fairlead_crds::gateway::HTTPRoute;
/// # let world = fairlead_store::World::default();
/// for (key, route) in world.all::<HTTPRoute>().iter() {
///     println!("{key} {:?}", route.spec.hostnames);
/// }
/// ```
#[derive(Clone, Default)]
pub struct World {
    kinds: Arc<[OrdMap<Key, Entry>; KINDS]>,
}

const KINDS: usize = Kind::ALL.len();

/// An object and where it was read.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The object; defaults filled, `metadata.namespace` and `metadata.generation` set.
    pub object: Object,
    /// `None` for objects that are implied, as the Namespace of an object whose Namespace is not given, and for those of
    /// an API server.
    pub source: Option<Source>,
    /// What only an API server knows; `None` for objects of files and of kinds whose status is not ours to write.
    pub stored: Option<Arc<Stored>>,
    /// From files: a hash of all but metadata and status. From an API server: of all that is kept.
    pub(crate) spec: u64,
    pub(crate) revision: u64,
}

/// An object as an API server stores it, beyond what planning reads.
#[derive(Clone, Debug)]
pub struct Stored {
    /// `metadata.uid`: another one is another object, even of the same name.
    pub uid: Box<str>,
    /// `metadata.resourceVersion`: of this very state; what a write that must not undo another one names.
    pub resource_version: Box<str>,
    /// `status`, as its JSON text; `None` when the object has none.
    pub status: Option<Arc<RawValue>>,
}

/// Where an object stands: a file and a line. It follows the object when lines are inserted above it.
#[derive(Clone, Debug)]
pub struct Source {
    file: Arc<str>,
    document: Arc<AtomicU32>,
    offset: u32,
    item: Option<NonZeroU32>,
}

/// All objects of one kind, by [`Key`].
pub struct Keyed<'a, T> {
    map: &'a OrdMap<Key, Entry>,
    kind: PhantomData<fn() -> T>,
}

/// What a change of the files, or of what an API server stores, did.
#[derive(Clone, Debug)]
pub struct Change {
    /// All objects as they are now.
    pub world: World,
    /// What is new, different or gone, ordered by kind and key.
    pub changed: Vec<(Kind, Key)>,
    /// Where only [`Entry::stored`] is another: a status was written. Nothing of it is in `changed`; ordered by kind and
    /// key, empty for files.
    pub restated: Vec<(Kind, Key)>,
    /// All problems that the input has now, in the order of files and lines, or of kinds and keys.
    pub problems: Vec<Problem>,
}

impl Entry {
    /// A number that the object keeps as long as it does not change, and that no other version of it has.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The digest that [`Editor::put`](crate::Editor::put) was told.
    pub fn digest(&self) -> u64 {
        self.spec
    }
}

impl World {
    /// The objects of type `T`.
    pub fn all<T: Typed>(&self) -> Keyed<'_, T> {
        Keyed { map: self.map(T::KIND), kind: PhantomData }
    }

    /// An object of a kind that is known at run time only.
    pub fn entry(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Entry> {
        self.map(kind).get(&Borrowed(namespace, name))
    }

    /// The objects of a kind that is known at run time only, ordered by key.
    pub fn entries(&self, kind: Kind) -> impl ExactSizeIterator<Item = (&Key, &Entry)> {
        self.map(kind).iter()
    }

    /// Where an object was read; `None` when it is implied or does not exist.
    pub fn source(&self, kind: Kind, key: &Key) -> Option<&Source> {
        self.map(kind).get(key)?.source.as_ref()
    }

    /// Number of objects of all kinds, implied ones included.
    pub fn len(&self) -> usize {
        self.kinds.iter().map(OrdMap::len).sum()
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no object of the kind differs. Fast: never compares objects; may say `false` for equal maps.
    pub fn same(&self, other: &World, kind: Kind) -> bool {
        self.map(kind).ptr_eq(other.map(kind))
    }

    /// A World of given objects, for tests and tools. A later object replaces an earlier one of the same name.
    pub fn of(objects: impl IntoIterator<Item = Object>) -> World {
        let mut world = World::default();
        for object in objects {
            let key = Key::new(object.namespace().unwrap_or_default(), object.name());
            world.insert(object.kind(), key, Entry { object, source: None, stored: None, spec: 0, revision: 0 });
        }
        world
    }

    pub(crate) fn insert(&mut self, kind: Kind, key: Key, entry: Entry) {
        Arc::make_mut(&mut self.kinds)[kind as usize].insert(key, entry);
    }

    pub(crate) fn remove(&mut self, kind: Kind, key: &Key) -> Option<Entry> {
        if !self.map(kind).contains_key(key) {
            return None;
        }
        Arc::make_mut(&mut self.kinds)[kind as usize].remove(key)
    }

    fn map(&self, kind: Kind) -> &OrdMap<Key, Entry> {
        &self.kinds[kind as usize]
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = Kind::ALL.iter().filter(|kind| !self.map(**kind).is_empty());
        f.debug_map().entries(kinds.map(|kind| (kind, self.map(*kind).len()))).finish()
    }
}

impl<'a, T: Typed + 'a> Keyed<'a, T> {
    /// The object of a key.
    pub fn get(&self, key: &Key) -> Option<&'a Arc<T>> {
        T::of(&self.map.get(key)?.object)
    }

    /// The object of a name; the namespace is empty for cluster-wide kinds.
    pub fn find(&self, namespace: &str, name: &str) -> Option<&'a Arc<T>> {
        T::of(&self.map.get(&Borrowed(namespace, name))?.object)
    }

    /// Where an object was read.
    pub fn source(&self, key: &Key) -> Option<&'a Source> {
        self.map.get(key)?.source.as_ref()
    }

    /// All, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = (&'a Key, &'a Arc<T>)> + use<'a, T> {
        self.map.iter().filter_map(|(key, entry)| Some((key, T::of(&entry.object)?)))
    }

    /// Those of one namespace, ordered by name.
    pub fn namespace<'n>(&self, namespace: &'n str) -> impl Iterator<Item = (&'a Key, &'a Arc<T>)> + use<'a, 'n, T> {
        let from = (Bound::Included(Borrowed(namespace, "")), Bound::Unbounded);
        let all = self.map.range::<_, Borrowed<'n>>(from).take_while(move |(key, _)| &*key.namespace == namespace);
        all.filter_map(|(key, entry)| Some((key, T::of(&entry.object)?)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }
}

impl Source {
    pub(crate) fn new(file: Arc<str>, document: Arc<AtomicU32>, offset: u32, item: Option<NonZeroU32>) -> Self {
        Source { file, document, offset, item }
    }

    /// The file's path, as it was given or found below the given directory.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line on which the object begins, from 1.
    pub fn line(&self) -> u32 {
        self.document.load(Ordering::Relaxed) + self.offset
    }

    /// Which element of its document's `items` the object is, from 1; several may begin on one line.
    pub(crate) fn item(&self) -> Option<NonZeroU32> {
        self.item
    }
}

/// `file:line`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line())
    }
}
