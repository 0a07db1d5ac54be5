//! One export request: OTLP/gRPC or OTLP/HTTP, on a connection of the collector's cluster.

use super::exporter::Around;
use fairlead_http::{Event, Framing, Incoming, Known, Leg, Limits, RequestHead, ResponseHead, Scheme};
use fairlead_telemetry::trace::{Batch, Protocol, Tracer, otlp};
use fairlead_upstream::{Cluster, ClusterConfig, EndpointList, Upstream, Want};
use std::borrow::Cow;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
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
        let head = head(&self.tracer, cluster.config().is_tls());
        let mut again = true;
        loop {
            let pick = cluster.pick(&[]).ok_or_else(|| Refused::later("it has no endpoint"))?;
            let acquired = cluster.acquire(&pick, want).await;
            let mut up = acquired.map_err(|error| Refused::later(error.to_string()))?;
            let answer = match exchange(&mut up, &head, body).await {
                Ok(answer) => answer,
                // It may have been closed since it was last used.
                Err(_) if up.is_reused() && std::mem::take(&mut again) => continue,
                Err(error) => return Err(Refused::later(error.to_string())),
            };
            up.finish();
            return answer.outcome(settings.protocol);
        }
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

/// A request and its answer.
async fn exchange(up: &mut Upstream, head: &RequestHead, body: &[u8]) -> Result<Answer, fairlead_http::Error> {
    up.leg().send_request(head, Framing::Length(body.len() as u64))?;
    let mut rest = body;
    poll_fn(|cx| poll_send(cx, up.leg(), &mut rest)).await?;
    Answer::read(up).await
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

fn poll_send(cx: &mut Context<'_>, leg: &mut Leg, rest: &mut &[u8]) -> Poll<Result<(), fairlead_http::Error>> {
    while !rest.is_empty() {
        let sent = ready!(leg.poll_write(cx, rest))?;
        *rest = rest.get(sent..).unwrap_or_default();
    }
    leg.poll_finish(cx, None)
}

/// What a collector says.
#[derive(Default)]
struct Answer {
    head: ResponseHead,
    body: Vec<u8>,
    /// `grpc-status` and `grpc-message`, from trailers or head.
    status: Option<u32>,
    message: String,
}

impl Answer {
    async fn read(up: &mut Upstream) -> Result<Answer, fairlead_http::Error> {
        let mut answer = Answer::default();
        loop {
            match poll_fn(|cx| up.leg().poll_response(cx, &mut answer.head, &Limits::default())).await? {
                Incoming::Interim => {}
                Incoming::Upgraded => return Err(fairlead_http::Error::CLOSED),
                Incoming::Final(_) => break,
            }
        }
        poll_fn(|cx| {
            loop {
                match ready!(up.leg().poll_data(cx))? {
                    Event::Data => {
                        let (data, room) = (up.leg().data(), ANSWER - answer.body.len());
                        let n = data.len();
                        answer.body.extend_from_slice(data.get(..room).unwrap_or(data));
                        up.leg().consume(n);
                    }
                    Event::Trailers => {}
                    Event::End => return Poll::Ready(Ok::<(), fairlead_http::Error>(())),
                }
            }
        })
        .await?;
        let trailers = up.leg().trailers();
        let field = |known| trailers.get(known).or_else(|| answer.head.fields.get(known)).map(<[u8]>::to_vec);
        let (status, message) = (field(Known::GrpcStatus), field(Known::GrpcMessage));
        answer.status = status.and_then(|status| str::from_utf8(&status).ok()?.parse().ok());
        answer.message = String::from_utf8_lossy(&message.unwrap_or_default()).into_owned();
        Ok(answer)
    }

    fn outcome(&self, protocol: Protocol) -> Result<Option<(u64, String)>, Refused> {
        let status = self.head.status;
        if protocol == Protocol::Http || status != 200 {
            if (200..300).contains(&status) && protocol == Protocol::Http {
                return Ok(otlp::rejected(&self.body));
            }
            let after =
                self.head.fields.get(Known::RetryAfter).and_then(|value| str::from_utf8(value).ok()?.parse().ok());
            return Err(Refused {
                why: format!("it answers with status {status}").into(),
                again: matches!(status, 429 | 502 | 503 | 504),
                after: after.map(|seconds| Duration::from_secs(seconds).min(LONGEST)),
            });
        }
        match self.status {
            // The message's flag and length stand in front.
            Some(0) => Ok(otlp::rejected(self.body.get(5..).unwrap_or_default())),
            Some(status) => Err(Refused {
                why: format!("it answers with gRPC status {status}: {}", self.message).into(),
                again: is_transient(status),
                after: None,
            }),
            None => Err(Refused::later("it answers without a gRPC status")),
        }
    }
}

/// Statuses after which OTLP repeats a request (OTLP 1.x, "Failures"): `CANCELLED`, `DEADLINE_EXCEEDED`, `ABORTED`, `OUT_OF_RANGE`,
/// `UNAVAILABLE`, `DATA_LOSS`.
fn is_transient(status: u32) -> bool {
    matches!(status, 1 | 4 | 10 | 11 | 14 | 15)
}
