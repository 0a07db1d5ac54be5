//! IR compiled for the hot path.
