//! Heads, bodies, framing, the HTTP/1.1 codec and HTTP/2.

pub mod authority;
mod error;
mod fields;
mod framing;
mod known;
mod limits;
mod method;
mod request;
mod response;

pub use error::{Error, ErrorKind, Reject};
pub use fields::{FieldRef, Fields};
pub use framing::{Framing, parse_length};
pub use known::Known;
pub use limits::{Limits, Underscores};
pub use method::{Method, Scheme, Version};
pub use request::{RequestHead, Upgrade, is_grpc_type};
pub use response::{ResponseHead, reason};
