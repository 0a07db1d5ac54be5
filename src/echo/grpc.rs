//! gRPC without a framework: one message type, encoded by hand (`grpcecho.proto` of the conformance suite).

use bytes::{BufMut as _, Bytes, BytesMut};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, Response};

use super::body::Body;
use super::report::{Connection, Context, TlsReport, host, text};
use super::wish::Wish;

/// Whether a request is a gRPC call.
pub fn is_call<B>(request: &Request<B>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    content_type.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
}

/// Whether a call is one to our streaming method, whose answer is the request's body.
pub fn is_stream<B>(request: &Request<B>) -> bool {
    request.uri().path() == STREAM
}

/// Answers a call whose request has been read.
pub fn respond<B>(request: &Request<B>, wish: &Wish, connection: &Connection, context: &Context) -> Response<Body> {
    if let Some(status) = wish.grpc_status {
        return trailers_only(status, wish.grpc_message.as_deref().unwrap_or_default());
    }
    let path = request.uri().path();
    let (service, method) = path.strip_prefix('/').and_then(|p| p.rsplit_once('/')).unwrap_or(("", path));
    match (service, method) {
        (SERVICE, "Echo" | "EchoTwo") => {
            let message = frame(&echo_response(request, connection, context));
            let mut trailers = status_trailers(OK, "");
            trailers.extend(wish.trailers.clone());
            respond_with(Body::Whole { data: Some(message), trailers: Some(trailers) })
        }
        (SERVICE, "EchoThree") => trailers_only(UNIMPLEMENTED, "method EchoThree not implemented"),
        (SERVICE, method) => trailers_only(UNIMPLEMENTED, &format!("unknown method {method} for service {SERVICE}")),
        (service, _) => trailers_only(UNIMPLEMENTED, &format!("unknown service {service}")),
    }
}

/// Answers a streaming call: its messages come back as they arrive.
pub fn respond_stream(from: hyper::body::Incoming, wish: &Wish) -> Response<Body> {
    let mut trailers =
        status_trailers(wish.grpc_status.unwrap_or(OK), wish.grpc_message.as_deref().unwrap_or_default());
    trailers.extend(wish.trailers.clone());
    respond_with(Body::Relay { from: Box::new(from), trailers: Some(trailers) })
}

const SERVICE: &str = "gateway_api_conformance.echo_basic.grpcecho.GrpcEcho";
const STREAM: &str = "/fairlead.echo.Stream/Echo";
const OK: u32 = 0;
const UNIMPLEMENTED: u32 = 12;

fn respond_with(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

fn trailers_only(status: u32, message: &str) -> Response<Body> {
    let mut response = respond_with(Body::empty());
    response.headers_mut().extend(status_trailers(status, message));
    response
}

fn status_trailers(status: u32, message: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(status));
    if !message.is_empty() {
        // Percent-encoded, so it is always a valid value.
        if let Ok(message) = HeaderValue::from_str(&percent_encode(message)) {
            trailers.insert("grpc-message", message);
        }
    }
    trailers
}

/// The gRPC protocol's `Percent-Encoded`: printable ASCII but `%` as it is.
fn percent_encode(message: &str) -> String {
    message.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

/// Length-prefixed, not compressed.
fn frame(message: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(5 + message.len());
    out.put_u8(0);
    out.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    out.put_slice(message);
    out.freeze()
}

/// `EchoResponse { Assertions assertions = 1; EchoRequest request = 2; }`
fn echo_response<B>(request: &Request<B>, connection: &Connection, context: &Context) -> Vec<u8> {
    let authority = host(request);
    let mut assertions = Message::default();
    assertions.string(1, request.uri().path());
    assertions.header(":authority", &authority);
    for (name, value) in request.headers() {
        if !RESERVED.contains(&name.as_str()) {
            assertions.header(name.as_str(), &text(value.as_bytes()));
        }
    }
    assertions.string(3, &authority);
    let mut who = Message::default();
    for (number, value) in [&context.namespace, &context.ingress, &context.service, &context.pod].iter().enumerate() {
        who.string(number as u32 + 1, value);
    }
    assertions.bytes(4, &who.0);
    if let Some(tls) = &connection.tls {
        assertions.bytes(5, &tls_assertions(tls));
    }
    let mut response = Message::default();
    response.bytes(1, &assertions.0);
    response.0
}

/// What gRPC libraries keep from applications.
const RESERVED: [&str; 6] =
    ["te", "host", "grpc-encoding", "grpc-accept-encoding", "grpc-timeout", "grpc-message-type"];

fn tls_assertions(tls: &TlsReport) -> Vec<u8> {
    let mut message = Message::default();
    message.string(1, &tls.version);
    message.string(2, &tls.negotiated_protocol);
    message.string(3, &tls.server_name);
    message.string(4, &tls.cipher_suite);
    for certificate in &tls.peer_certificates {
        message.bytes(5, certificate.as_bytes());
    }
    message.0
}

/// A protobuf message that is written field by field.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    /// Proto3 leaves empty strings out.
    fn string(&mut self, number: u32, value: &str) {
        if !value.is_empty() {
            self.bytes(number, value.as_bytes());
        }
    }

    fn bytes(&mut self, number: u32, value: &[u8]) {
        const LENGTH_DELIMITED: u64 = 2;
        self.varint(u64::from(number) << 3 | LENGTH_DELIMITED);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    /// `Header { string key = 1; string value = 2; }` as field 2 of the assertions.
    fn header(&mut self, key: &str, value: &str) {
        let mut header = Message::default();
        header.string(1, key);
        header.string(2, value);
        self.bytes(2, &header.0);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}
