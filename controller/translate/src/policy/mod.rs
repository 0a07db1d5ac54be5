//! Policies that attach to what routes refer to.

mod backend_tls;

pub(crate) use backend_tls::{BackendTls, Policies, Target};
