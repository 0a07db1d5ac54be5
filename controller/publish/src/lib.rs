//! Plans to pushes: the delta between two configurations, in order.
