//! The configuration, and what of it was touched.

use fairlead_ir::{Cluster, Config, Endpoints, Id, Listener, ResourceId, Route, Secret};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A configuration that remembers which resources were set or removed.
#[derive(Default)]
pub(super) struct Tracked {
    config: Config,
    touched: BTreeSet<ResourceId>,
}

/// What a configuration consists of.
pub(super) trait Resource: PartialEq + Sized {
    fn id(id: Id) -> ResourceId;
    fn map(config: &mut Config) -> &mut BTreeMap<Id, Arc<Self>>;
}

macro_rules! resources {
    ($($type:ident $field:ident;)*) => {$(
        impl Resource for $type {
            fn id(id: Id) -> ResourceId {
                ResourceId::$type(id)
            }

            fn map(config: &mut Config) -> &mut BTreeMap<Id, Arc<Self>> {
                &mut config.$field
            }
        }
    )*};
}

resources! {
    Listener listeners;
    Route routes;
    Cluster clusters;
    Endpoints endpoints;
    Secret secrets;
}

impl Tracked {
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What was touched since the last call.
    pub fn take_touched(&mut self) -> BTreeSet<ResourceId> {
        std::mem::take(&mut self.touched)
    }

    /// Sets a resource, keeping the known `Arc` when it is equal. Gives the one that is in the configuration.
    pub fn set<T: Resource>(&mut self, id: &Id, value: &Arc<T>) -> Arc<T> {
        let map = T::map(&mut self.config);
        match map.get(id) {
            Some(known) if known == value => known.clone(),
            _ => {
                map.insert(id.clone(), value.clone());
                self.touched.insert(T::id(id.clone()));
                value.clone()
            }
        }
    }

    pub fn remove<T: Resource>(&mut self, id: &Id) {
        if T::map(&mut self.config).remove(id).is_some() {
            self.touched.insert(T::id(id.clone()));
        }
    }

    /// Makes all resources of a kind those of `new`.
    pub fn replace<T: Resource>(&mut self, new: &BTreeMap<Id, Arc<T>>) {
        let gone: Vec<Id> = T::map(&mut self.config).keys().filter(|id| !new.contains_key(*id)).cloned().collect();
        for id in gone {
            self.remove::<T>(&id);
        }
        for (id, value) in new {
            self.set(id, value);
        }
    }
}
