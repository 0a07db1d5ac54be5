//! What the tests share: real processes, free ports, and clients that send exactly the bytes they are told.
//!
//! The binary under test is `$FAIRLEAD_BIN`, or the `fairlead` next to the test's own build directory.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod command;
mod dir;
mod proxy;
mod wire;

pub use command::{Process, binary, curl, free_port, has_command, tool, wait_until};
pub use dir::TempDir;
pub use proxy::{Echo, Proxy, ProxyBuilder};
pub use wire::{Answer, Wire, exchange, read_response};
