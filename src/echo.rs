//! `fairlead echo`: a backend that answers with what it saw, and misbehaves on request.
//!
//! Its answers are those of the Gateway API conformance suite's `echo-basic` (field names, paths, request headers), so
//! that the same tests run against either. Everything beyond that is listed in [`HELP`].
//!
//! `listen ──► (tls) ──► hyper ──► respond ──► report | wish`, on worker threads with a runtime each.

mod body;
mod grpc;
mod lines;
mod report;
mod respond;
mod retry;
mod server;
mod tls;
mod websocket;
mod wire;
mod wish;

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use server::Server;

/// Answer every request with what it was: a backend to try routes with
#[derive(clap::Args, Clone, Debug)]
#[command(after_long_help = HELP)]
pub struct Args {
    /// Address to listen on, for all ports
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V6(Ipv6Addr::UNSPECIFIED))]
    pub address: IpAddr,
    /// Port for HTTP/1.1, HTTP/2 without TLS (h2c), gRPC and WebSocket; may be given several times, 0 takes a free one
    #[arg(long, value_name = "PORT", default_value = "3000")]
    pub port: Vec<u16>,
    /// Port for the same over TLS
    #[arg(long, value_name = "PORT")]
    pub tls_port: Option<u16>,
    /// Certificate chain for --tls-port and --suite-tls-port, PEM; without it one is made, signed by a CA of its own
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key for --tls-cert, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Names of the certificate that is made: DNS names, IP addresses, URIs
    #[arg(long, value_name = "NAME", default_values = ["localhost", "127.0.0.1", "::1"], conflicts_with = "tls_cert")]
    pub tls_name: Vec<String>,
    /// Write the certificate of the CA that signed the certificate that is made
    #[arg(long, value_name = "FILE", conflicts_with = "tls_cert")]
    pub tls_self_signed_out: Option<PathBuf>,
    /// CA certificates for clients, PEM; a client certificate that is presented must lead to one of them
    #[arg(long, value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// Unix domain socket for the same as --port
    #[arg(long, value_name = "PATH")]
    pub unix: Option<PathBuf>,
    /// Port for a TCP echo: every byte comes back
    #[arg(long, value_name = "PORT")]
    pub tcp_port: Option<u16>,
    /// Port for a UDP echo: every datagram comes back
    #[arg(long, value_name = "PORT")]
    pub udp_port: Option<u16>,
    /// Port for the line protocol of the conformance suite's TCP server (TEST, IS_TLS, PING)
    #[arg(long, value_name = "PORT")]
    pub suite_tcp_port: Option<u16>,
    /// Port for the same over TLS
    #[arg(long, value_name = "PORT")]
    pub suite_tls_port: Option<u16>,
    /// Port for the conformance suite's UDP server: answers with JSON that holds the datagram
    #[arg(long, value_name = "PORT")]
    pub suite_udp_port: Option<u16>,
    /// Name to answer as, instead of the environment's POD_NAME
    #[arg(long, value_name = "NAME")]
    pub pod: Option<String>,
    /// Namespace to answer as, instead of the environment's NAMESPACE
    #[arg(long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Service to answer as, instead of the environment's SERVICE_NAME
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Threads that serve --port and --tls-port
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: u16,
    /// Print a line per request
    #[arg(long)]
    pub log: bool,
}

/// What `fairlead echo --help` says below the options.
pub const HELP: &str = "\
Paths:
  /                    JSON with path, host, method, proto, headers, httpPort, namespace, ingress,
                       service, pod and tls
  /health              200 \"OK\"
  /status/CODE         an empty answer with that status, 200 to 999
  /retry/...           ?uuid=ID&succeedAfter=N: the first N requests with this ID fail, by a
                       connection reset or with &responseCode=CODE, after &delayRetry=DURATION
  .../echo-body        the request's body and trailers, streamed back
  .../sink             reads the body to its end and answers with its size and trailers
  .../raw              ?bytes=TEXT: these bytes (%-encoded) as the whole answer on the connection,
                       which then closes; HTTP/1.1 only
  .../ws               WebSocket echo, over HTTP/1.1 or HTTP/2 (RFC 8441)

Wishes, in the query (?delay=1s) or as a header (X-Echo-Delay: 1s), where JSON is the answer:
  delay=DURATION       wait before the answer; as Go writes durations: 1s, 250ms, 1m30s
  status=CODE          answer with this status
  size=N               a body of N bytes (or Nk, Nm, Ng) instead of the JSON
  chunk=N              in pieces of N bytes; 16 KiB without it
  chunk-delay=DURATION with this pause before each piece
  chunked=true         without a content-length: chunked on HTTP/1.1, and with close=body cut off
                       within a chunk
  trailers=NAME:VALUE  with this trailer (HTTP/1.1 needs TE: trailers); comma-separated for several
  early-hints=N        N times 103 Early Hints before the answer; HTTP/1.1 only
  close=WHERE          break the connection: now (reset), head (within the answer's head, HTTP/1.1
                       only), body (half way)
  hang=true            never answer
  connection=close     ask to close the connection after the answer; HTTP/1.1 only
  read=false           answer without reading the request's body first
  grpc-status=N        answer gRPC calls with this status; grpc-message=TEXT goes with it
  X-Echo-Set-Header: NAME:VALUE,NAME:VALUE  (header only) add these headers to the answer

gRPC, on HTTP/2:
  gateway_api_conformance.echo_basic.grpcecho.GrpcEcho/{Echo,EchoTwo}
                             as the conformance suite's server
  .../EchoThree              UNIMPLEMENTED, as there
  fairlead.echo.Stream/Echo  every message comes back, as a bidirectional stream

Example:
  fairlead echo --port 3000 --pod one &
  curl 'localhost:3000/hello?delay=100ms'
";

/// Serves until the process is told to stop (SIGINT, SIGTERM); then lets requests in progress finish, for five seconds
/// at most.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut server = Server::start(&args)?;
    print(&server.listening().to_string());
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = server.failed() => {}
    }
    tokio::task::spawn_blocking(move || server.stop()).await.context("the workers did not stop")?
}

/// Prints to standard output; a reader that went away is no reason to stop serving.
fn print(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests;
