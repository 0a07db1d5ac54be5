//! `caCertificateRefs`: what they may name, and how it is found.
//!
//! ConfigMaps and Secrets with a key `ca.crt`, and ClusterTrustBundles (GEP-5075), which lie in no namespace, may be read by everybody and
//! need no ReferenceGrant.

use crate::Settings;
use crate::reader::Reader;
use fairlead_crds::core::{ClusterTrustBundle, ConfigMap, Secret};
use fairlead_crds::{Kind, Object, Typed as _};
use fairlead_store::Key;

/// The kind that a reference names, or why it can't be one.
pub(crate) fn kind(group: &str, kind: &str, settings: &Settings) -> Result<Kind, String> {
    match Kind::of_group(group, kind) {
        Some(kind @ (Kind::ConfigMap | Kind::Secret)) => Ok(kind),
        Some(Kind::ClusterTrustBundle) if settings.trust_bundles => Ok(Kind::ClusterTrustBundle),
        Some(Kind::ClusterTrustBundle) => {
            Err("this cluster has no ClusterTrustBundles; enable certificates.k8s.io, or use a ConfigMap".to_owned())
        }
        _ => Err(format!(
            "kind {kind} of group {group:?} can't hold CA certificates; use a ConfigMap or a ClusterTrustBundle"
        )),
    }
}

/// Where the object lies.
pub(crate) fn key(kind: Kind, namespace: &str, name: &str) -> Key {
    if kind == Kind::ClusterTrustBundle { Key::cluster(name) } else { Key::new(namespace, name) }
}

/// The object.
pub(crate) fn find(kind: Kind, key: &Key, reader: &mut Reader<'_>) -> Option<Object> {
    match kind {
        Kind::Secret => reader.find::<Secret>(key).map(|secret| Secret::wrap(secret.clone())),
        Kind::ClusterTrustBundle => {
            reader.find::<ClusterTrustBundle>(key).map(|bundle| ClusterTrustBundle::wrap(bundle.clone()))
        }
        _ => reader.find::<ConfigMap>(key).map(|map| ConfigMap::wrap(map.clone())),
    }
}
