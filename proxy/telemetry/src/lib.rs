//! What the proxy tells about itself: counters, gauges and histograms, their Prometheus text, the access log, and spans.
//!
//! `control: Registry::route(labels) ──► Arc<RouteMetrics> ──(snapshot)──► worker: metrics.at(w).requests.inc(status)`
//! `worker: LogSink::write(&Record) ──(64 KiB batches)──► writer thread ──► stdout or a file`
//! `worker: Recording::spans(&Record) ──► SpanBuffer ──(64 KiB batches)──► whoever exports them`
//!
//! Knows neither routes nor clusters nor sockets: it is handed labels and facts. On the request path nothing here takes a
//! lock, allocates or touches a cache line that another worker writes: each worker has its own block of cells, written
//! by it alone with plain loads and stores, and summed up when somebody scrapes. Handles are resolved by the control
//! side when a snapshot is compiled, never by a request. The number of series is bounded ([`Caps`]).
#![warn(missing_docs)]

mod cell;
mod clock;
mod encode;
mod flags;
mod grpc;
mod labels;
pub mod log;
mod process;
mod registry;
mod scope;
mod scopes;
pub mod trace;

pub use cell::{Counter, Gauge, Histogram, StatusCounts};
pub use clock::{Clock, Timestamp};
pub use flags::{Flag, Flags};
pub use grpc::GrpcStatus;
pub use labels::{ClusterLabels, EndpointLabels, ListenerLabels, RouteLabels};
pub use log::{
    AccessLog, Certificate, FormatError, LogSink, LogTarget, LogWriter, Moment, Needs, Record, Timeline, Upstream,
};
pub use registry::{BuildInfo, Caps, Export, PushOutcome, Registry};
pub use scope::Scope;
pub use scopes::{
    ClusterCells, ClusterMetrics, EndpointCells, EndpointMetrics, ListenerCells, ListenerMetrics, Protocol,
    ProtocolCounts, RejectCounts, RejectReason, RouteCells, RouteMetrics, WorkerCells,
};

#[doc = include_str!("../METRICS.md")]
pub mod metrics {}
