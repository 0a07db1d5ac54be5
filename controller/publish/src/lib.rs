//! Plans to pushes: the delta between two configurations, in order.
//!
//! ```text
//! Config, Config, … ──(Publisher::push)──► Push{version, upserts, removals} ──(apply)──► Config
//! ```
//!
//! Knows resources by id and equality only, not what they mean. Pure: no I/O, no clock.

mod delta;

pub use delta::{apply, delta};

use fairlead_ir::{Config, Push};

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

    /// The push that brings the proxy to `config`. When nothing differs it is empty and has the version of the last one.
    ///
    /// Costs a walk over the ids; a resource is compared only when its `Arc` is another one.
    pub fn push(&mut self, config: Config) -> Push {
        let mut push = delta(&self.told, &config);
        // Also when nothing differs: comparing the new `Arc`s is what will be fast the next time.
        self.told = config;
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
