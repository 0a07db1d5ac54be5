//! The push channel from end to end: server and client over loopback, with real TLS.

mod failure;
mod flow;
mod setup;
mod size;
mod trust;
