//! What an object is called.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use equivalent::{Comparable, Equivalent};

/// Namespace and name of an object; unique within its kind. Ordered by namespace, then name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Empty for kinds that live in no namespace.
    pub namespace: Arc<str>,
    /// Never empty in a [`World`](crate::World).
    pub name: Arc<str>,
}

impl Key {
    /// The key of an object in a namespace.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Key { namespace: namespace.into(), name: name.into() }
    }

    /// The key of a cluster-wide object.
    pub fn cluster(name: impl Into<Arc<str>>) -> Self {
        Key::new("", name)
    }
}

/// `namespace/name`, or the name alone.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// A key to look for, without an allocation.
pub(crate) struct Borrowed<'a>(pub &'a str, pub &'a str);

impl Equivalent<Key> for Borrowed<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.compare(key) == Ordering::Equal
    }
}

impl Comparable<Key> for Borrowed<'_> {
    fn compare(&self, key: &Key) -> Ordering {
        self.0.cmp(&key.namespace).then_with(|| self.1.cmp(&key.name))
    }
}
