//! Files → [`World`]: the first load, and what a change of some files does.

mod claims;
mod document;
mod hash;
mod load;
mod locate;
mod scan;
mod state;
mod stdin;

pub use hash::digest;
pub use load::Progress;
pub use locate::Locator;
pub use state::Files;

pub(crate) use document::revision;
pub(crate) use scan::{Scan, absolute};

use std::path::PathBuf;

/// What to read and how much of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Directories (read recursively: `*.yaml`, `*.yml` and `*.json`, nothing hidden) and files. Where several define the
    /// same object, the first one wins; within a directory the order is that of the paths. `-` is standard input, which is read once.
    pub paths: Vec<PathBuf>,
    /// Larger files are refused. 64 MiB.
    pub max_file_bytes: u64,
    /// Threads that parse; 0: one per core.
    pub threads: usize,
}

impl Settings {
    /// The defaults for some paths.
    pub fn new(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Settings { paths: paths.into_iter().map(Into::into).collect(), max_file_bytes: 64 << 20, threads: 0 }
    }

    fn threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        }
    }
}
