//! Whether a Gateway is programmed, as its proxies come, go and lag behind.
//!
//! `Programmed` is true when a proxy is connected and all that are serve the configuration. It is not lost at once:
//!
//! * while a push is on its way, or a new proxy starts, the Gateway stays programmed for `grace`;
//! * so it does while no proxy is connected: controllers restart, and proxies serve on meanwhile;
//! * a new generation of the Gateway is programmed when the proxies serve the version that has it, not before.

use fairlead_publish::GatewayProgress;
use std::time::Duration;
use tokio::time::Instant;

/// What is remembered of a Gateway.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// The generation that was seen last, and the version that has it.
    generation: Option<(i64, u64)>,
    /// The generation that all proxies served when it was looked at last, as long as the Gateway counts as programmed.
    proven: Option<i64>,
    /// Since when no proxy is connected.
    absent: Option<Instant>,
    /// A version that some proxy lacks, and since when all have been lacking it.
    lag: Option<(u64, Instant)>,
}

/// What there is to judge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight<'a> {
    pub progress: Option<&'a GatewayProgress>,
    /// What the proxies were told.
    pub version: u64,
    /// Of the Gateway.
    pub generation: i64,
}

/// How a Gateway stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Why it is not programmed.
    pub pending: Option<Box<str>>,
    /// When time alone can change that.
    pub until: Option<Instant>,
    /// Whether proxies are expected back, so that it is worth a wait for them.
    pub expected: bool,
}

impl Standing {
    /// Of a Gateway whose status said that it was programmed in some generation, when this replica began to lead.
    pub fn programmed(generation: i64) -> Self {
        Standing { proven: Some(generation), ..Standing::default() }
    }

    /// Judges anew.
    pub fn judge(&mut self, sight: Sight<'_>, now: Instant, grace: Duration) -> Verdict {
        let need = match self.generation {
            Some((generation, need)) if generation == sight.generation => need,
            _ => sight.version,
        };
        self.generation = Some((sight.generation, need));
        match sight.progress.filter(|progress| !progress.proxies.is_empty()) {
            None => self.alone(sight, now, grace),
            Some(progress) => self.connected(progress, sight, need, now, grace),
        }
    }

    fn alone(&mut self, sight: Sight<'_>, now: Instant, grace: Duration) -> Verdict {
        self.lag = None;
        let end = *self.absent.get_or_insert(now) + grace;
        let expected = self.proven.is_some() && now < end;
        if !expected {
            self.proven = None;
        }
        let holds = self.proven == Some(sight.generation);
        Verdict { pending: (!holds).then(|| "No proxy is connected".into()), until: expected.then_some(end), expected }
    }

    fn connected(
        &mut self,
        progress: &GatewayProgress,
        sight: Sight<'_>,
        need: u64,
        now: Instant,
        grace: Duration,
    ) -> Verdict {
        self.absent = None;
        if progress.serves(need) {
            self.proven = Some(sight.generation);
        }
        if progress.serves(sight.version) {
            self.lag = None;
            return Verdict::default();
        }
        let behind = progress.proxies.values().map(|proxy| proxy.acked).min().unwrap_or(0);
        let (version, since) = *self.lag.get_or_insert((sight.version, now));
        if behind >= version {
            self.lag = Some((sight.version, now));
        } else if now.duration_since(since) >= grace {
            self.proven = None;
        }
        if self.proven == Some(sight.generation) {
            return Verdict { until: self.lag.map(|(_, since)| since + grace), ..Verdict::default() };
        }
        let (serving, all) = (progress.serving(sight.version), progress.proxies.len());
        let message = format!("{serving} of {all} connected proxies serve the current configuration");
        Verdict { pending: Some(message.into()), ..Verdict::default() }
    }
}

#[cfg(test)]
mod tests;
