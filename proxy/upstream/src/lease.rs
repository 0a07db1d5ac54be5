//! Connections that are handed out.

use crate::endpoint::{Endpoint, Slot};
use crate::h2;
use ::h2::client::SendRequest;
use bytes::Bytes;
use fairlead_http::h1::Conn as H1;
use std::fmt;
use std::rc::Rc;

/// A connection for one request, with the [`Lease`] that counts it. The lease lives as long as the exchange (or the tunnel).
pub enum Conn {
    /// An HTTP/1.1 connection of one's own. [`Lease::give_back`] when it can be used again; dropping both closes it.
    H1(H1, Lease),
    /// Room for one stream on an HTTP/2 connection.
    H2(SendRequest<Bytes>, Lease),
}

impl Conn {
    /// The lease.
    pub fn lease(&self) -> &Lease {
        match self {
            Conn::H1(_, lease) | Conn::H2(_, lease) => lease,
        }
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Conn::H1(_, lease) => f.debug_tuple("H1").field(lease).finish(),
            Conn::H2(_, lease) => f.debug_tuple("H2").field(lease).finish(),
        }
    }
}

/// Counts a request that has a connection.
#[must_use = "a dropped lease counts the connection as closed"]
pub struct Lease {
    endpoint: Rc<Endpoint>,
    held: Held,
    reused: bool,
}

enum Held {
    Connection(Slot),
    Stream(Rc<h2::Connection>),
    /// Given back.
    Nothing,
}

impl Lease {
    pub(crate) fn h1(endpoint: &Rc<Endpoint>, slot: Slot, reused: bool) -> Lease {
        Lease::new(endpoint, Held::Connection(slot), reused)
    }

    pub(crate) fn h2(endpoint: &Rc<Endpoint>, connection: Rc<h2::Connection>, reused: bool) -> Lease {
        Lease::new(endpoint, Held::Stream(connection), reused)
    }

    fn new(endpoint: &Rc<Endpoint>, held: Held, reused: bool) -> Lease {
        let requests = &endpoint.core.requests;
        requests.set(requests.get() + 1);
        Lease { endpoint: endpoint.clone(), held, reused }
    }

    /// Whether the connection carried a request before. When such a one fails before the first byte of a response, the peer
    /// probably closed it for idleness at the same moment: the request may be sent once more on a new connection
    /// ([`Cluster::connect`](crate::Cluster::connect); RFC 9112 §9.3.1).
    pub fn reused(&self) -> bool {
        self.reused
    }

    /// The endpoint that the connection leads to.
    pub fn endpoint(&self) -> &Rc<Endpoint> {
        &self.endpoint
    }

    /// Returns an HTTP/1.1 connection after a complete exchange, for the next one. For HTTP/2 there is nothing to return.
    pub fn give_back(mut self, conn: H1) {
        match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Connection(slot) => self.endpoint.h1.put(&self.endpoint, conn, slot),
            held => self.held = held,
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

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("endpoint", &self.endpoint.name()).field("reused", &self.reused).finish()
    }
}
