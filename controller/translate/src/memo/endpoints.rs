//! Endpoints in use, and the slices that they come from.

use super::few::Few;
use super::tracked::Tracked;
use super::uses::Users;
use crate::endpoints::{self, Allowed, Origin};
use crate::policy::Target;
use fairlead_crds::Kind;
use fairlead_crds::core::{EndpointSlice, Service};
use fairlead_crds::gateway::XBackend;
use fairlead_crds::v1alpha1::Backend;
use fairlead_ir::{Endpoints, Id};
use fairlead_store::{Key, World};
use foldhash::{HashMap, HashSet};
use std::sync::Arc;

/// Which slices a Service has.
#[derive(Default)]
pub(super) struct Slices {
    of: HashMap<Key, Few<Key>>,
    service: HashMap<Key, Key>,
    /// Endpoints in use, by Service or `Backend`.
    used: HashMap<Target, Few<Id>>,
}

impl Slices {
    /// Makes the endpoints that changed, or that are used for the first time.
    pub fn refresh(
        &mut self,
        world: &World,
        all: bool,
        changed: &[(Kind, Key)],
        users: &mut Users,
        config: &mut Tracked,
        allowed: Allowed,
    ) {
        let mut touched: HashSet<Target> = HashSet::default();
        if all {
            *self = Slices::default();
            for (key, slice) in world.all::<EndpointSlice>().iter() {
                self.index(key, endpoints::service_of(key, slice));
            }
        }
        for (kind, key) in changed {
            match kind {
                Kind::EndpointSlice => {
                    // Slices without a Service of ours are selected by their labels, which only files have us do.
                    let labelled = self
                        .used
                        .keys()
                        .filter(|(kind, owner)| *kind == Kind::XBackend && owner.namespace == key.namespace);
                    touched.extend(labelled.cloned());
                    let service =
                        world.all::<EndpointSlice>().get(key).and_then(|slice| endpoints::service_of(key, slice));
                    touched.extend(
                        service
                            .clone()
                            .into_iter()
                            .chain(self.service.get(key).cloned())
                            .map(|key| (Kind::Service, key)),
                    );
                    self.index(key, service);
                }
                Kind::Service | Kind::Backend | Kind::XBackend => {
                    touched.insert((*kind, key.clone()));
                }
                _ => {}
            }
        }
        let mut wanted = std::mem::take(&mut users.fresh);
        if all {
            wanted.extend(users.endpoints().map(|(id, _)| id.clone()));
        }
        for id in &wanted {
            if let Some(origin) = users.origin(id) {
                for owner in owners(origin) {
                    self.used.entry(owner).or_default().insert(id.clone());
                }
            }
        }
        for target in &touched {
            let Some(used) = self.used.get_mut(target) else { continue };
            used.retain(|id| users.origin(id).is_some());
            wanted.extend(used.iter().cloned());
            if used.is_empty() {
                self.used.remove(target);
            }
        }
        for id in wanted {
            let Some(origin) = users.origin(&id) else { continue };
            config.set(&id, &Arc::new(self.make(&id, origin, world, allowed)));
        }
    }

    fn index(&mut self, slice: &Key, service: Option<Key>) {
        if let Some(old) = self.service.remove(slice)
            && let Some(slices) = self.of.get_mut(&old)
        {
            slices.remove(slice);
            if slices.is_empty() {
                self.of.remove(&old);
            }
        }
        if let Some(service) = service {
            self.of.entry(service.clone()).or_default().insert(slice.clone());
            self.service.insert(slice.clone(), service);
        }
    }

    fn slices_of<'w>(&self, service: &Key, world: &'w World) -> impl Iterator<Item = &'w EndpointSlice> {
        let all = world.all::<EndpointSlice>();
        self.of.get(service).into_iter().flat_map(Few::iter).filter_map(move |slice| Some(&**all.get(slice)?))
    }

    fn make(&self, id: &Id, origin: &Origin, world: &World, allowed: Allowed) -> Endpoints {
        let empty = || Endpoints { id: id.clone(), endpoints: Vec::new() };
        match origin {
            Origin::Service { key, port, transport } => {
                let Some(service) = world.all::<Service>().get(key) else { return empty() };
                endpoints::of_service(id.clone(), service, (*port, *transport), self.slices_of(key, world), allowed)
            }
            Origin::Selector { key, service } => {
                let Some(backend) = world.all::<XBackend>().get(key) else { return empty() };
                let selector = backend.spec.endpoint_selector.as_ref();
                let port = backend.spec.port.number.and_then(|port| u16::try_from(port).ok());
                let (Some(selector), Some(port)) = (selector, port) else { return empty() };
                let all = world.all::<EndpointSlice>();
                match service {
                    Some(service) => endpoints::of_selector(id.clone(), port, self.slices_of(service, world), allowed),
                    None => {
                        let here = all.namespace(&key.namespace).map(|(_, slice)| &**slice);
                        let selected = here.filter(|slice| endpoints::selects(&selector.match_labels, slice));
                        endpoints::of_selector(id.clone(), port, selected, allowed)
                    }
                }
            }
            Origin::Backend { key } => {
                let backend = world.all::<Backend>().get(key);
                backend
                    .and_then(|backend| endpoints::of_backend(id.clone(), backend, allowed).ok())
                    .unwrap_or_else(empty)
            }
        }
    }
}

/// What tells that the endpoints may have changed.
fn owners(origin: &Origin) -> impl Iterator<Item = Target> {
    let (owner, service) = match origin {
        Origin::Service { key, .. } => ((Kind::Service, key.clone()), None),
        Origin::Backend { key } => ((Kind::Backend, key.clone()), None),
        Origin::Selector { key, service } => ((Kind::XBackend, key.clone()), service.clone()),
    };
    std::iter::once(owner).chain(service.map(|key| (Kind::Service, key)))
}
