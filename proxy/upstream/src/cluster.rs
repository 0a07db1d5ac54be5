//! A cluster of one worker: its endpoints, the balancer over them, and its circuit breakers.

use crate::balance::{Balancer, Hosts};
use crate::budget::{RetryBudget, Window};
use crate::config::{ClusterConfig, Want};
use crate::endpoint::{Eligibility, Endpoint, EndpointId};
use crate::lease::{Checkout, Upstream};
use crate::list::{Address, EndpointList};
use crate::session::{SessionKey, Tag};
use crate::waiters::Waiters;
use crate::{ConnectError, h1, h2};
use fairlead_telemetry::{ClusterCells, ClusterMetrics};
use fastrand::Rng;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// A cluster of one worker.
///
/// Must be used inside the worker's `LocalRuntime`: HTTP/2 connections are tasks of it. Dropping the cluster closes idle
/// connections; requests that have one go on.
pub struct Cluster {
    core: Rc<Core>,
    set: RefCell<Set>,
    rng: RefCell<Rng>,
}

/// The endpoints of now.
struct Set {
    endpoints: Box<[Rc<Endpoint>]>,
    balancer: Balancer,
    /// What the endpoints are called in tokens, for each session that asked.
    tags: RefCell<Vec<Tagged>>,
}

/// The endpoints of a set by their tags.
struct Tagged {
    key: Arc<SessionKey>,
    endpoints: HashMap<Tag, usize>,
}

/// Sessions of a cluster whose tags are kept; each is a route rule's, or the backend's own. More are made anew each time.
const TAGGED: usize = 8;

impl Cluster {
    /// A cluster without connections. `worker` says which cells of the metrics are ours.
    pub fn new(
        config: Arc<ClusterConfig>,
        endpoints: Arc<EndpointList>,
        metrics: Arc<ClusterMetrics>,
        worker: usize,
    ) -> Rc<Cluster> {
        let core = Rc::new(Core {
            connections: Cell::new(0),
            requests: Cell::new(0),
            slots: Waiters::default(),
            pending: Cell::new(0),
            retries: Cell::new(0),
            window: config.retry_budget.as_ref().map(|_| Window::new(Instant::now())),
            now: Cell::new(Instant::now()),
            last_id: Cell::new(0),
            config,
            metrics,
            worker,
        });
        let mut rng = Rng::new();
        let set = Set::build(&core, &endpoints, HashMap::new(), &mut rng);
        Rc::new(Cluster { core, set: RefCell::new(set), rng: RefCell::new(rng) })
    }

    /// What it was made from.
    pub fn config(&self) -> &Arc<ClusterConfig> {
        &self.core.config
    }

    /// What the backend speaks.
    pub fn want(&self) -> Want {
        self.core.config.protocol
    }

    /// The metrics of all workers.
    pub fn metrics(&self) -> &Arc<ClusterMetrics> {
        &self.core.metrics
    }

    /// This worker's cells. Counted here: connections (total, open, failed, timed out, TLS errors) and `no_endpoint`; everything
    /// about requests is the caller's to count.
    pub fn cells(&self) -> &ClusterCells {
        self.core.cells()
    }

    /// The endpoints of now.
    pub fn endpoints(&self) -> Box<[Rc<Endpoint>]> {
        self.set.borrow().endpoints.clone()
    }

    /// Replaces the endpoints, for picks from now on. What is known of an endpoint (requests, connections) stays as long as its address is in the list;
    /// the connections of those that are gone close when they are idle.
    pub fn update_endpoints(&self, endpoints: Arc<EndpointList>) {
        let before: HashMap<Address, Rc<Endpoint>> =
            self.set.borrow().endpoints.iter().map(|e| (e.address().clone(), e.clone())).collect();
        let set = Set::build(&self.core, &endpoints, before, &mut self.rng.borrow_mut());
        let kept: HashSet<EndpointId> = set.endpoints.iter().map(|e| e.id).collect();
        let old = self.set.replace(set);
        for endpoint in old.endpoints.iter().filter(|e| !kept.contains(&e.id)) {
            endpoint.retire();
        }
    }

    /// Chooses an endpoint for an attempt, none of `tried` if there is another. `None`: there is no endpoint.
    pub fn pick(&self, tried: &[Rc<Endpoint>]) -> Option<Pick> {
        let set = self.set.borrow();
        let rng = &mut self.rng.borrow_mut();
        let mut pick = |which| set.balancer.pick(&Candidates { endpoints: &set.endpoints, tried, which }, rng);
        let index = pick(Which::Fresh).or_else(|| pick(Which::Eligible)).or_else(|| pick(Which::Any));
        let Some(endpoint) = index.and_then(|i| set.endpoints.get(i)) else {
            self.cells().no_endpoint.inc();
            return None;
        };
        endpoint.picked();
        Some(Pick { endpoint: endpoint.clone() })
    }

    /// The endpoint that a session's tag stands for. `None`: it is gone, may not be picked, or is one of `tried`.
    pub fn pick_tagged(&self, key: &Arc<SessionKey>, tag: &Tag, tried: &[Rc<Endpoint>]) -> Option<Pick> {
        let set = self.set.borrow();
        let index = set.find(key, tag)?;
        let candidates = Candidates { endpoints: &set.endpoints, tried, which: Which::Fresh };
        let endpoint = set.endpoints.get(index).filter(|_| candidates.usable(index))?;
        endpoint.picked();
        Some(Pick { endpoint: endpoint.clone() })
    }

    /// A connection that is there already: neither waits nor connects. `None` is no error; [`Cluster::checkout`] goes on from there.
    pub fn try_checkout(&self, pick: &Pick, want: Want) -> Option<Upstream> {
        self.core.admit().ok()?;
        match want {
            Want::Http1 => h1::try_lease(&pick.endpoint),
            Want::Http2 => h2::try_lease(&pick.endpoint),
        }
    }

    /// A connection to the endpoint, pooled or new, within the connect timeout. Ask [`Cluster::try_checkout`] first: it is cheap.
    /// Dropping the future gives up; an HTTP/2 connection under way is then opened for others all the same.
    ///
    /// # Errors
    /// See [`ConnectErrorKind`](crate::ConnectErrorKind).
    pub fn checkout(&self, pick: &Pick, want: Want) -> Checkout {
        Cluster::open(pick.endpoint.clone(), want, false)
    }

    /// [`Cluster::try_checkout`], then [`Cluster::checkout`]: for who keeps nothing between the two.
    ///
    /// # Errors
    /// See [`ConnectErrorKind`](crate::ConnectErrorKind).
    pub async fn acquire(&self, pick: &Pick, want: Want) -> Result<Upstream, ConnectError> {
        match self.try_checkout(pick, want) {
            Some(up) => Ok(up),
            None => self.checkout(pick, want).await,
        }
    }

    /// As [`Cluster::checkout`], but an HTTP/1.1 connection is a new one: for the second try after a reused one failed.
    pub fn connect(&self, pick: &Pick, want: Want) -> Checkout {
        Cluster::open(pick.endpoint.clone(), want, true)
    }

    fn open(endpoint: Rc<Endpoint>, want: Want, fresh: bool) -> Checkout {
        match want {
            Want::Http1 => Checkout::new(async move { h1::lease(&endpoint, fresh).await }),
            Want::Http2 => Checkout::new(async move { h2::lease(&endpoint).await }),
        }
    }

    /// Counts an attempt for the retry budget. Costs nothing where there is none.
    pub fn count_attempt(&self) {
        if let (Some(budget), Some(window)) = (&self.core.config.retry_budget, &self.core.window) {
            budget.count(window, Instant::now());
        }
    }

    /// Asks for a retry; the permit is held to the end of the retried attempt. What is refused is counted.
    ///
    /// # Errors
    /// There are too many retries; the last result is final (flag `UO`).
    pub fn try_retry(&self) -> Result<RetryPermit, RetryRefused> {
        let core = &self.core;
        let within = |(budget, window): (&Arc<RetryBudget>, &Window)| budget.allow(window, Instant::now());
        let refused = if core.retries.get() >= core.config.thresholds.retries {
            RetryRefused::Breaker
        } else if !core.config.retry_budget.as_ref().zip(core.window.as_ref()).is_none_or(within) {
            RetryRefused::Budget
        } else {
            core.retries.set(core.retries.get() + 1);
            return Ok(RetryPermit { core: core.clone() });
        };
        self.cells().retries_refused.inc();
        Err(refused)
    }

    /// Closes what is idle for too long. To be called about twice a second: it is also the clock by which idle times are measured.
    pub fn sweep(&self, now: Instant) {
        self.core.now.set(now);
        for endpoint in &self.set.borrow().endpoints {
            endpoint.sweep(now);
        }
    }

    /// Number of endpoints.
    pub fn len(&self) -> usize {
        self.set.borrow().endpoints.len()
    }

    /// Whether there are no endpoints.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for endpoint in &self.set.borrow().endpoints {
            endpoint.retire();
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("id", &self.core.config.id)
            .field("endpoints", &self.len())
            .finish_non_exhaustive()
    }
}

impl Set {
    fn build(core: &Rc<Core>, list: &EndpointList, mut before: HashMap<Address, Rc<Endpoint>>, rng: &mut Rng) -> Set {
        let endpoints: Box<[_]> = list
            .targets
            .iter()
            .map(|target| match before.remove(&target.address).filter(|e| e.is(target)) {
                Some(endpoint) => {
                    endpoint.update(target);
                    endpoint
                }
                None => Endpoint::new(core, target),
            })
            .collect();
        let weights: Vec<u32> = endpoints.iter().map(|e| e.weight()).collect();
        let balancer = Balancer::new(core.config.load_balancing, &weights, rng);
        Set { endpoints, balancer, tags: RefCell::default() }
    }

    /// The endpoint of a tag.
    fn find(&self, key: &Arc<SessionKey>, tag: &Tag) -> Option<usize> {
        let mut all = self.tags.borrow_mut();
        if let Some(known) = all.iter().find(|known| known.key.tags_as(key)) {
            return known.endpoints.get(tag).copied();
        }
        let endpoints: HashMap<Tag, usize> =
            self.endpoints.iter().enumerate().map(|(i, endpoint)| (key.tag(endpoint.name()), i)).collect();
        let found = endpoints.get(tag).copied();
        if all.len() == TAGGED {
            all.remove(0);
        }
        all.push(Tagged { key: key.clone(), endpoints });
        found
    }
}

/// The endpoint of one attempt; while it is held, the attempt counts as an active request of the endpoint.
pub struct Pick {
    endpoint: Rc<Endpoint>,
}

impl Pick {
    /// The endpoint.
    pub fn endpoint(&self) -> &Rc<Endpoint> {
        &self.endpoint
    }
}

impl Drop for Pick {
    fn drop(&mut self) {
        self.endpoint.unpicked();
    }
}

impl fmt::Debug for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pick").field(&self.endpoint.name()).finish()
    }
}

/// Why a retry is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryRefused {
    /// As many retries are under way as may be ([`Thresholds::retries`](crate::Thresholds)).
    Breaker,
    /// Retries have used up their share of the traffic.
    Budget,
}

/// A retry that is under way.
#[must_use = "a dropped permit counts the retry as done"]
pub struct RetryPermit {
    core: Rc<Core>,
}

impl Drop for RetryPermit {
    fn drop(&mut self) {
        self.core.retries.set(self.core.retries.get() - 1);
    }
}

/// What endpoints, leases and connection tasks need of their cluster.
pub(crate) struct Core {
    pub(crate) config: Arc<ClusterConfig>,
    pub(crate) worker: usize,
    /// Open ones, connecting and idle ones included.
    pub(crate) connections: Cell<u32>,
    /// Those that have a connection.
    pub(crate) requests: Cell<u32>,
    /// HTTP/1.1 requests that wait because there may be no more connections.
    pub(crate) slots: Waiters,
    pending: Cell<u32>,
    retries: Cell<u32>,
    /// What counts for the retry budget, if there is one.
    window: Option<Window>,
    /// Coarse: of the last sweep.
    now: Cell<Instant>,
    last_id: Cell<u32>,
    metrics: Arc<ClusterMetrics>,
}

impl Core {
    /// Whether one more request may have a connection.
    pub(crate) fn admit(&self) -> Result<(), ConnectError> {
        if self.requests.get() < self.config.thresholds.requests { Ok(()) } else { Err(ConnectError::overflow()) }
    }

    /// Counts a request that waits for a connection.
    pub(crate) fn pend(&self) -> Result<Pending<'_>, ConnectError> {
        if self.pending.get() >= self.config.thresholds.pending {
            return Err(ConnectError::overflow());
        }
        self.pending.set(self.pending.get() + 1);
        Ok(Pending { core: self })
    }

    pub(crate) fn cells(&self) -> &ClusterCells {
        self.metrics.at(self.worker)
    }

    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    pub(crate) fn next_id(&self) -> EndpointId {
        self.last_id.set(self.last_id.get().wrapping_add(1));
        EndpointId(self.last_id.get())
    }
}

/// See [`Core::pend`].
pub(crate) struct Pending<'a> {
    core: &'a Core,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.core.pending.set(self.core.pending.get() - 1);
    }
}

/// The endpoints as the balancer sees them.
struct Candidates<'a> {
    endpoints: &'a [Rc<Endpoint>],
    tried: &'a [Rc<Endpoint>],
    which: Which,
}

/// Which endpoints may be chosen.
#[derive(Clone, Copy)]
enum Which {
    /// Eligible ones that were not tried.
    Fresh,
    Eligible,
    /// None is eligible: all are (Envoy's panic mode).
    Any,
}

impl Hosts for Candidates<'_> {
    fn len(&self) -> usize {
        self.endpoints.len()
    }

    fn active(&self, index: usize) -> u32 {
        self.endpoints[index].active()
    }

    fn usable(&self, index: usize) -> bool {
        let endpoint = &self.endpoints[index];
        let eligible = endpoint.eligibility.get() == Eligibility::Eligible;
        match self.which {
            Which::Fresh => eligible && !self.tried.iter().any(|t| Rc::ptr_eq(t, endpoint)),
            Which::Eligible => eligible,
            Which::Any => true,
        }
    }
}

#[cfg(test)]
mod tests;
