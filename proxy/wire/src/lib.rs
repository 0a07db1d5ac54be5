//! The push protocol: how configuration gets from the controller to its proxies.
#![allow(missing_docs)]
pub mod proto { tonic::include_proto!("fairlead.push.v1"); }
