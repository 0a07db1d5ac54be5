//! Resources as they travel: the envelope names kind and id, the payload is the IR's serde form in JSON.
//!
//! JSON because it names its fields (an older reader skips those it does not know), because people can read it in a dump, and because
//! it costs little: see `measures_a_first_push` in `controller/publish`.

use crate::proto;
use fairlead_ir::{Id, Resource, ResourceId, Secret};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// The kinds that this program knows, in the order of upserts.
pub const KINDS: [&str; 5] = ["secret", "endpoints", "cluster", "route", "listener"];

/// Why a resource can't be understood. Others are not affected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// The sender is newer.
    #[error("this proxy does not know the kind `{0}`")]
    Kind(String),
    /// A value is unknown (the sender is newer) or wrong.
    #[error("{0}")]
    Payload(String),
    /// The envelope names another resource than the payload.
    #[error("the envelope names `{envelope}`, the payload `{payload}`")]
    Name {
        /// Id of the envelope.
        envelope: String,
        /// Id of the payload.
        payload: String,
    },
}

/// Puts a resource into its envelope.
///
/// # Errors
/// When it has no JSON form; none of the IR's types is so.
pub fn encode(resource: &Resource) -> Result<proto::Resource, serde_json::Error> {
    fn seal<T: Serialize>(kind: &str, id: &Id, resource: &T) -> Result<proto::Resource, serde_json::Error> {
        let payload = serde_json::to_vec(resource)?.into();
        Ok(proto::Resource { kind: kind.into(), id: id.to_string(), payload })
    }
    match resource {
        Resource::Secret(r) => seal(KINDS[0], &r.id, &**r),
        Resource::Endpoints(r) => seal(KINDS[1], &r.id, &**r),
        Resource::Cluster(r) => seal(KINDS[2], &r.id, &**r),
        Resource::Route(r) => seal(KINDS[3], &r.id, &**r),
        Resource::Listener(r) => seal(KINDS[4], &r.id, &**r),
    }
}

/// Takes a resource out of its envelope. Unknown fields are passed over.
///
/// # Errors
/// When it is of an unknown kind, or has values that this program does not know.
pub fn decode(sealed: &proto::Resource) -> Result<Resource, Undecodable> {
    fn open<T: DeserializeOwned>(payload: &[u8]) -> Result<Arc<T>, Undecodable> {
        let mut json = serde_json::Deserializer::from_slice(payload);
        let value = serde_path_to_error::deserialize(&mut json);
        value.map(Arc::new).map_err(|error| Undecodable::Payload(error.to_string()))
    }
    let payload = &sealed.payload;
    let resource = match sealed.kind.as_str() {
        "secret" => Resource::Secret(open_secret(payload)?),
        "endpoints" => Resource::Endpoints(open(payload)?),
        "cluster" => Resource::Cluster(open(payload)?),
        "route" => Resource::Route(open(payload)?),
        "listener" => Resource::Listener(open(payload)?),
        kind => return Err(Undecodable::Kind(kind.into())),
    };
    let id = resource.id();
    let (_, payload) = kind_of(&id);
    if **payload == *sealed.id {
        return Ok(resource);
    }
    Err(Undecodable::Name { envelope: sealed.id.clone(), payload: payload.to_string() })
}

/// As others, but what is wrong is not quoted: reasons get into logs and conditions.
fn open_secret(payload: &[u8]) -> Result<Arc<Secret>, Undecodable> {
    let mut json = serde_json::Deserializer::from_slice(payload);
    serde_path_to_error::deserialize(&mut json)
        .map(Arc::new)
        .map_err(|error| Undecodable::Payload(format!("{}: not in a form that this proxy knows", error.path())))
}

/// Kind and id as the envelope has them.
pub fn kind_of(id: &ResourceId) -> (&'static str, &Id) {
    match id {
        ResourceId::Secret(id) => (KINDS[0], id),
        ResourceId::Endpoints(id) => (KINDS[1], id),
        ResourceId::Cluster(id) => (KINDS[2], id),
        ResourceId::Route(id) => (KINDS[3], id),
        ResourceId::Listener(id) => (KINDS[4], id),
    }
}

/// The name of a resource.
pub fn encode_name(id: &ResourceId) -> proto::Name {
    let (kind, id) = kind_of(id);
    proto::Name { kind: kind.into(), id: id.to_string() }
}

/// What a name means; `None` when the kind is unknown.
pub fn decode_name(kind: &str, id: &str) -> Option<ResourceId> {
    let id = Id::from(id);
    Some(match kind {
        "secret" => ResourceId::Secret(id),
        "endpoints" => ResourceId::Endpoints(id),
        "cluster" => ResourceId::Cluster(id),
        "route" => ResourceId::Route(id),
        "listener" => ResourceId::Listener(id),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
