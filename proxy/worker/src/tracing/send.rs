//! One export request: OTLP/gRPC or OTLP/HTTP, on a connection of the collector's cluster.

use super::exporter::Around;
use crate::exchange::callout::{self, Answer, Callout, Excess, Unanswered};
use fairlead_http::{Known, Limits, RequestHead, Scheme};
use fairlead_telemetry::GrpcStatus;
use fairlead_telemetry::trace::{Batch, Protocol, Tracer, otlp};
use fairlead_upstream::{Cluster, ClusterConfig, EndpointList, Want};
use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of an answer that are looked at.
const ANSWER: usize = 64 * 1024;
/// The longest that a collector may ask us to wait.
const LONGEST: Duration = Duration::from_secs(30);

/// Why spans were not taken.
#[derive(Debug)]
pub(super) struct Refused {
    pub why: Cow<'static, str>,
    /// Whether it may go better another time.
    pub again: bool,
    /// When, if the collector says so.
    pub after: Option<Duration>,
}

impl Refused {
    /// May be repeated.
    pub fn later(why: impl Into<Cow<'static, str>>) -> Refused {
        Refused { why: why.into(), again: true, after: None }
    }
}

impl From<Unanswered> for Refused {
    fn from(unanswered: Unanswered) -> Refused {
        match unanswered {
            Unanswered::NoEndpoint => Refused::later("it has no endpoint"),
            other => Refused::later(other.to_string()),
        }
    }
}

/// A tracer's collector.
pub(super) struct Link {
    tracer: Arc<Tracer>,
    epoch: Option<u64>,
    known: Option<Seen>,
}

/// The cluster as it was last seen.
struct Seen {
    config: Arc<ClusterConfig>,
    endpoints: Arc<EndpointList>,
    cluster: Rc<Cluster>,
}

impl Link {
    pub fn new(tracer: Arc<Tracer>) -> Link {
        Link { tracer, epoch: None, known: None }
    }

    /// For the log.
    pub fn name(&self) -> &str {
        &self.tracer.settings().authority
    }

    /// Looks after connections that nobody uses.
    pub fn sweep(&self) {
        if let Some(known) = &self.known {
            known.cluster.sweep(Instant::now());
        }
    }

    /// What is sent for these batches.
    pub fn body(&self, batches: &[Batch]) -> Vec<u8> {
        let message = otlp::request(&self.tracer, batches);
        if self.tracer.settings().protocol == Protocol::Http {
            return message;
        }
        let mut framed = Vec::with_capacity(message.len() + 5);
        framed.push(0);
        framed.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
        framed.extend_from_slice(&message);
        framed
    }

    /// Sends once. `Some`: how many spans the collector did not take although it took the request, and why.
    pub async fn send(&mut self, around: &Around, body: &[u8]) -> Result<Option<(u64, String)>, Refused> {
        let cluster = self.cluster(around).ok_or_else(|| Refused::later("its cluster is not known"))?;
        let settings = self.tracer.settings();
        let want = match settings.protocol {
            Protocol::Grpc => Want::Http2,
            Protocol::Http => cluster.want(),
        };
        let callout = Callout {
            cluster: &cluster,
            want,
            head: head(&self.tracer, cluster.config().is_tls()),
            authority: None,
            body,
            most: ANSWER,
            excess: Excess::Dropped,
            span: None,
        };
        let answer = callout::send(&Limits::default(), around.registry.background(), callout).await;
        outcome(&answer?, settings.protocol)
    }

    /// The collector's cluster as it is now; connections to endpoints that stay are kept.
    fn cluster(&mut self, around: &Around) -> Option<Rc<Cluster>> {
        if self.epoch != Some(around.snapshots.epoch()) {
            let (epoch, snapshot) = around.snapshots.load();
            let slot = self.tracer.settings().destination as usize;
            let entry = snapshot.clusters.get(slot).and_then(Option::as_ref);
            self.known = entry.map(|entry| match self.known.take() {
                Some(known) if Arc::ptr_eq(&known.config, &entry.config) => {
                    if !Arc::ptr_eq(&known.endpoints, &entry.endpoints) {
                        known.cluster.update_endpoints(entry.endpoints.clone());
                    }
                    Seen { endpoints: entry.endpoints.clone(), ..known }
                }
                _ => {
                    let (config, endpoints) = (entry.config.clone(), entry.endpoints.clone());
                    let (metrics, block) = (entry.metrics.clone(), around.registry.background());
                    let cluster = Cluster::new(config.clone(), endpoints.clone(), metrics, block);
                    Seen { config, endpoints, cluster }
                }
            });
            self.epoch = Some(epoch);
        }
        self.known.as_ref().map(|known| known.cluster.clone())
    }
}

fn head(tracer: &Tracer, tls: bool) -> RequestHead {
    let settings = tracer.settings();
    let mut head = RequestHead::new();
    head.set_method(b"POST");
    head.scheme = if tls { Scheme::Https } else { Scheme::Http };
    head.set_authority(settings.authority.as_bytes());
    let (path, content_type) = match settings.protocol {
        Protocol::Grpc => (otlp::GRPC_PATH, "application/grpc"),
        Protocol::Http => (otlp::HTTP_PATH, "application/x-protobuf"),
    };
    head.set_path_and_query(path.as_bytes());
    head.fields.push_known(Known::ContentType, content_type.as_bytes());
    if settings.protocol == Protocol::Grpc {
        head.fields.push_known(Known::Te, b"trailers");
    }
    head.fields.push_parts(Known::UserAgent, &[b"fairlead/", settings.version.as_bytes()]);
    for (name, value) in &settings.headers {
        head.fields.push(name.as_bytes(), value.as_bytes());
    }
    head
}

/// What a collector says.
fn outcome(answer: &Answer, protocol: Protocol) -> Result<Option<(u64, String)>, Refused> {
    let status = answer.head.status;
    if protocol == Protocol::Http || status != 200 {
        if (200..300).contains(&status) && protocol == Protocol::Http {
            return Ok(otlp::rejected(&answer.body));
        }
        let after =
            answer.head.fields.get(Known::RetryAfter).and_then(|value| str::from_utf8(value).ok()?.parse().ok());
        return Err(Refused {
            why: format!("it answers with status {status}").into(),
            again: matches!(status, 429 | 502 | 503 | 504),
            after: after.map(|seconds| Duration::from_secs(seconds).min(LONGEST)),
        });
    }
    match GrpcStatus::of(Some(&answer.trailers), Some(&answer.head)).map(GrpcStatus::code) {
        // The message's flag and length stand in front.
        Some(0) => Ok(otlp::rejected(answer.body.get(5..).unwrap_or_default())),
        Some(status) => {
            // In the trailers, or in the head when there is nothing else.
            let message = [&answer.trailers, &answer.head.fields].into_iter().find_map(|f| f.get(Known::GrpcMessage));
            let message = String::from_utf8_lossy(message.unwrap_or_default());
            Err(Refused {
                why: format!("it answers with gRPC status {status}: {message}").into(),
                again: is_transient(status),
                after: None,
            })
        }
        None => Err(Refused::later("it answers without a gRPC status")),
    }
}

/// Statuses after which OTLP repeats a request (OTLP 1.x, "Failures"): `CANCELLED`, `DEADLINE_EXCEEDED`, `ABORTED`, `OUT_OF_RANGE`,
/// `UNAVAILABLE`, `DATA_LOSS`.
fn is_transient(status: u32) -> bool {
    matches!(status, 1 | 4 | 10 | 11 | 14 | 15)
}
