//! Connections and datagrams that are only passed on, through real workers and real sockets, from hand-made IR.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod house;
mod tcp;
mod tls;
mod udp;
