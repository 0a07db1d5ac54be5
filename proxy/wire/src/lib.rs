//! The push protocol: how configuration gets from the controller to its proxies.
