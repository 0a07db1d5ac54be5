//! The load tests.
