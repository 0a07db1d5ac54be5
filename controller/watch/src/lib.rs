//! Objects of a Kubernetes API server as an immutable World.
