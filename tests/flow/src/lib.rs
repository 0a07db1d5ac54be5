//! The flow tests.
