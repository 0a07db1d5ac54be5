//! Writes what a Plan says about objects, as the leader only.
