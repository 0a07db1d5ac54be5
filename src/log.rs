//! What the program tells about itself, on stderr.

use anyhow::Context as _;
use std::io::IsTerminal as _;
use std::sync::{Arc, Mutex, PoisonError};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// The filter, which can be changed while it runs.
#[derive(Clone)]
pub struct Logs {
    handle: reload::Handle<EnvFilter, Registry>,
    level: Arc<Mutex<String>>,
}

/// Starts to log.
pub fn start(level: &str) -> anyhow::Result<Logs> {
    let filter = filter(level).with_context(|| format!("--log-level {level}"))?;
    let (filter, handle) = reload::Layer::new(filter);
    let text = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).with_target(false);
    tracing_subscriber::registry().with(filter).with(text).try_init().context("cannot start the log")?;
    Ok(Logs { handle, level: Arc::new(Mutex::new(level.to_owned())) })
}

/// What a filter says, except that two crates are quiet unless they are named: h2 warns of frames that any client may send as often as
/// it likes, and the client of the API server logs whole bodies of answers that it can't read, Secrets included.
fn filter(level: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    EnvFilter::try_new(format!("h2=error,kube_client=off,{level}"))
}

impl Logs {
    /// The filter as it was given.
    pub fn level(&self) -> String {
        self.level.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the filter; the error says what is wrong with it.
    pub fn set(&self, level: &str) -> Result<(), String> {
        let filter = filter(level).map_err(|error| error.to_string())?;
        self.handle.reload(filter).map_err(|error| error.to_string())?;
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = level.to_owned();
        Ok(())
    }
}
