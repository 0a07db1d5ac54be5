//! What a proxy was told, what of it it serves, and what a push changes. Pure.

use crate::payload::{decode, decode_name, kind_of};
use crate::proto;
use fairlead_ir::{Ids, Push, Resource, ResourceId};
use std::collections::{BTreeMap, BTreeSet};
use std::mem;

/// Kind and id as the envelope has them: of kinds, too, that this program does not know.
type Name = (String, String);

/// The proxy's side of a stream, kept over reconnections.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// What it was told, as far as it could be understood.
    told: BTreeMap<ResourceId, Resource>,
    /// By which they name each other.
    ids: Ids,
    /// The history and the version of `told`.
    epoch: u64,
    version: u64,
    /// The last version that the proxy said it serves.
    served: u64,
    /// Whether the proxy has a push that it has not answered.
    outstanding: bool,
    /// What the push that is outstanding replaced.
    before: Vec<(ResourceId, Option<Resource>)>,
    /// What the proxy serves instead of what it rejected.
    good: BTreeMap<ResourceId, Option<Resource>>,
    rejected: BTreeMap<Name, String>,
    unbound: BTreeMap<String, String>,
    /// The push of which the last chunk is still to come.
    arriving: Option<Arriving>,
}

#[derive(Debug)]
struct Arriving {
    epoch: u64,
    version: u64,
    complete: bool,
    upserts: Vec<Resource>,
    removals: Vec<ResourceId>,
    /// Removals of kinds that this program does not know.
    forgotten: Vec<Name>,
    /// Everything that was named, if the push is complete.
    seen: BTreeSet<ResourceId>,
    undecodable: Vec<(Name, String)>,
    /// As before, and understood.
    equal: Vec<ResourceId>,
}

/// The controller says what makes no sense. A complete push heals it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the controller pushes version {version} of history {epoch:x} as a difference to what this proxy does not have"
)]
pub(super) struct Unrelated {
    epoch: u64,
    version: u64,
}

impl Held {
    /// What a stream opens with, but for the names.
    pub fn hello(&mut self) -> proto::Hello {
        self.arriving = None;
        proto::Hello { epoch: self.epoch, version: self.version, serving: Some(self.ack()), ..Default::default() }
    }

    /// What is served.
    pub fn ack(&self) -> proto::Ack {
        let rejected = self.rejected.iter().map(|((kind, id), reason)| proto::Rejection {
            kind: kind.clone(),
            id: id.clone(),
            reason: reason.clone(),
        });
        proto::Ack {
            epoch: self.epoch,
            version: self.served,
            rejected: rejected.collect(),
            unbound: self.unbound.clone().into_iter().collect(),
        }
    }

    /// Asks for everything with the next hello.
    pub fn forget_history(&mut self) {
        self.epoch = 0;
        self.arriving = None;
    }

    /// Takes a part of a push in. With the last one the push is whole: what differs from what the proxy has.
    pub fn chunk(&mut self, chunk: proto::Chunk) -> Result<Option<Push>, Unrelated> {
        let proto::Chunk { epoch, version, complete, last, upserts, removals } = chunk;
        if !complete && (epoch != self.epoch || version < self.version) {
            return Err(Unrelated { epoch, version });
        }
        let mut push = match self.arriving.take() {
            Some(push) if (push.epoch, push.version, push.complete) == (epoch, version, complete) => push,
            _ => Arriving::new(epoch, version, complete),
        };
        for sealed in &upserts {
            push.upsert(sealed, &self.told, &mut self.ids);
        }
        for proto::Name { kind, id } in removals {
            match decode_name(&kind, &id) {
                Some(id) => push.removals.push(id),
                None => push.forgotten.push((kind, id)),
            }
        }
        if last {
            return Ok(Some(self.whole(push)));
        }
        self.arriving = Some(push);
        Ok(None)
    }

    /// Whether a push is arriving.
    pub fn is_arriving(&self) -> bool {
        self.arriving.is_some()
    }

    /// Whether the proxy has yet to answer a push.
    pub fn is_outstanding(&self) -> bool {
        self.outstanding
    }

    /// Whether the proxy was told anything, be it that there is nothing.
    pub fn is_empty(&self) -> bool {
        self.epoch == 0 && self.told.is_empty()
    }

    fn whole(&mut self, push: Arriving) -> Push {
        let Arriving { epoch, version, complete, upserts, mut removals, forgotten, seen, undecodable, equal } = push;
        if complete {
            removals = self.told.keys().rev().filter(|id| !seen.contains(*id)).cloned().collect();
            // What is rejected and no longer named is gone.
            self.rejected.retain(|(kind, id), _| decode_name(kind, id).is_some_and(|id| seen.contains(&id)));
        } else {
            removals.retain(|id| self.told.contains_key(id) || self.rejected.contains_key(&name(id)));
        }
        for id in equal.iter().filter(|id| !self.good.contains_key(*id)) {
            self.rejected.remove(&name(id));
        }
        for name in &forgotten {
            self.rejected.remove(name);
        }
        self.rejected.extend(undecodable);
        self.before = Vec::with_capacity(upserts.len());
        for resource in &upserts {
            let id = resource.id();
            let before = self.told.insert(id.clone(), resource.clone());
            self.before.push((id, before));
        }
        for id in &removals {
            self.rejected.remove(&name(id));
            self.good.remove(id);
            self.told.remove(id);
        }
        if complete {
            // One by one in their order they leave each node of the tree half empty; all at once they fill it.
            self.told = mem::take(&mut self.told).into_iter().collect();
        }
        if epoch != self.epoch {
            self.served = 0;
        }
        (self.epoch, self.version, self.outstanding) = (epoch, version, true);
        Push { version, upserts, removals }
    }

    /// The proxy answers the outstanding push. False when it answers none.
    pub fn answer(
        &mut self,
        version: u64,
        rejected: Vec<(ResourceId, String)>,
        unbound: BTreeMap<String, String>,
    ) -> bool {
        if !self.outstanding || version != self.version {
            return false;
        }
        let rejected: BTreeMap<ResourceId, String> = rejected.into_iter().collect();
        for (id, before) in mem::take(&mut self.before) {
            if rejected.contains_key(&id) {
                self.good.entry(id).or_insert(before);
            } else {
                self.good.remove(&id);
                self.rejected.remove(&name(&id));
            }
        }
        self.rejected.extend(rejected.into_iter().map(|(id, reason)| (name(&id), reason)));
        (self.served, self.unbound, self.outstanding) = (version, unbound, false);
        true
    }

    /// The proxy's sockets changed. False when they did not.
    pub fn unbound(&mut self, unbound: BTreeMap<String, String>) -> bool {
        let changed = self.unbound != unbound;
        self.unbound = unbound;
        changed
    }

    /// What is served, to be kept for later.
    pub fn saved(&self, gateway: &str) -> (proto::Saved, Vec<Resource>) {
        let served = self.told.iter().filter_map(|(id, told)| match self.good.get(id) {
            Some(good) => good.as_ref(),
            None => Some(told),
        });
        let resources: Vec<Resource> = served.cloned().collect();
        // What was rejected is to be sent again to the program that reads this.
        let epoch = if self.rejected.is_empty() { self.epoch } else { 0 };
        let count = resources.len() as u64;
        (proto::Saved { gateway: gateway.into(), epoch, version: self.version, resources: count }, resources)
    }

    /// Takes up what was kept, as if it had been pushed; for a proxy that has nothing yet.
    pub fn restore(&mut self, saved: &proto::Saved, resources: &[proto::Resource]) -> Push {
        let mut push = Arriving::new(saved.epoch, saved.version, true);
        for sealed in resources {
            push.upsert(sealed, &self.told, &mut self.ids);
        }
        if !push.undecodable.is_empty() {
            push.epoch = 0;
        }
        self.whole(push)
    }
}

impl Arriving {
    fn new(epoch: u64, version: u64, complete: bool) -> Arriving {
        Arriving {
            epoch,
            version,
            complete,
            upserts: Vec::new(),
            removals: Vec::new(),
            forgotten: Vec::new(),
            seen: BTreeSet::new(),
            undecodable: Vec::new(),
            equal: Vec::new(),
        }
    }

    fn upsert(&mut self, sealed: &proto::Resource, told: &BTreeMap<ResourceId, Resource>, ids: &mut Ids) {
        let (id, equal) = match decode(sealed) {
            Ok(mut resource) => {
                let id = resource.id();
                let equal = told.get(&id) == Some(&resource);
                if !equal {
                    resource.compact(ids);
                    self.upserts.push(resource);
                }
                (Some(id), equal)
            }
            Err(error) => {
                self.undecodable.push(((sealed.kind.clone(), sealed.id.clone()), error.to_string()));
                (decode_name(&sealed.kind, &sealed.id), false)
            }
        };
        let Some(id) = id else { return };
        if equal {
            self.equal.push(id.clone());
        }
        if self.complete {
            self.seen.insert(id);
        }
    }
}

fn name(id: &ResourceId) -> Name {
    let (kind, id) = kind_of(id);
    (kind.into(), id.to_string())
}

#[cfg(test)]
mod tests;
