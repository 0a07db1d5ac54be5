//! Applies the Kubernetes objects of a Plan: the proxies of each Gateway.
