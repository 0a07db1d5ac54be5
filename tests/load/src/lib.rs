//! What noise does not touch, counted: system calls, instructions, heap allocations, bytes.
//!
//! `Subject` (the proxy, perhaps under valgrind) `◄── drive ── client threads`, with a `Backend` of fixed answers behind it.
//!
//! The counts are tests (`tests/*.rs` here) and run with all others, on the optimised binary. What needs a quiet machine –
//! CPU time per request beside other proxies – is `tests/load/run`, in Python. `docs/performance.md` explains both.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod backend;
mod callgrind;
mod client;
mod manifests;
mod proxy;
mod strace;
mod subject;
mod tls;

pub use backend::{Backend, FAT, SMALL};
pub use callgrind::{Callgrind, Counts};
pub use client::{Request, drive, open};
pub use manifests::{Routes, manifests, tls_manifests};
pub use proxy::Proxy;
pub use strace::{Calls, count_calls};
pub use subject::{AccessLog, Subject, is_missing, raise_file_limit, report};
pub use tls::{Identity, TlsClient};
