//! gRPC calls without a framework: an empty message there, a message or nothing back.

use fairlead_testkit::{Answer, Ask, Client, Content, Version};
use std::net::SocketAddr;

/// The service of `fairlead echo` (and of the conformance suite).
pub const SERVICE: &str = "gateway_api_conformance.echo_basic.grpcecho.GrpcEcho";

/// What came of a call.
#[derive(Debug)]
pub struct Called {
    /// `grpc-status`, from the trailers or the head.
    pub status: Option<u32>,
    /// `grpc-message`.
    pub message: String,
    /// All of the response.
    pub answer: Answer,
}

impl Called {
    /// Whether a text stands in the response's message; the echo server tells its pod and the request's headers there.
    pub fn says(&self, text: &str) -> bool {
        self.answer.body.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

/// A call of `service/method` with an empty message.
pub fn ask(host: &str, method: &str) -> Ask {
    let message = Content::Sized(b"\0\0\0\0\0".as_slice().into());
    Ask::new("POST", &format!("/{method}"))
        .host(host)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .content(message)
}

/// Calls over HTTP/2 without TLS.
pub fn call(address: SocketAddr, ask: &Ask) -> Called {
    of(Client::connect(Version::H2, address).ask(ask).whole())
}

/// Reads a response as that of a call.
pub fn of(answer: Answer) -> Called {
    let field = |name: &str| answer.trailer(name).or_else(|| answer.header(name)).map(str::to_owned);
    let status = field("grpc-status").and_then(|status| status.parse().ok());
    Called { status, message: field("grpc-message").unwrap_or_default(), answer }
}
