//! What the program tells about itself, on stderr.

use anyhow::{Context as _, anyhow};
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
    let filter = filter(level).map_err(|why| anyhow!("--log-level {level}: {why}"))?;
    let (filter, handle) = reload::Layer::new(filter);
    let text = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).with_target(false);
    tracing_subscriber::registry().with(filter).with(text).try_init().context("cannot start the log")?;
    Ok(Logs { handle, level: Arc::new(Mutex::new(level.to_owned())) })
}

/// What a filter says, except that three crates are quiet unless they are named: h2 warns of frames that any client may send as often as
/// it likes; the client of the API server logs whole bodies of answers that it can't read, Secrets included; and the watch of the files
/// tells of each write to a file beside them, of the log's own, too, if that is where it is written.
fn filter(level: &str) -> Result<EnvFilter, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_level = |word: &str| LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level));
    for part in level.split(',').map(str::trim) {
        let (target, wanted) = part.rsplit_once('=').unwrap_or(("", part));
        // A word alone would be taken for the name of a crate, all of which is to be told.
        if !is_level(wanted) {
            return Err(format!("`{wanted}` is not a level: off, error, warn, info, debug or trace"));
        }
        if target.is_empty() == part.contains('=') {
            return Err(format!("`{part}` names no crate: write for example fairlead_worker=debug"));
        }
    }
    EnvFilter::try_new(format!("h2=error,kube_client=off,notify=info,{level}")).map_err(|error| error.to_string())
}

impl Logs {
    /// The filter as it was given.
    pub fn level(&self) -> String {
        self.level.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the filter; the error says what is wrong with it.
    pub fn set(&self, level: &str) -> Result<(), String> {
        let filter = filter(level)?;
        self.handle.reload(filter).map_err(|error| error.to_string())?;
        *self.level.lock().unwrap_or_else(PoisonError::into_inner) = level.to_owned();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn words_that_are_no_levels_are_refused() {
        for good in ["info", "DEBUG", "off", "info,fairlead_worker=debug", "fairlead_worker::l4=trace,warn"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["debg", "", "info,fairlead_worker", "fairlead_worker=loud", "=debug", "info,"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
        assert!(filter("debg").unwrap_err().contains("`debg` is not a level"));
    }
}
