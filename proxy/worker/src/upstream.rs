//! An upstream leg with what it was lent.

use fairlead_http::{Leg, h2};
use fairlead_upstream::{Conn, Lease};

/// An upstream leg; dropped before its exchange is complete it closes the connection or resets the stream.
pub struct Upstream {
    leg: Leg,
    lease: Lease,
}

impl From<Conn> for Upstream {
    fn from(conn: Conn) -> Self {
        match conn {
            Conn::H1(conn, lease) => Upstream { leg: Leg::H1(conn), lease },
            Conn::H2(send, lease) => Upstream { leg: h2::Sender::from(send).leg(), lease },
        }
    }
}

impl Upstream {
    /// The leg.
    pub fn leg(&mut self) -> &mut Leg {
        &mut self.leg
    }

    /// Whether the connection carried a request before.
    pub fn is_reused(&self) -> bool {
        self.lease.reused()
    }

    /// Ends the exchange: the connection goes back to its pool if it can be used again.
    pub fn finish(self) {
        if self.leg.reusable()
            && let Some(conn) = self.leg.into_h1()
        {
            self.lease.give_back(conn);
        }
    }
}
