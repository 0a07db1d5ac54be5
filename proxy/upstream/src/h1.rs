//! Pool of HTTP/1.1 connections of one endpoint: last in, first out, so that the fewest stay warm and the rest go idle.

use crate::connect::{Connected, open, within};
use crate::endpoint::{Endpoint, Slot};
use crate::lease::{Lease, Upstream};
use crate::{ConnectError, Want};
use fairlead_http::Leg;
use fairlead_http::h1::Conn;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// Idle connections, the one used last at the end.
#[derive(Default)]
pub(crate) struct Pool {
    idle: RefCell<Vec<Idle>>,
}

struct Idle {
    leg: Box<Leg>,
    connected: Rc<Connected>,
    /// By the cluster's coarse clock: up to one sweep earlier than it was.
    since: Instant,
}

impl Pool {
    /// Keeps a connection, unless there are enough or the endpoint is gone.
    pub(crate) fn put(&self, endpoint: &Endpoint, leg: Box<Leg>, connected: Rc<Connected>, slot: Slot) {
        let core = &endpoint.core;
        let mut idle = self.idle.borrow_mut();
        if endpoint.is_retired() || idle.len() >= core.config.thresholds.idle_per_endpoint as usize {
            drop(idle);
            drop((leg, slot));
            return;
        }
        idle.push(Idle { leg, connected, since: core.now() });
        drop(idle);
        slot.park();
        if !core.slots.is_empty() {
            core.slots.wake_for(endpoint.id);
        }
    }

    /// Closes the connection that is idle for the longest time; `false` when there is none.
    pub(crate) fn close_oldest(&self, endpoint: &Endpoint) -> bool {
        let mut idle = self.idle.borrow_mut();
        if idle.is_empty() {
            return false;
        }
        let oldest = idle.remove(0);
        drop(idle);
        drop(oldest);
        Slot::close(endpoint, true);
        true
    }

    /// Closes what is idle for too long, and what the peer closed.
    pub(crate) fn sweep(&self, endpoint: &Endpoint, now: Instant) {
        let timeout = endpoint.core.config.idle_timeout;
        let expired = |since: Instant| timeout.is_some_and(|t| now.saturating_duration_since(since) >= t);
        self.remove(endpoint, |idle| expired(idle.since) || idle.leg.is_stale());
    }

    /// Closes all.
    pub(crate) fn clear(&self, endpoint: &Endpoint) {
        self.remove(endpoint, |_| true);
    }

    fn remove(&self, endpoint: &Endpoint, mut which: impl FnMut(&mut Idle) -> bool) {
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        idle.retain_mut(|i| !which(i));
        let closed = before - idle.len();
        drop(idle);
        for _ in 0..closed {
            Slot::close(endpoint, true);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.idle.borrow().len()
    }
}

/// The pooled connection used last that the peer has not closed, if there is one. No waiting, no allocation.
pub(crate) fn try_lease(endpoint: &Rc<Endpoint>) -> Option<Upstream> {
    loop {
        let mut idle = endpoint.h1.idle.borrow_mut();
        let stale = idle.last_mut()?.leg.is_stale();
        let Idle { leg, connected, .. } = idle.pop()?;
        // Before a stale one is closed.
        drop(idle);
        let slot = Slot::resume(endpoint);
        if !stale {
            return Some(Upstream::new(leg, Lease::h1(endpoint, slot, connected, true)));
        }
    }
}

/// A pooled connection (unless `fresh`) or a new one. Waits for one to come free when the cluster may open no more.
pub(crate) async fn lease(endpoint: &Rc<Endpoint>, fresh: bool) -> Result<Upstream, ConnectError> {
    let core = &endpoint.core;
    let pending = core.pend()?;
    let mut waited = false;
    let mut slot = loop {
        core.admit()?;
        if !fresh && let Some(upstream) = try_lease(endpoint) {
            return Ok(upstream);
        }
        if let Some(slot) = Slot::open(endpoint, endpoint.connections.get() == 0) {
            break slot;
        }
        if endpoint.h1.close_oldest(endpoint) {
            continue;
        }
        core.slots.wait(endpoint.id, waited).await?;
        waited = true;
    };
    let config = &core.config;
    let (stream, connected) = within(config.connect_timeout, open(config, endpoint.address(), Want::Http1))
        .await
        .inspect_err(|error| endpoint.connect_failed(error))?;
    slot.establish();
    drop(pending);
    let leg = Box::new(Leg::H1(Conn::new(stream)));
    if let Err(overflow) = core.admit() {
        endpoint.h1.put(endpoint, leg, connected, slot);
        return Err(overflow);
    }
    Ok(Upstream::new(leg, Lease::h1(endpoint, slot, connected, false)))
}
