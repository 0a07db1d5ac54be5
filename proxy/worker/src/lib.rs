//! The request path: accept, serve, filter, route, pick, send, reply, record.
