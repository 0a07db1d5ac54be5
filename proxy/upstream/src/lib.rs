//! Clusters, balancers, pools and DNS.
