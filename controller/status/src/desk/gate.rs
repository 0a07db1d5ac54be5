//! Push first, status after: a status that says something new waits until the proxies serve it.

use super::{Desk, Name};
use fairlead_ir::Id;
use tokio::time::Instant;

/// What a write waits for.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    /// What the status was computed from; another one may need later versions.
    pub basis: Basis,
    /// Gateways and the versions that their proxies must serve.
    pub need: Vec<(Id, u64)>,
    /// When it opens in any case.
    pub until: Instant,
}

/// Identity of a planned status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Basis(pub usize, pub Option<i64>);

impl Gate {
    /// Whether the write may go.
    pub fn is_open(&self, desk: &Desk, now: Instant) -> bool {
        now >= self.until || self.need.iter().all(|(gateway, version)| desk.serves(gateway, *version))
    }
}

impl Desk {
    /// Whether what an object waits for is there, or it waits for nothing.
    pub(super) fn is_open(&self, name: &Name, now: Instant) -> bool {
        let gate = self.objects.find(name).and_then(|state| state.gate.as_ref());
        gate.is_none_or(|gate| gate.is_open(self, now))
    }

    /// Whether all proxies of a Gateway serve a version. When none is connected and none is expected, there is nothing to wait for.
    fn serves(&self, gateway: &Id, version: u64) -> bool {
        match self.progress.get(gateway).filter(|progress| !progress.proxies.is_empty()) {
            Some(progress) => progress.serves(version),
            None => !self.standings.expects(gateway),
        }
    }
}
