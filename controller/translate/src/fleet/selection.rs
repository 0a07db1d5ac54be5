//! The Services by which Kubernetes finds the pods of XBackends (GEP-4894, "Stop-Gap: Service Backing").
//!
//! Headless, never connected to, owned by the XBackend. The GEP wants a name that nobody can rely on: it is made of the XBackend's
//! `uid`, which nobody knows beforehand, and which is the same each time the object is applied.

use super::{APP, Fleet, MANAGED_BY, Object, ObjectKind};
use fairlead_crds::gateway::XBackend;
use fairlead_store::Key;
use serde_json::json;

/// What the Service of an XBackend is called, by its `uid`.
pub(crate) fn selection_name(uid: &str) -> String {
    super::name::limited(format!("fairlead-xbackend-{uid}"), uid)
}

/// Names of fleets that are no Gateway's: none is called so.
const PREFIX: &str = "xbackend/";

/// Under what the Service of an XBackend stands among fleets.
pub fn selection_key(xbackend: &Key) -> Key {
    Key::new(xbackend.namespace.clone(), format!("{PREFIX}{}", xbackend.name).as_str())
}

/// Whether a fleet of this key is the Service of an XBackend, and no Gateway's proxies.
pub fn is_selection(key: &Key) -> bool {
    key.name.starts_with(PREFIX)
}

/// The XBackend whose Service a fleet of this key is.
pub fn selected(key: &Key) -> Option<Key> {
    key.name.strip_prefix(PREFIX).map(|name| Key::new(key.namespace.clone(), name))
}

/// The name under which the owner of an object stands among fleets, when fleets have such owners.
pub fn owner_key(api_version: &str, kind: &str, name: &str) -> Option<Box<str>> {
    match (api_version.split_once('/')?.0, kind) {
        (fairlead_crds::gateway::GROUP, "Gateway") => Some(name.into()),
        (fairlead_crds::gateway::X_GROUP, "XBackend") => Some(format!("{PREFIX}{name}").into()),
        _ => None,
    }
}

/// The Service. `None`: the XBackend selects nothing, or goes.
pub(crate) fn selection(key: &Key, xbackend: &XBackend) -> Option<Fleet> {
    let uid = xbackend.metadata.uid.as_deref().filter(|_| xbackend.metadata.deletion_timestamp.is_none())?;
    let (selector, port) = (xbackend.spec.endpoint_selector.as_ref()?, xbackend.spec.port.number?);
    let name = selection_name(uid);
    let labels = [MANAGED_BY, APP].into_iter().collect::<std::collections::BTreeMap<_, _>>();
    let manifest = json!({
        "apiVersion": ObjectKind::Service.api_version(),
        "kind": ObjectKind::Service.as_str(),
        "metadata": {
            "name": name,
            "namespace": key.namespace,
            "labels": labels,
            "ownerReferences": [{
                "apiVersion": "gateway.networking.x-k8s.io/v1alpha1",
                "kind": "XBackend",
                "name": key.name,
                "uid": uid,
                "controller": true,
                "blockOwnerDeletion": false,
            }],
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "selector": selector.match_labels,
            "ports": [{ "name": "backend", "port": port, "targetPort": port, "protocol": "TCP" }],
        },
    });
    let object = Object { kind: ObjectKind::Service, key: Key::new(key.namespace.clone(), name.as_str()), manifest };
    Some(Fleet { name: name.into(), objects: vec![object], partial: false })
}
