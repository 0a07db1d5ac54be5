//! Standard input as a file: it can be read once only, and is asked for again when a place in it is looked for.

use std::io::{self, Read as _};
use std::path::Path;
use std::sync::OnceLock;

/// What it is called, in paths and in messages.
pub(crate) const NAME: &str = "-";

static BYTES: OnceLock<Result<Vec<u8>, io::ErrorKind>> = OnceLock::new();

/// Whether a given path stands for it.
pub(crate) fn is(path: &Path) -> bool {
    path.as_os_str() == NAME
}

/// All of it, or what is one byte longer than the limit of the first who asked.
pub(crate) fn bytes(limit: u64) -> io::Result<&'static [u8]> {
    let read = || {
        let mut bytes = Vec::new();
        let result = io::stdin().lock().take(limit.saturating_add(1)).read_to_end(&mut bytes);
        result.map(|_| bytes).map_err(|error| error.kind())
    };
    BYTES.get_or_init(read).as_deref().map_err(|kind| io::Error::from(*kind))
}
