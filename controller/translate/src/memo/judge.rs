//! Statuses and notes, of what was made.

use super::{Memo, UNSERVED, pair, set};
use crate::endpoints::Allowed;
use crate::fleet::{self, Fleet};
use crate::reader::Reader;
use crate::status::{Condition, ConditionType, Fault, ObjectStatus, Reason, observed};
use crate::{Note, Settings, cluster, route};
use fairlead_crds::Kind;
use fairlead_crds::gateway::XBackend;
use fairlead_crds::v1alpha1::{Backend, ProxyClass, RouteFilter};
use fairlead_store::{Key, World};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Memo {
    /// Statuses of Gateways and ListenerSets, with the number of routes that are attached.
    pub(super) fn attach(&mut self, all: bool) {
        let changed = self.counts.take_changed();
        if all {
            let frame = &self.frame;
            self.status.gateways =
                self.status.gateways.iter().filter(|(key, _)| frame.gateways.contains_key(*key)).map(pair).collect();
            let kept = self.status.listener_sets.iter().filter(|(key, _)| frame.listener_sets.contains_key(*key));
            self.status.listener_sets = kept.map(pair).collect();
        }
        let every = self.frame.parents.keys().filter(|_| all);
        for id in changed.iter().chain(every) {
            let (kind, key) = id;
            if let (Kind::Gateway, Some(base)) = (kind, self.frame.gateways.get(key)) {
                let mut status = base.clone();
                self.counts.fill(id, &mut status.listeners);
                set(&mut self.status.gateways, key, Some(Arc::new(status)));
            } else if let (Kind::ListenerSet, Some(base)) = (kind, self.frame.listener_sets.get(key)) {
                let mut status = base.clone();
                self.counts.fill(id, &mut status.listeners);
                set(&mut self.status.listener_sets, key, Some(Arc::new(status)));
            }
        }
    }

    /// In a cluster: what finds the pods of the XBackends that Gateways of ours reach.
    pub(super) fn select(&mut self, world: &World, settings: &Settings) {
        if settings.fleet.is_none() {
            return;
        }
        let mut wanted: BTreeMap<Key, Fleet> = BTreeMap::new();
        for (key, object) in world.all::<XBackend>().iter() {
            let target = (Kind::XBackend, key.clone());
            let usable = self.policies.xbackend(&target).is_some_and(Result::is_ok);
            if usable && self.counts.gateways(&target).next().is_some() {
                wanted.extend(fleet::selection(key, object).map(|fleet| (fleet::selection_key(key), fleet)));
            }
        }
        let gone = |key: &&Key| fleet::is_selection(key) && !wanted.contains_key(*key);
        let gone: Vec<Key> = self.fleet.keys().filter(gone).cloned().collect();
        for key in gone {
            self.fleet.remove(&key);
        }
        for (key, fleet) in wanted {
            set(&mut self.fleet, &key, Some(Arc::new(fleet)));
        }
    }

    pub(super) fn judge_policies(&mut self, settings: &Settings) {
        let mut new = self.policies.status(&settings.controller_name, |target| self.counts.gateways(target));
        new.extend(self.telemetry.statuses().map(|(key, status)| ((Kind::XTelemetryPolicy, key), status)));
        let gone: Vec<_> = self.status.policies.keys().filter(|id| !new.contains_key(*id)).cloned().collect();
        for id in gone {
            self.status.policies.remove(&id);
        }
        for (id, status) in new {
            set(&mut self.status.policies, &id, Some(Arc::new(status)));
        }
    }

    /// Our own kinds by themselves.
    pub(super) fn judge_objects(&mut self, world: &World, settings: &Settings, all: bool, changed: &[(Kind, Key)]) {
        let touched = |kinds: &[Kind]| all || changed.iter().any(|(kind, _)| kinds.contains(kind));
        let verdict = |generation: Option<i64>, fault: Option<Fault>| {
            let accepted =
                Condition::of(ConditionType::Accepted, fault.as_ref(), Reason::Accepted, "The object is valid");
            Some(Arc::new(ObjectStatus { conditions: observed(vec![accepted], generation) }))
        };
        let mut found: BTreeMap<(Kind, Key), Option<Arc<ObjectStatus>>> = BTreeMap::new();
        let known = |kind: Kind| self.status.objects.keys().filter(move |id| id.0 == kind).map(|id| (id.clone(), None));
        if touched(&[Kind::Backend]) {
            found.extend(known(Kind::Backend));
            for (key, backend) in world.all::<Backend>().iter() {
                let fault = cluster::check_backend(key, backend, Allowed::of(settings)).err();
                found.insert((Kind::Backend, key.clone()), verdict(backend.metadata.generation, fault));
            }
        }
        if touched(&[Kind::RouteFilter, Kind::ConfigMap]) {
            found.extend(known(Kind::RouteFilter));
            for (key, filter) in world.all::<RouteFilter>().iter() {
                let fault = route::check_route_filter(key, filter, &mut Reader::new(world)).err();
                found.insert((Kind::RouteFilter, key.clone()), verdict(filter.metadata.generation, fault));
            }
        }
        if touched(&[Kind::ProxyClass]) {
            found.extend(known(Kind::ProxyClass));
            for (key, class) in world.all::<ProxyClass>().iter() {
                let fault = fleet::check(&class.spec).err();
                found.insert((Kind::ProxyClass, key.clone()), verdict(class.metadata.generation, fault));
            }
        }
        for (id, status) in found {
            set(&mut self.status.objects, &id, status);
        }
    }

    pub(super) fn collect_notes(&self, world: &World) -> Vec<Arc<Note>> {
        let routes = self.counts.noted().iter().filter_map(|id| self.routes.get(id)).flat_map(|trace| &trace.notes);
        let mut notes: Vec<Arc<Note>> = self
            .frame
            .notes
            .iter()
            .chain(self.policies.notes())
            .chain(&self.telemetry.notes)
            .chain(routes)
            .cloned()
            .collect();
        for kind in UNSERVED {
            let said = |key: &Key| Note {
                kind: *kind,
                key: key.clone(),
                path: "kind".into(),
                message: "this kind is not served yet".into(),
            };
            notes.extend(world.entries(*kind).map(|(key, _)| Arc::new(said(key))));
        }
        notes.sort_by(|a, b| (a.kind, &a.key, &a.path, &a.message).cmp(&(b.kind, &b.key, &b.path, &b.message)));
        notes
    }
}
