//! One address of a cluster, with everything this worker knows of it.

use crate::cluster::Core;
use crate::{Address, ConnectError, ConnectErrorKind, Target, h1, h2};
use fairlead_telemetry::{EndpointCells, EndpointMetrics};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// Names an endpoint among those of its cluster on its worker; kept across updates of the list as long as the address is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub(crate) u32);

/// Whether an endpoint may be picked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Eligibility {
    /// It may.
    #[default]
    Eligible,
    /// Only when none of the cluster is eligible (Envoy's panic mode).
    Excluded,
}

/// State of an endpoint. Shared by picks, leases and connection tasks; survives updates of the list that keep its address.
pub(crate) struct Endpoint {
    pub(crate) id: EndpointId,
    pub(crate) address: Address,
    pub(crate) core: Rc<Core>,
    pub(crate) h1: h1::Pool,
    pub(crate) h2: h2::Pool,
    /// Open connections of both protocols, connecting and idle ones included.
    pub(crate) connections: Cell<u32>,
    pub(crate) eligibility: Cell<Eligibility>,
    weight: Cell<u32>,
    zone: RefCell<Option<Arc<str>>>,
    /// Picks that are held.
    active: Cell<u32>,
    /// No longer in the list: connections close when they come free.
    retired: Cell<bool>,
    metrics: Arc<EndpointMetrics>,
}

impl Endpoint {
    pub(crate) fn new(core: &Rc<Core>, target: &Target) -> Rc<Endpoint> {
        Rc::new(Endpoint {
            id: core.next_id(),
            address: target.address.clone(),
            core: core.clone(),
            h1: h1::Pool::default(),
            h2: h2::Pool::default(),
            connections: Cell::new(0),
            eligibility: Cell::default(),
            weight: Cell::new(target.weight),
            zone: RefCell::new(target.zone.clone()),
            active: Cell::new(0),
            retired: Cell::new(false),
            metrics: target.metrics.clone(),
        })
    }

    /// Takes over what may change of an endpoint that stays.
    pub(crate) fn update(&self, target: &Target) {
        self.weight.set(target.weight);
        self.zone.replace(target.zone.clone());
    }

    /// The endpoint left the list: idle connections close now, the others when their requests are done.
    pub(crate) fn retire(&self) {
        self.retired.set(true);
        self.h1.clear(self);
        self.h2.drain();
    }

    /// Closes connections that are idle for too long or were closed by the peer.
    pub(crate) fn sweep(&self, now: Instant) {
        self.h1.sweep(self, now);
        self.h2.sweep(self, now);
    }

    pub(crate) fn weight(&self) -> u32 {
        self.weight.get()
    }

    pub(crate) fn zone(&self) -> Option<Arc<str>> {
        self.zone.borrow().clone()
    }

    pub(crate) fn active(&self) -> u32 {
        self.active.get()
    }

    pub(crate) fn picked(&self) {
        self.active.set(self.active.get() + 1);
    }

    pub(crate) fn unpicked(&self) {
        self.active.set(self.active.get() - 1);
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.get()
    }

    pub(crate) fn metrics(&self) -> &EndpointCells {
        self.metrics.at(self.core.worker)
    }

    /// Counts and logs a connection that did not come about.
    pub(crate) fn connect_failed(&self, error: &ConnectError) {
        tracing::debug!(cluster = &*self.core.config.id, endpoint = %self.address, %error, "no connection");
        self.metrics().connect_failures.inc();
        let cluster = self.core.metrics();
        cluster.connect_failures.inc();
        match error.kind {
            ConnectErrorKind::Timeout => cluster.connect_timeouts.inc(),
            ConnectErrorKind::Tls => cluster.tls_errors.inc(),
            _ => {}
        }
    }
}

/// The right to one connection of the cluster, counted as long as it is held.
pub(crate) struct Slot {
    /// `None` once parked.
    endpoint: Option<Rc<Endpoint>>,
    established: bool,
}

impl Slot {
    /// Takes a slot, or `None` when the cluster has as many connections as it may. `force` takes one anyway.
    pub(crate) fn open(endpoint: &Rc<Endpoint>, force: bool) -> Option<Slot> {
        let core = &endpoint.core;
        if core.connections.get() >= core.config.thresholds.connections && !force {
            return None;
        }
        core.connections.set(core.connections.get() + 1);
        endpoint.connections.set(endpoint.connections.get() + 1);
        Some(Slot { endpoint: Some(endpoint.clone()), established: false })
    }

    /// The connection stands.
    pub(crate) fn establish(&mut self) {
        if let Some(endpoint) = &self.endpoint
            && !self.established
        {
            self.established = true;
            let metrics = endpoint.core.metrics();
            metrics.connections.inc();
            metrics.connections_active.inc();
        }
    }

    /// The connection goes to the pool and stays counted; [`Slot::resume`] or [`Slot::close`] ends that. (A slot in the pool
    /// would hold its endpoint and be held by it.)
    pub(crate) fn park(mut self) {
        self.endpoint = None;
    }

    /// The slot of a connection that was parked.
    pub(crate) fn resume(endpoint: &Rc<Endpoint>) -> Slot {
        Slot { endpoint: Some(endpoint.clone()), established: true }
    }

    /// Counts a connection off.
    pub(crate) fn close(endpoint: &Endpoint, established: bool) {
        let core = &endpoint.core;
        core.connections.set(core.connections.get() - 1);
        endpoint.connections.set(endpoint.connections.get() - 1);
        if established {
            core.metrics().connections_active.dec();
        }
        if !core.slots.is_empty() {
            core.slots.wake_one();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(endpoint) = &self.endpoint {
            Slot::close(endpoint, self.established);
        }
    }
}
