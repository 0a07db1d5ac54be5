//! What the admin interface is given by those who wire the program.

use fairlead_ir::Config;
use fairlead_telemetry::Registry;
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;

/// The rest of the process, as the admin interface sees it.
pub struct AdminState {
    /// All numbers.
    pub registry: Arc<Registry>,
    /// Whether the proxy should get traffic.
    pub readiness: watch::Receiver<Readiness>,
    /// The configuration that is served; called per request.
    pub config: Box<dyn Fn() -> Arc<Config> + Send + Sync>,
    /// Starts draining, as SIGTERM does; may be called more than once. Must not block.
    pub drain: Box<dyn Fn() + Send + Sync>,
    /// The filter of the program's log (`info,fairlead_worker=debug`).
    pub log_level: Box<dyn Fn() -> String + Send + Sync>,
    /// Replaces the filter; the error says what is wrong with it.
    pub set_log_level: Box<SetFilter>,
}

type SetFilter = dyn Fn(&str) -> Result<(), String> + Send + Sync;

/// Whether the proxy should get traffic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Readiness {
    /// No complete configuration yet, or its sockets don't listen yet.
    #[default]
    Starting,
    /// It serves.
    Live,
    /// It finishes what it has.
    Draining,
    /// A listener does not listen; the text says which and why.
    ListenerDown(String),
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Readiness::Starting => f.write_str("STARTING"),
            Readiness::Live => f.write_str("LIVE"),
            Readiness::Draining => f.write_str("DRAINING"),
            Readiness::ListenerDown(why) => write!(f, "LISTENER DOWN: {why}"),
        }
    }
}
