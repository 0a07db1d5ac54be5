//! What the tests share: real processes, free ports, and clients that send exactly the bytes they are told.
//!
//! The binary under test is `$FAIRLEAD_BIN`, or the `fairlead` next to the test's own build directory.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod backend;
pub mod calls;
mod client;
mod command;
pub mod config;
mod dir;
pub mod frames;
pub mod h2;
mod house;
mod manifests;
mod proxy;
mod shared;
pub mod tls;
pub mod tracing;
pub mod websocket;
mod wire;

pub use backend::{Act, Backend, Request, Seen, reset};
pub use client::{Ask, Client, Content, End, Io, LIMIT, Reply, Version, ask, runtime};
pub use command::{Process, binary, curl, free_port, has_command, tool, wait_until};
pub use dir::TempDir;
pub use frames::Frames;
pub use house::House;
pub use manifests::Manifests;
pub use proxy::{Echo, Proxy, ProxyBuilder, log_format};
pub use shared::Shared;
pub use wire::{Answer, Wire, exchange, read_response};
