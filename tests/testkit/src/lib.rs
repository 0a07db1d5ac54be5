//! What the tests share: processes, ports, clients.
