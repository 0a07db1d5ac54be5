//! What translation gives.

use crate::StatusSet;
use crate::fleet::Fleet;
use fairlead_crds::Kind;
use fairlead_ir::Config;
use fairlead_store::Key;
use imbl::OrdMap;
use serde::{Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// What follows from the objects: what to serve, and what to say about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What the proxies serve.
    pub config: Config,
    /// What `status` of each object of ours says.
    pub status: StatusSet,
    /// What runs the proxies of each Gateway, in a cluster.
    pub fleet: OrdMap<Key, Arc<Fleet>>,
    /// What is worth a warning and has no condition, ordered by object.
    pub notes: Vec<Arc<Note>>,
}

/// A warning about an object: something is ignored, unknown or about to fail, and no condition says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Kind of the object.
    #[serde(serialize_with = "as_str")]
    pub kind: Kind,
    /// Its namespace and name.
    #[serde(serialize_with = "as_text")]
    pub key: Key,
    /// Field path, such as `spec.rules[0].filters[1]`.
    pub path: Box<str>,
    /// What, and what to do.
    pub message: Box<str>,
}

fn as_str<S: Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.as_str())
}

fn as_text<S: Serializer>(key: &Key, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(key)
}

/// `HTTPRoute shop/cart: spec.rules[0]: …`.
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}: {}", self.kind, self.key, self.path, self.message)
    }
}
