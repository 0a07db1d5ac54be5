//! One try: a certificate if there is none, a connection, a stream.

use super::Failure;
use super::identity::{Enrolment, Identity};
use crate::connect::{Connection, Target, connect, tls};
use crate::proto::{self, from_proxy};
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, Streaming};

/// From the first packet to the open stream, the certificate included.
const PATIENCE: Duration = Duration::from_secs(15);

/// A connection that broke has said why by then.
const END: Duration = Duration::from_secs(1);

/// A stream to the controller.
pub(super) struct Open {
    pub inbound: Streaming<proto::FromController>,
    pub peer: SocketAddr,
    outbound: mpsc::UnboundedSender<proto::FromProxy>,
}

/// What became of a try.
pub(super) struct Tried {
    /// A new certificate, if one was needed.
    pub enrolled: Option<Arc<Identity>>,
    pub outcome: Result<Box<Open>, Failure>,
}

impl Open {
    /// Answers. When the stream has ended this is lost; the next hello says the same.
    pub fn say(&self, ack: proto::Ack) {
        let _ = self.outbound.send(proto::FromProxy { message: Some(from_proxy::Message::Ack(ack)) });
    }
}

/// Opens a stream that begins with `hello`.
pub(super) async fn try_stream(
    enrolment: Enrolment,
    identity: Option<Arc<Identity>>,
    target: Target,
    hello: proto::Hello,
) -> Tried {
    let mut enrolled = None;
    let attempt = async {
        let identity = match identity {
            Some(identity) => identity,
            None => enrolled.insert(Arc::new(enrolment.enroll().await?)).clone(),
        };
        open(&enrolment, &identity, &target, hello).await
    };
    let outcome = match timeout(PATIENCE, attempt).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::of(format!("the controller does not answer within {PATIENCE:?}"))),
    };
    Tried { enrolled, outcome }
}

async fn open(
    enrolment: &Enrolment,
    identity: &Identity,
    target: &Target,
    hello: proto::Hello,
) -> Result<Box<Open>, Failure> {
    let config = tls(&enrolment.roots().await?, Some(identity.pair()), &enrolment.clock);
    let config = config.map_err(|error| Failure { text: format!("client TLS: {error}"), identity: true })?;
    let connected = connect(target, config).await;
    let Connection { mut client, peer, end } =
        connected.map_err(|error| Failure { identity: refused(&error), text: error.to_string() })?;
    let (outbound, messages) = mpsc::unbounded_channel();
    let _ = outbound.send(proto::FromProxy { message: Some(from_proxy::Message::Hello(hello)) });
    match client.stream(UnboundedReceiverStream::new(messages)).await {
        Ok(response) => Ok(Box::new(Open { inbound: response.into_inner(), peer, outbound })),
        // What the controller itself says has no error behind it.
        Err(status) if status.source().is_none() => Err(Failure::status("the controller opens no stream", &status)),
        Err(status) => Err(broken(&status, end).await),
    }
}

/// The server's judgement of our certificate comes after our side of the handshake (TLS 1.3), as an alert that ends the connection, or, when
/// that is lost, as its end: then the certificate may be at fault, too.
async fn broken(status: &Status, end: JoinHandle<hyper::Result<()>>) -> Failure {
    let end = timeout(END, end).await.ok().and_then(Result::ok).and_then(Result::err);
    let error: &(dyn Error + 'static) = match &end {
        Some(end) => end,
        None => status,
    };
    let cause = causes(error).last().map(ToString::to_string).unwrap_or_default();
    let text = match refused(error) {
        true => format!("the controller does not take this proxy's certificate: {cause}"),
        false => format!("the connection ended before there was a stream: {cause}"),
    };
    Failure { text, identity: true }
}

/// Whether an alert of TLS is at the bottom of an error.
fn refused(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| matches!(cause.downcast_ref(), Some(rustls::Error::AlertReceived(_))))
}

/// An error and what is behind it, the inner errors of `io::Error` included.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    fn cause<'a>(error: &&'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
        let error: &'a (dyn Error + 'static) = *error;
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    }
    std::iter::successors(Some(error), cause)
}
