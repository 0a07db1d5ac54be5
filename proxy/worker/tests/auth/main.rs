//! Authorisation services and filters of listeners through real workers and real sockets, from hand-made IR.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod grpc;
mod house;
mod http;
mod listener;
