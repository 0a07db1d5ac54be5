//! The push channel from end to end: server and client over loopback, with real TLS.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod clock;
mod failure;
mod flow;
mod setup;
mod size;
mod strangers;
mod trust;
