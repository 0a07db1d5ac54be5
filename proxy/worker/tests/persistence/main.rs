//! What lasts longer than a request: sessions, and what retries have used up. Through real workers and real sockets, from
//! hand-made IR.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod budget;
mod house;
mod session;
