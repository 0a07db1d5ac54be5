//! The security tests.
