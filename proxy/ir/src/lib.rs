//! The language between the controller and the proxy.
