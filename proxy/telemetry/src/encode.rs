//! Prometheus text exposition format 0.0.4.
//!
//! A metric is declared once: name, kind, help, and how its samples are read from a scope. Sums over workers are taken
//! while writing; values of different cells are not of the same instant.

use crate::cell::{Counter, Gauge, Histogram, StatusCounts};
use crate::scope::Scope;
use crate::scopes::{ClusterCells, EndpointCells, ListenerCells, Protocol, RejectReason, RouteCells, WorkerCells};
use std::sync::Arc;

/// `# TYPE` of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Summary,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
        }
    }
}

/// A metric of scopes of one kind.
pub(crate) struct Metric<C> {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    samples: fn(&Scope<C>, &mut Samples<'_>),
}

/// Writes metrics; names of a family come once, all its samples together.
pub(crate) struct Encoder<'a> {
    out: &'a mut String,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(out: &'a mut String) -> Self {
        Encoder { out }
    }

    /// All metrics of scopes of a kind. Without scopes nothing is written.
    pub(crate) fn family<C>(&mut self, metrics: &[Metric<C>], scopes: &[Arc<Scope<C>>]) {
        if scopes.is_empty() {
            return;
        }
        for metric in metrics {
            self.head(metric.name, metric.kind, metric.help);
            for scope in scopes {
                (metric.samples)(scope, &mut Samples { out: self.out, name: metric.name, labels: scope.labels() });
            }
        }
    }

    /// A metric that belongs to no scope; each sample has rendered labels.
    pub(crate) fn plain(&mut self, name: &str, kind: Kind, help: &str, samples: &[(&str, f64)]) {
        self.head(name, kind, help);
        for (labels, value) in samples {
            self.out.push_str(name);
            if !labels.is_empty() {
                self.out.push('{');
                self.out.push_str(labels);
                self.out.push('}');
            }
            self.out.push(' ');
            self.out.push_str(&value.to_string());
            self.out.push('\n');
        }
    }

    fn head(&mut self, name: &str, kind: Kind, help: &str) {
        for part in ["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind.name(), "\n"] {
            self.out.push_str(part);
        }
    }
}

/// Writes the samples of one metric of one scope.
pub(crate) struct Samples<'a> {
    out: &'a mut String,
    name: &'static str,
    labels: &'a str,
}

impl Samples<'_> {
    fn counter<C>(&mut self, scope: &Scope<C>, cell: fn(&C) -> &Counter) {
        self.counter_with(&[], scope.total(|block| cell(block).value()));
    }

    fn gauge<C>(&mut self, scope: &Scope<C>, cell: fn(&C) -> &Gauge) {
        let total: i64 = scope.blocks().map(|block| cell(block).value()).sum();
        self.start("", &[]);
        self.int(total);
    }

    fn classes<C>(&mut self, scope: &Scope<C>, extra: &[&str], cell: fn(&C) -> &StatusCounts) {
        self.classes_by(extra, |class| scope.total(|block| cell(block).of(class).value()));
    }

    fn classes_by(&mut self, extra: &[&str], count: impl Fn(usize) -> u64) {
        for (i, class) in StatusCounts::CLASSES.iter().enumerate() {
            let count = count(i);
            match extra {
                [name, value] => self.counter_with(&[name, value, "class", class], count),
                _ => self.counter_with(&["class", class], count),
            }
        }
    }

    fn counter_with(&mut self, extra: &[&str], value: u64) {
        self.start("", extra);
        self.int(value);
    }

    fn histogram<C>(&mut self, scope: &Scope<C>, cell: fn(&C) -> &Histogram) {
        let mut cumulative = 0;
        for (i, bound) in Histogram::BOUNDS.iter().map(Some).chain([None]).enumerate() {
            cumulative += scope.total(|block| cell(block).count_in(i));
            match bound {
                Some(&bound) => self.start("_bucket", &["le", seconds(bound as u64, &mut [0; 32])]),
                None => self.start("_bucket", &["le", "+Inf"]),
            }
            self.int(cumulative);
        }
        self.sum_and_count(scope.total(|block| cell(block).sum()), cumulative);
    }

    fn sum_and_count(&mut self, micros: u64, count: u64) {
        self.start("_sum", &[]);
        self.out.push_str(seconds(micros, &mut [0; 32]));
        self.out.push('\n');
        self.start("_count", &[]);
        self.int(count);
    }

    /// `name_suffix{labels,extra="…"} `
    fn start(&mut self, suffix: &str, extra: &[&str]) {
        self.out.push_str(self.name);
        self.out.push_str(suffix);
        let mut open = '{';
        if !self.labels.is_empty() {
            self.out.push(open);
            self.out.push_str(self.labels);
            open = ',';
        }
        for pair in extra.chunks_exact(2) {
            self.out.push(open);
            open = ',';
            for part in [pair[0], "=\"", pair[1], "\""] {
                self.out.push_str(part);
            }
        }
        if open == ',' {
            self.out.push('}');
        }
        self.out.push(' ');
    }

    fn int(&mut self, value: impl itoa::Integer) {
        self.out.push_str(itoa::Buffer::new().format(value));
        self.out.push('\n');
    }
}

/// Microseconds as decimal seconds without trailing zeros: `0.0005`, `60`.
fn seconds(micros: u64, buf: &mut [u8; 32]) -> &str {
    let mut len = 0;
    for &b in itoa::Buffer::new().format(micros / 1_000_000).as_bytes() {
        buf[len] = b;
        len += 1;
    }
    let (mut rest, mut unit) = (micros % 1_000_000, 100_000);
    if rest > 0 {
        buf[len] = b'.';
        len += 1;
    }
    while rest > 0 {
        buf[len] = b'0' + (rest / unit) as u8;
        len += 1;
        rest %= unit;
        unit /= 10;
    }
    std::str::from_utf8(&buf[..len]).unwrap_or_default()
}

macro_rules! metric {
    ($name:literal, counter, $help:literal, $cell:expr) => {
        Metric { name: $name, kind: Kind::Counter, help: $help, samples: |s, out| out.counter(s, $cell) }
    };
    ($name:literal, gauge, $help:literal, $cell:expr) => {
        Metric { name: $name, kind: Kind::Gauge, help: $help, samples: |s, out| out.gauge(s, $cell) }
    };
    ($name:literal, classes, $help:literal, $cell:expr) => {
        Metric { name: $name, kind: Kind::Counter, help: $help, samples: |s, out| out.classes(s, &[], $cell) }
    };
    ($name:literal, histogram, $help:literal, $cell:expr) => {
        Metric { name: $name, kind: Kind::Histogram, help: $help, samples: |s, out| out.histogram(s, $cell) }
    };
}

pub(crate) const LISTENER: &[Metric<ListenerCells>] = &[
    metric!("fairlead_listener_connections_total", counter, "Accepted connections.", |c| &c.connections),
    metric!("fairlead_listener_connections_active", gauge, "Open connections.", |c| &c.connections_active),
    metric!("fairlead_listener_accept_errors_total", counter, "Failed accepts.", |c| &c.accept_errors),
    metric!("fairlead_listener_tls_errors_total", counter, "Failed TLS handshakes.", |c| &c.tls_errors),
    metric!("fairlead_listener_requests_active", gauge, "Exchanges under way.", |c| &c.requests_active),
    Metric {
        name: "fairlead_listener_requests_total",
        kind: Kind::Counter,
        help: "Ended exchanges by protocol and class of status.",
        samples: |s, out| {
            for protocol in Protocol::ALL {
                out.classes_by(&["protocol", protocol.name()], |class| {
                    s.total(|c| c.requests.of(protocol).of(class).value())
                });
            }
        },
    },
    metric!(
        "fairlead_listener_request_duration_seconds",
        histogram,
        "First byte of the request to last byte of the response.",
        |c| &c.duration
    ),
    metric!("fairlead_listener_bytes_received_total", counter, "Bytes of request bodies.", |c| &c.bytes_received),
    metric!("fairlead_listener_bytes_sent_total", counter, "Bytes of response bodies.", |c| &c.bytes_sent),
    Metric {
        name: "fairlead_listener_rejects_total",
        kind: Kind::Counter,
        help: "Requests refused before routing, by reason.",
        samples: |s, out| {
            for reason in RejectReason::ALL {
                out.counter_with(&["reason", reason.name()], s.total(|c| c.rejects.of(reason).value()));
            }
        },
    },
    Metric {
        name: "fairlead_listener_h2_resets_total",
        kind: Kind::Counter,
        help: "Reset HTTP/2 streams, by who reset them.",
        samples: |s, out| {
            out.counter_with(&["by", "client"], s.total(|c| c.h2_resets_received.value()));
            out.counter_with(&["by", "proxy"], s.total(|c| c.h2_resets_sent.value()));
        },
    },
];

pub(crate) const ROUTE: &[Metric<RouteCells>] = &[
    metric!("fairlead_route_requests_total", classes, "Ended exchanges by class of status.", |c| &c.requests),
    Metric {
        name: "fairlead_route_request_duration_seconds",
        kind: Kind::Summary,
        help: "Durations of ended exchanges.",
        samples: |s, out| out.sum_and_count(s.total(|c| c.duration_micros.value()), s.total(|c| c.requests.total())),
    },
    metric!("fairlead_route_retries_total", counter, "Attempts after the first.", |c| &c.retries),
    metric!("fairlead_route_retries_exhausted_total", counter, "Exchanges whose retries were used up.", |c| &c
        .retries_exhausted),
    metric!("fairlead_route_timeouts_total", counter, "Exchanges that ended by the route's timeout.", |c| &c.timeouts),
    metric!("fairlead_route_mirrored_total", counter, "Copies sent to mirrors.", |c| &c.mirrored),
    metric!("fairlead_route_mirror_failures_total", counter, "Copies that a mirror did not take.", |c| &c
        .mirror_failures),
];

pub(crate) const CLUSTER: &[Metric<ClusterCells>] = &[
    metric!("fairlead_cluster_requests_total", classes, "Ended attempts by class of status.", |c| &c.requests),
    metric!("fairlead_cluster_requests_active", gauge, "Attempts under way.", |c| &c.requests_active),
    metric!("fairlead_cluster_request_duration_seconds", histogram, "Durations of attempts.", |c| &c.duration),
    metric!("fairlead_cluster_connections_total", counter, "Established connections.", |c| &c.connections),
    metric!("fairlead_cluster_connections_active", gauge, "Open connections, idle ones included.", |c| &c
        .connections_active),
    metric!("fairlead_cluster_connect_failures_total", counter, "Failed connects, timeouts included.", |c| &c
        .connect_failures),
    metric!("fairlead_cluster_connect_timeouts_total", counter, "Connects that took too long.", |c| &c
        .connect_timeouts),
    metric!("fairlead_cluster_tls_errors_total", counter, "Failed TLS handshakes.", |c| &c.tls_errors),
    metric!("fairlead_cluster_retries_total", counter, "Attempts after the first.", |c| &c.retries),
    metric!(
        "fairlead_cluster_retries_refused_total",
        counter,
        "Retries that the breaker or the budget refused.",
        |c| &c.retries_refused
    ),
    metric!("fairlead_cluster_timeouts_total", counter, "Attempts that took too long.", |c| &c.timeouts),
    Metric {
        name: "fairlead_cluster_resets_total",
        kind: Kind::Counter,
        help: "Attempts cut off before their end, by who did it.",
        samples: |s, out| {
            out.counter_with(&["by", "upstream"], s.total(|c| c.resets_received.value()));
            out.counter_with(&["by", "proxy"], s.total(|c| c.resets_sent.value()));
        },
    },
    metric!("fairlead_cluster_protocol_errors_total", counter, "Responses that broke the protocol.", |c| &c
        .protocol_errors),
    metric!("fairlead_cluster_no_endpoint_total", counter, "Requests without an endpoint to go to.", |c| &c
        .no_endpoint),
    Metric {
        name: "fairlead_cluster_auth_total",
        kind: Kind::Counter,
        help: "Requests that an authorisation service was asked about, by what came of it.",
        samples: |s, out| {
            let results = [
                ("allowed", s.total(|c| c.auth_allowed.value())),
                ("denied", s.total(|c| c.auth_denied.value())),
                ("error", s.total(|c| c.auth_errors.value())),
            ];
            // Few clusters are authorisation services.
            for (result, count) in results.into_iter().filter(|_| results.iter().any(|(_, count)| *count > 0)) {
                out.counter_with(&["result", result], count);
            }
        },
    },
    metric!("fairlead_cluster_bytes_sent_total", counter, "Bytes of bodies sent to the upstream.", |c| &c.bytes_sent),
    metric!("fairlead_cluster_bytes_received_total", counter, "Bytes of bodies received from the upstream.", |c| &c
        .bytes_received),
];

pub(crate) const ENDPOINT: &[Metric<EndpointCells>] = &[
    metric!("fairlead_endpoint_requests_total", counter, "Attempts.", |c| &c.requests),
    metric!("fairlead_endpoint_failures_total", counter, "Attempts without response, or with a status of 5xx.", |c| &c
        .failures),
    metric!("fairlead_endpoint_requests_active", gauge, "Attempts under way.", |c| &c.requests_active),
    metric!("fairlead_endpoint_connect_failures_total", counter, "Failed connects.", |c| &c.connect_failures),
];

pub(crate) const WORKER: &[Metric<WorkerCells>] = &[
    metric!("fairlead_worker_snapshot_version", gauge, "Version of the configuration that the worker serves.", |c| &c
        .snapshot_version),
    metric!("fairlead_access_log_records_total", counter, "Records written to the access log.", |c| &c.log_records),
    metric!("fairlead_access_log_dropped_total", counter, "Records lost because the log's writer was behind.", |c| &c
        .log_dropped),
    metric!("fairlead_trace_spans_total", counter, "Spans recorded.", |c| &c.spans),
    metric!("fairlead_trace_spans_dropped_total", counter, "Spans lost because the exporter was behind.", |c| &c
        .spans_dropped),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact() {
        let cases = [
            (0, "0"),
            (500, "0.0005"),
            (2_500, "0.0025"),
            (1_000_000, "1"),
            (60_000_000, "60"),
            (1, "0.000001"),
            (1_230_000, "1.23"),
        ];
        for (micros, text) in cases {
            assert_eq!(seconds(micros, &mut [0; 32]), text);
        }
        assert_eq!(seconds(u64::MAX, &mut [0; 32]), "18446744073709.551615");
    }
}
