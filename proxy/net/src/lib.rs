//! Sockets, listeners and TLS.
