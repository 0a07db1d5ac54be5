//! Objects from files to an immutable World.
