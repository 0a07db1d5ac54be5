//! Connections that are handed out.

use crate::connect::Connected;
use crate::endpoint::{Endpoint, Slot};
use crate::{ConnectError, h2};
use fairlead_http::Leg;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// A connection (or stream) for one request. Dropping it closes the connection (or resets the stream).
pub struct Upstream {
    // Dropped first: a connection is closed before it is counted off. Boxed, since it changes hands several times per request.
    leg: Box<Leg>,
    lease: Lease,
}

impl Upstream {
    pub(crate) fn new(leg: Box<Leg>, lease: Lease) -> Upstream {
        Upstream { leg, lease }
    }

    /// What to send the request on.
    pub fn leg(&mut self) -> &mut Leg {
        &mut self.leg
    }

    /// The endpoint it leads to.
    pub fn endpoint(&self) -> &Rc<Endpoint> {
        &self.lease.endpoint
    }

    /// Whether the connection carried a request before. When such a one fails before the first byte of a response, the peer
    /// probably closed it for idleness at the same moment: the request may be sent once more on a new connection
    /// ([`Cluster::connect`](crate::Cluster::connect); RFC 9112 §9.3.1).
    pub fn is_reused(&self) -> bool {
        self.lease.reused
    }

    /// How the connection came about.
    pub fn connected(&self) -> Option<&Rc<Connected>> {
        match &self.lease.held {
            Held::Connection(_, connected) => Some(connected),
            Held::Stream(connection) => Some(connection.connected()),
            Held::Nothing => None,
        }
    }

    /// The exchange is over: an HTTP/1.1 connection that can be used again goes back to its pool, any other is closed.
    pub fn finish(self) {
        let Upstream { leg, lease } = self;
        if leg.reusable() && matches!(*leg, Leg::H1(_)) {
            lease.give_back(leg);
        }
    }

    #[cfg(test)]
    pub(crate) fn h1(&self) -> &fairlead_http::h1::Conn {
        match &*self.leg {
            Leg::H1(conn) => conn,
            _ => panic!("not HTTP/1"),
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("endpoint", &self.lease.endpoint.name())
            .field("reused", &self.lease.reused)
            .finish()
    }
}

/// A connection on its way; see [`Cluster::checkout`](crate::Cluster::checkout). Allocated, since it is needed once per connection and not
/// per request: it leaves the futures of exchanges small.
#[must_use = "nothing happens unless it is polled"]
pub struct Checkout(Pin<Box<dyn Future<Output = Result<Upstream, ConnectError>>>>);

impl Checkout {
    pub(crate) fn new(work: impl Future<Output = Result<Upstream, ConnectError>> + 'static) -> Checkout {
        Checkout(Box::pin(work))
    }
}

impl Future for Checkout {
    type Output = Result<Upstream, ConnectError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

/// Counts a request that has a connection.
pub(crate) struct Lease {
    endpoint: Rc<Endpoint>,
    held: Held,
    reused: bool,
}

enum Held {
    Connection(Slot, Rc<Connected>),
    Stream(Rc<h2::Connection>),
    /// Given back.
    Nothing,
}

impl Lease {
    pub(crate) fn h1(endpoint: &Rc<Endpoint>, slot: Slot, connected: Rc<Connected>, reused: bool) -> Lease {
        Lease::new(endpoint, Held::Connection(slot, connected), reused)
    }

    pub(crate) fn h2(endpoint: &Rc<Endpoint>, connection: Rc<h2::Connection>, reused: bool) -> Lease {
        Lease::new(endpoint, Held::Stream(connection), reused)
    }

    fn new(endpoint: &Rc<Endpoint>, held: Held, reused: bool) -> Lease {
        let requests = &endpoint.core.requests;
        requests.set(requests.get() + 1);
        Lease { endpoint: endpoint.clone(), held, reused }
    }

    fn give_back(mut self, leg: Box<Leg>) {
        if let Held::Connection(slot, connected) = std::mem::replace(&mut self.held, Held::Nothing) {
            self.endpoint.h1.put(&self.endpoint, leg, connected, slot);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let requests = &self.endpoint.core.requests;
        requests.set(requests.get() - 1);
        if let Held::Stream(connection) = &self.held {
            self.endpoint.h2.release(&self.endpoint, connection);
        }
    }
}
