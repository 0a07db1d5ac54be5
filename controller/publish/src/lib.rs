//! Plans to pushes, and pushes to proxies.
//!
//! ```text
//! Config, Config, … ──(Publisher, Fanout)──► Push{version, upserts, removals} ──(apply)──► Config
//!                                              └──► Server ──(wire)──► each proxy of the Gateway ──► Progress
//! ```
//!
//! Knows resources by id and equality only, not what they mean. [`Publisher`] and [`Fanout`] are pure; so is the CA of the push channel
//! ([`ca`]), which is told what time it is. [`Server`] speaks to proxies.

pub mod ca;
mod delta;
mod fanout;
mod progress;
mod server;

pub use delta::{apply, delta, delta_of};
pub use fanout::Fanout;
pub use progress::{GatewayProgress, Progress, ProxyProgress};
pub use server::{Denied, Enroller, Identity, Role, Server, Settings, StartError, enroller};

use fairlead_ir::{Config, Push, ResourceId};
use std::collections::BTreeSet;

/// Keeps what a proxy was told last, and says what is to be told next.
#[derive(Debug, Default)]
pub struct Publisher {
    told: Config,
    version: u64,
}

impl Publisher {
    /// Of a proxy that was told nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The push that brings the proxy to `config`, when `touched` holds at least the ids of all that may differ: the rest costs nothing. When
    /// nothing differs it is empty and has the version of the last one.
    pub fn update(&mut self, config: &Config, touched: &BTreeSet<ResourceId>) -> Push {
        let mut push = delta_of(&self.told, config, touched);
        apply(&mut self.told, push.clone());
        self.version += u64::from(!push.is_empty());
        push.version = self.version;
        push
    }

    /// Everything, for a proxy that starts over: the delta from nothing with the version that the proxy has then.
    pub fn everything(&self) -> Push {
        Push { version: self.version, ..delta(&Config::default(), &self.told) }
    }

    /// What the proxy was told.
    pub fn config(&self) -> &Config {
        &self.told
    }

    /// Number of pushes that were not empty.
    pub fn version(&self) -> u64 {
        self.version
    }
}

#[cfg(test)]
mod tests;
