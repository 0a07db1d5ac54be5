//! A collector of spans, by OTLP/gRPC and OTLP/HTTP on one port, or by OTLP/gRPC over TLS.

use crate::client::Io;
use crate::tls::Pair;
use bytes::Bytes;
use fairlead_telemetry::trace::otlp::{ExportTraceServiceRequest, GRPC_PATH, HTTP_PATH, Span, Value};
use http::{HeaderMap, Response};
use prost::Message as _;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// See the module. Ends with the test's process.
pub struct Collector {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// A span, and what stood around it.
#[derive(Clone, Debug)]
pub struct Collected {
    /// `service.name` of the resource.
    pub service: String,
    /// The span.
    pub span: Span,
}

#[derive(Default)]
struct State {
    spans: Vec<Collected>,
    /// Fields of the requests.
    heads: Vec<HeaderMap>,
    /// gRPC statuses of the next answers; over HTTP anything but 0 is 503.
    refusals: VecDeque<u32>,
}

impl Collector {
    /// Starts one on a free port.
    pub fn start() -> Collector {
        Collector::at(([127, 0, 0, 1], 0))
    }

    /// Starts one there.
    pub fn at(address: impl Into<SocketAddr>) -> Collector {
        Collector::with(address.into(), None)
    }

    /// One that speaks gRPC over TLS.
    pub fn encrypted(pair: &Pair) -> Collector {
        Collector::with(([127, 0, 0, 1], 0).into(), Some(pair.acceptor(&[b"h2"])))
    }

    fn with(address: SocketAddr, tls: Option<TlsAcceptor>) -> Collector {
        let listener = std::net::TcpListener::bind(address).expect("the port");
        listener.set_nonblocking(true).expect("non-blocking");
        let address = listener.local_addr().expect("address");
        let state = Arc::<Mutex<State>>::default();
        let shared = state.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, tls.clone(), shared.clone()));
                }
            });
        });
        Collector { address, state }
    }

    /// Answers the next request with this gRPC status (over HTTP with 503), whatever service it is for.
    pub fn refuse(&self, status: u32) {
        self.state.lock().expect("state").refusals.push_back(status);
    }

    /// What came so far.
    pub fn spans(&self) -> Vec<Collected> {
        self.state.lock().expect("state").spans.clone()
    }

    /// Fields of the requests so far, refused ones too.
    pub fn heads(&self) -> Vec<HeaderMap> {
        self.state.lock().expect("state").heads.clone()
    }

    /// Waits for so many spans, which are then forgotten.
    pub fn take(&self, count: usize) -> Vec<Collected> {
        crate::wait_until(Duration::from_secs(15), &format!("{count} spans"), || {
            let spans = &mut self.state.lock().expect("state").spans;
            (spans.len() >= count).then(|| std::mem::take(spans))
        })
    }
}

impl State {
    /// The gRPC status of the answer.
    fn export(&mut self, head: HeaderMap, message: &[u8]) -> u32 {
        self.heads.push(head);
        if let Some(status) = self.refusals.pop_front() {
            return status;
        }
        let request = ExportTraceServiceRequest::decode(message).expect("an export request");
        for of_resource in request.resource_spans {
            let attributes = of_resource.resource.unwrap_or_default().attributes;
            let service = attributes.iter().find(|a| a.key == "service.name").and_then(|a| a.value.clone());
            let service = text(service.and_then(|value| value.value).as_ref());
            for span in of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                self.spans.push(Collected { service: service.clone(), span });
            }
        }
        0
    }
}

impl Collected {
    /// The value of an attribute as text; empty when it is not there.
    pub fn attribute(&self, key: &str) -> String {
        let found = self.span.attributes.iter().find(|attribute| attribute.key == key);
        text(found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()))
    }

    /// The trace's id in hex.
    pub fn trace(&self) -> String {
        hex(&self.span.trace_id)
    }

    /// The span's id in hex.
    pub fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    /// The id of its parent in hex; empty for a root.
    pub fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }
}

fn text(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::ArrayValue(array)) => {
            array.values.iter().map(|value| text(value.value.as_ref())).collect::<Vec<_>>().join(",")
        }
        Some(other) => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, state: Arc<Mutex<State>>) {
    if let Some(tls) = tls {
        // A client that does not trust us is the client's business.
        if let Ok(stream) = tls.accept(stream).await {
            grpc(stream, state).await;
        }
        return;
    }
    let mut first = [0; 3];
    while let Ok(n) = stream.peek(&mut first).await {
        if n == 3 || n == 0 {
            break;
        }
    }
    if &first == b"PRI" { grpc(stream, state).await } else { http(stream, state).await }
}

async fn grpc(stream: impl Io, state: Arc<Mutex<State>>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(call(request, respond, state.clone()));
    }
}

async fn call(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    state: Arc<Mutex<State>>,
) {
    let exports = request.uri().path() == GRPC_PATH;
    let (parts, mut content) = request.into_parts();
    let mut message = Vec::new();
    while let Some(data) = content.data().await {
        let Ok(data) = data else { return };
        let _ = content.flow_control().release_capacity(data.len());
        message.extend_from_slice(&data);
    }
    assert_eq!(message.first(), Some(&0), "not compressed");
    let status = {
        let mut state = state.lock().expect("state");
        assert!(exports || !state.refusals.is_empty(), "spans go to {GRPC_PATH}, not to {}", parts.uri);
        state.export(parts.headers, &message[5..])
    };
    let response = Response::builder().header("content-type", "application/grpc").body(()).expect("a head");
    let Ok(mut send) = respond.send_response(response, false) else { return };
    if status == 0 {
        let _ = send.send_data(Bytes::from_static(&[0; 5]), false);
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.into());
    let _ = send.send_trailers(trailers);
}

async fn http(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut ahead = Vec::new();
    loop {
        let Some(end) = until(&mut stream, &mut ahead, |a| a.windows(4).position(|w| w == b"\r\n\r\n")).await else {
            return;
        };
        let head = String::from_utf8_lossy(&ahead[..end]).into_owned();
        assert!(head.starts_with(&format!("POST {HTTP_PATH} HTTP/1.1\r\n")), "{head}");
        let mut fields = HeaderMap::new();
        for (name, value) in head.lines().skip(1).filter_map(|line| line.split_once(": ")) {
            let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a name");
            fields.append(name, value.parse().expect("a value"));
        }
        let length: usize = fields["content-length"].to_str().expect("text").parse().expect("a length");
        let whole = end + 4 + length;
        if until(&mut stream, &mut ahead, |a| (a.len() >= whole).then_some(whole)).await.is_none() {
            return;
        }
        let status = state.lock().expect("state").export(fields, &ahead[end + 4..whole]);
        ahead.drain(..whole);
        let line = if status == 0 { "200 OK" } else { "503 Service Unavailable" };
        let answer = format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\n\r\n");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Reads until there is what is looked for; `None` when the connection ends before.
async fn until(stream: &mut TcpStream, ahead: &mut Vec<u8>, find: impl Fn(&[u8]) -> Option<usize>) -> Option<usize> {
    loop {
        if let Some(found) = find(ahead) {
            return Some(found);
        }
        if stream.read_buf(ahead).await.ok()? == 0 {
            return None;
        }
    }
}
