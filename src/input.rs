//! Which manifests a command reads.

use crate::output::count;
use anyhow::bail;
use fairlead_store::{Change, Code, Files, Progress, Settings};
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Manifests to read.
#[derive(Debug, clap::Args)]
pub struct Input {
    /// Directory (read recursively: *.yaml, *.yml, *.json) or file with manifests, or - for standard input, which `serve` can't
    /// follow. May be given several times; where two define the same object, the first one wins.
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,

    /// Refuse files that are larger than this, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=4096))]
    max_file_size: u64,
}

impl Input {
    /// Whether no path was given: only where none is required.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Whether standard input is to be read.
    pub fn is_stdin(&self) -> bool {
        self.paths.iter().any(|path| path.as_os_str() == "-")
    }

    /// What the store is told.
    pub fn settings(&self) -> Settings {
        Settings { max_file_bytes: self.max_file_size << 20, ..Settings::new(&self.paths) }
    }

    /// Reads everything once.
    pub fn read(&self) -> anyhow::Result<Change> {
        let mut bar = Bar::default();
        let change = Files::open(self.settings(), |progress| bar.show(progress)).change();
        bar.clear();
        require_paths(&change)?;
        Ok(change)
    }
}

/// Fails when a given path can't be read at all: then nothing that follows would mean anything.
pub fn require_paths(change: &Change) -> anyhow::Result<()> {
    let unreadable = change.problems.iter().find(|problem| problem.code == Code::Unreadable);
    if let Some(problem) = unreadable
        && change.world.is_empty()
    {
        let place = problem.place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
        bail!("{place}{}", problem.message);
    }
    Ok(())
}

/// Shows on stderr how far a long load has come.
#[derive(Debug)]
pub struct Bar {
    next: Instant,
    shown: bool,
    terminal: bool,
}

impl Default for Bar {
    fn default() -> Self {
        let terminal = std::io::stderr().is_terminal();
        Bar { next: Instant::now() + Bar::PATIENCE, shown: false, terminal }
    }
}

impl Bar {
    /// A load that takes less says nothing.
    const PATIENCE: Duration = Duration::from_millis(400);
    const EVERY_TERMINAL: Duration = Duration::from_millis(100);
    const EVERY_LOG: Duration = Duration::from_secs(2);

    /// To be called as often as there is something new.
    pub fn show(&mut self, progress: Progress) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + if self.terminal { Self::EVERY_TERMINAL } else { Self::EVERY_LOG };
        let percent = (progress.bytes * 100).checked_div(progress.bytes_total).unwrap_or(100);
        let objects = count(progress.objects, "object");
        let text =
            format!("reading: {percent} %, {} of {}, {objects}", progress.files, count(progress.files_total, "file"));
        let (before, after) = if self.terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        self.shown = true;
        // Who does not want to see it need not.
        let _ = write!(std::io::stderr(), "{before}{text}{after}");
    }

    /// Removes what was shown.
    pub fn clear(&mut self) {
        if self.shown && self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
