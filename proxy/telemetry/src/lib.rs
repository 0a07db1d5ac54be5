//! Worker-local counters and histograms, Prometheus text, access log.
