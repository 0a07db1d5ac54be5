//! Objects from files to an immutable [`World`].
//!
//! ```text
//! directory ──(scan)──► files ──(split, parse)──► documents ──(claims)──► World ──(watch)──► Change, Change, …
//! ```
//!
//! Knows what objects are called and where they stand, not what they mean: that is `translate`'s. Every problem of the
//! input is a [`Problem`] with `file:line:column`; none stops the others' objects, and the last good version of an object
//! stays until a better one is there. Objects of other sources come in through an [`Editor`].

mod editor;
mod files;
mod key;
mod problem;
mod watch;
mod world;
mod yaml;

pub use editor::{Editor, Effect};
pub use files::{Files, Locator, Progress, Settings, digest};
pub use key::Key;
pub use problem::{Code, Note, Place, Problem, Severity, Style};
pub use watch::{Stopper, Watch};
pub use world::{Change, Entry, Keyed, Source, Stored, World};
