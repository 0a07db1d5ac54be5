//! Decoded resources without what decoding left over.
//!
//! A list that is read piece by piece has room for more, and every mention of an id is a string of its own. Proxies keep many thousand
//! resources for a long time: those take the memory they need and share the ids by which they name each other.

use crate::{BackendTarget, Discovery, Filter, Id, Resource, Route};
use std::collections::HashSet;
use std::sync::Arc;

/// Ids that resources name each other by, each once.
#[derive(Debug, Default)]
pub struct Ids {
    known: HashSet<Id>,
    /// How many there may be before those are let go that nobody else holds.
    limit: usize,
}

impl Ids {
    fn share(&mut self, id: &mut Id) {
        match self.known.get(id) {
            Some(known) => *id = known.clone(),
            None => {
                if self.known.len() >= self.limit {
                    self.known.retain(|id| Arc::strong_count(id) > 1);
                    self.limit = LEAST.max(self.known.len() * 2);
                }
                self.known.insert(id.clone());
            }
        }
    }
}

/// Fewer are not worth a look.
const LEAST: usize = 64;

impl Resource {
    /// The same in less memory. Does nothing with what others hold, too.
    pub fn compact(&mut self, ids: &mut Ids) {
        match self {
            Resource::Route(route) => {
                if let Some(route) = Arc::get_mut(route) {
                    route.compact(ids);
                }
            }
            Resource::Cluster(cluster) => {
                if let Some(cluster) = Arc::get_mut(cluster) {
                    ids.share(&mut cluster.id);
                    if let Discovery::Endpoints(id) = &mut cluster.discovery {
                        ids.share(id);
                    }
                }
            }
            Resource::Endpoints(endpoints) => {
                if let Some(endpoints) = Arc::get_mut(endpoints) {
                    ids.share(&mut endpoints.id);
                    endpoints.endpoints.shrink_to_fit();
                }
            }
            Resource::Listener(listener) => {
                if let Some(listener) = Arc::get_mut(listener) {
                    ids.share(&mut listener.id);
                }
            }
            Resource::Secret(_) => {}
        }
    }
}

impl Route {
    fn compact(&mut self, ids: &mut Ids) {
        if self.order.object == self.name {
            self.order.object = self.name.clone();
        }
        self.listeners.iter_mut().for_each(|id| ids.share(id));
        self.listeners.shrink_to_fit();
        self.hostnames.shrink_to_fit();
        for matched in &mut self.matches {
            matched.headers.shrink_to_fit();
            matched.query.shrink_to_fit();
        }
        self.matches.shrink_to_fit();
        compact(&mut self.filters);
        for backend in &mut self.backends {
            if let BackendTarget::Cluster(id) = &mut backend.target {
                ids.share(id);
            }
            compact(&mut backend.filters);
        }
        self.backends.shrink_to_fit();
    }
}

fn compact(filters: &mut Vec<Filter>) {
    for filter in &mut *filters {
        if let Filter::RequestHeaders(mods) | Filter::ResponseHeaders(mods) = filter {
            mods.set.shrink_to_fit();
            mods.add.shrink_to_fit();
            mods.remove.shrink_to_fit();
        }
    }
    filters.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Endpoints;

    const ROUTE: &str = r#"{"id": "httproute/a/r/0", "name": "a/r", "kind": "http", "listeners": ["gateway/a/g/http"],
        "hostnames": ["r.example.com"], "matches": [{"path": {"prefix": "/"}}], "order": {"created": 1, "object": "a/r", "rule": 0},
        "filters": [{"requestHeaders": {"remove": ["x"]}}], "backends": [{"weight": 1, "target": {"cluster": "service/a/b/80"}}]}"#;
    const ENDPOINTS: &str =
        r#"{"id": "service/a/b/80", "endpoints": [{"address": {"ip": "10.0.0.1:80"}, "weight": 1}]}"#;

    #[test]
    fn equal_ids_are_one_and_lists_have_no_spare_room() {
        let mut ids = Ids::default();
        let mut made = [
            Resource::Route(serde_json::from_str(ROUTE).unwrap()),
            Resource::Endpoints(serde_json::from_str(ENDPOINTS).unwrap()),
        ];
        let before = made.clone().map(|resource| serde_json::to_value(&resource).unwrap());
        made.iter_mut().for_each(|resource| resource.compact(&mut ids));
        assert_eq!(before, made.clone().map(|resource| serde_json::to_value(&resource).unwrap()));
        let [Resource::Route(route), Resource::Endpoints(endpoints)] = &made else { panic!("{made:?}") };
        assert!(Arc::ptr_eq(&route.name, &route.order.object));
        let BackendTarget::Cluster(cluster) = &route.backends[0].target else { panic!("{route:?}") };
        assert!(Arc::ptr_eq(cluster, &endpoints.id));
        let rooms = [
            route.listeners.capacity(),
            route.hostnames.capacity(),
            route.matches.capacity(),
            route.filters.capacity(),
            route.backends.capacity(),
            endpoints.endpoints.capacity(),
        ];
        assert_eq!(rooms, [1; 6]);
    }

    #[test]
    fn ids_that_nobody_holds_are_let_go() {
        let mut ids = Ids::default();
        for i in 0..10_000 {
            let endpoints = Endpoints { id: format!("service/a/{i}/80").as_str().into(), endpoints: vec![] };
            Resource::Endpoints(endpoints.into()).compact(&mut ids);
        }
        assert!(ids.known.len() <= LEAST, "{}", ids.known.len());
    }
}
