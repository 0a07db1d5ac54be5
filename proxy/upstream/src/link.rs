//! Connections and sockets to endpoints that carry what one client sends, as it is: not pooled, not shared.

use crate::connect::{Connected, open, within};
use crate::endpoint::{Endpoint, Slot};
use crate::{Address, Cluster, ConnectError, ConnectErrorKind, Pick, Want};
use fairlead_net::{Stream, UdpLink, connect_udp};
use std::fmt;
use std::rc::Rc;

/// A connection ([`Stream`]) or UDP socket ([`UdpLink`]) to an endpoint. Dropping it closes it.
pub struct Link<S> {
    // Dropped first: it is closed before it is counted off.
    io: S,
    _slot: Slot,
    connected: Option<Rc<Connected>>,
}

impl<S> Link<S> {
    /// What to read and write.
    pub fn io(&mut self) -> &mut S {
        &mut self.io
    }
}

impl Link<Stream> {
    /// Closes at once; on TCP the endpoint sees a reset.
    pub fn abort(self) {
        self.io.abort();
    }

    /// How the connection came about.
    pub fn connected(&self) -> Option<&Rc<Connected>> {
        self.connected.as_ref()
    }
}

impl Link<UdpLink> {
    /// The socket.
    pub fn socket(&self) -> &UdpLink {
        &self.io
    }
}

impl<S> fmt::Debug for Link<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Cluster {
    /// A connection of its own to the endpoint, within the connect timeout, with TLS where the cluster has TLS. Waits for no other
    /// connection to close.
    ///
    /// # Errors
    /// See [`ConnectErrorKind`]; counted here, as are connections.
    pub async fn link(&self, pick: &Pick) -> Result<Link<Stream>, ConnectError> {
        let endpoint = pick.endpoint();
        let mut slot = slot(endpoint)?;
        let config = self.config();
        let (io, connected) = within(config.connect_timeout, open(config, endpoint.address(), Want::Http1))
            .await
            .inspect_err(|error| endpoint.connect_failed(error))?;
        slot.establish();
        Ok(Link { io, _slot: slot, connected: Some(connected) })
    }

    /// A UDP socket that speaks to the endpoint only. Sessions count as connections.
    ///
    /// # Errors
    /// When this machine refuses, a circuit breaker is open, or the endpoint is no IP address.
    pub fn link_udp(&self, pick: &Pick) -> Result<Link<UdpLink>, ConnectError> {
        let endpoint = pick.endpoint();
        let mut slot = slot(endpoint)?;
        let connected = match endpoint.address() {
            Address::Ip(address) => connect_udp(*address).map_err(ConnectError::from),
            Address::Unix(_) => {
                Err(ConnectError::with(ConnectErrorKind::Protocol, &"datagrams don't go to unix sockets"))
            }
        };
        let io = connected.inspect_err(|error| endpoint.connect_failed(error))?;
        slot.establish();
        Ok(Link { io, _slot: slot, connected: None })
    }
}

/// An endpoint without connections may always have one, as in Envoy.
fn slot(endpoint: &Rc<Endpoint>) -> Result<Slot, ConnectError> {
    Slot::open(endpoint, endpoint.connections() == 0).ok_or_else(ConnectError::overflow)
}

#[cfg(test)]
mod tests;
