//! One address of a cluster, with everything this worker knows of it.

use crate::cluster::Core;
use crate::{Address, ConnectError, ConnectErrorKind, Target, h1, h2};
use fairlead_telemetry::{EndpointCells, EndpointMetrics};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// Names an endpoint among those of its cluster on its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EndpointId(pub(crate) u32);

/// Whether an endpoint may be picked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Eligibility {
    /// It may.
    #[default]
    Eligible,
    /// Only when none of the cluster is eligible (Envoy's panic mode).
    Excluded,
}

/// An endpoint of one worker. Shared by picks, leases and connection tasks; survives updates of the list that keep its address
/// (and its host name).
pub struct Endpoint {
    pub(crate) id: EndpointId,
    address: Address,
    name: Box<str>,
    hostname: Option<Arc<str>>,
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
            name: target.address.to_string().into(),
            hostname: target.hostname.clone(),
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

    pub(crate) fn picked(&self) {
        self.active.set(self.active.get() + 1);
        self.cells().requests_active.inc();
        self.core.cells().requests_active.inc();
    }

    pub(crate) fn unpicked(&self) {
        self.active.set(self.active.get() - 1);
        self.cells().requests_active.dec();
        self.core.cells().requests_active.dec();
    }

    /// Whether it left the list.
    pub fn is_retired(&self) -> bool {
        self.retired.get()
    }

    /// Whether it is the endpoint of this entry of a list.
    pub(crate) fn is(&self, target: &Target) -> bool {
        self.address == target.address && self.hostname == target.hostname
    }

    /// Counts and logs a connection that did not come about.
    pub(crate) fn connect_failed(&self, error: &ConnectError) {
        tracing::debug!(cluster = &*self.core.config.id, endpoint = &*self.name, %error, "no connection");
        self.cells().connect_failures.inc();
        let cluster = self.core.cells();
        cluster.connect_failures.inc();
        match error.kind {
            ConnectErrorKind::Timeout => cluster.connect_timeouts.inc(),
            ConnectErrorKind::Tls => cluster.tls_errors.inc(),
            _ => {}
        }
    }
}

impl Endpoint {
    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The address as text: `10.0.0.1:80`, `[::1]:80`, `/run/app.sock`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host name that the address belongs to, where there is one.
    pub fn hostname(&self) -> Option<&str> {
        self.hostname.as_deref()
    }

    /// Its topology zone.
    pub fn zone(&self) -> Option<Arc<str>> {
        self.zone.borrow().clone()
    }

    /// Relative share; 1 and more.
    pub fn weight(&self) -> u32 {
        self.weight.get()
    }

    /// Attempts of this worker that are under way.
    pub fn active(&self) -> u32 {
        self.active.get()
    }

    /// Open connections of this worker, connecting and idle ones included.
    pub fn connections(&self) -> u32 {
        self.connections.get()
    }

    /// The metrics of all workers.
    pub fn metrics(&self) -> &Arc<EndpointMetrics> {
        &self.metrics
    }

    /// This worker's cells. `connect_failures` is counted here, the rest is the caller's to count.
    pub fn cells(&self) -> &EndpointCells {
        self.metrics.at(self.core.worker)
    }

    /// Includes it in picks, or excludes it.
    pub fn set_eligibility(&self, eligibility: Eligibility) {
        self.eligibility.set(eligibility);
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.name).finish()
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
            let metrics = endpoint.core.cells();
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
            core.cells().connections_active.dec();
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
