//! World to Plan: pure, total, no clock, no I/O.
