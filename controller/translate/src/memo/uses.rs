//! What routes and listeners use, counted, so that the last user takes it out of the configuration.

use super::trace::Trace;
use super::tracked::{Resource, Tracked};
use crate::endpoints::Origin;
use crate::route::Uses;
use fairlead_ir::{Cluster, Endpoints, Id, Secret};
use foldhash::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::sync::Arc;

/// Users of everything that is shared.
#[derive(Default)]
pub(super) struct Users {
    clusters: Shared<Cluster>,
    pub secrets: Shared<Secret>,
    endpoints: HashMap<Id, (u32, Origin)>,
    /// Endpoints that are used now and were not.
    pub fresh: BTreeSet<Id>,
}

/// Number of users by id.
pub(super) struct Shared<T>(HashMap<Id, u32>, PhantomData<T>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Shared(HashMap::default(), PhantomData)
    }
}

impl<T: Resource> Shared<T> {
    /// One user: from using `old` to using `new`.
    pub fn swap<'o>(
        &mut self,
        config: &mut Tracked,
        new: &BTreeMap<Id, Arc<T>>,
        old: impl IntoIterator<Item = &'o Id>,
    ) {
        for (id, value) in new {
            *self.0.entry(id.clone()).or_default() += 1;
            config.set(id, value);
        }
        for id in old {
            if let Some(users) = self.0.get_mut(id) {
                *users -= 1;
                if *users == 0 {
                    self.0.remove(id);
                    config.remove::<T>(id);
                }
            }
        }
    }
}

impl Users {
    /// A route: from what it used to what it uses.
    pub fn swap(&mut self, config: &mut Tracked, new: &Uses, old: &Trace) {
        self.clusters.swap(config, &new.clusters, &*old.clusters);
        self.secrets.swap(config, &new.secrets, &*old.secrets);
        for (id, origin) in &new.endpoints {
            let entry = self.endpoints.entry(id.clone()).or_insert_with(|| {
                self.fresh.insert(id.clone());
                (0, origin.clone())
            });
            // A new object of the same name.
            if entry.1 != *origin {
                entry.1 = origin.clone();
                self.fresh.insert(id.clone());
            }
            entry.0 += 1;
        }
        for id in &old.endpoints {
            if let Some((users, _)) = self.endpoints.get_mut(id) {
                *users -= 1;
                if *users == 0 {
                    self.endpoints.remove(id);
                    self.fresh.remove(id);
                    config.remove::<Endpoints>(id);
                }
            }
        }
    }

    /// Where used endpoints come from.
    pub fn origin(&self, id: &Id) -> Option<&Origin> {
        self.endpoints.get(id).map(|(_, origin)| origin)
    }

    /// All used endpoints.
    pub fn endpoints(&self) -> impl Iterator<Item = (&Id, &Origin)> {
        self.endpoints.iter().map(|(id, (_, origin))| (id, origin))
    }
}
