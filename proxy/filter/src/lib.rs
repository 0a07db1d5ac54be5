//! HTTP filters: one folder each.
