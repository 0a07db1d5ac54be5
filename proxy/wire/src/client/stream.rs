//! One try: a certificate if there is none, a connection, a stream.

use super::Failure;
use super::identity::{Enrolment, Identity};
use crate::connect::{Target, connect, tls};
use crate::proto::{self, from_proxy};
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, Streaming};

/// From the first packet to the open stream, the certificate included.
const PATIENCE: Duration = Duration::from_secs(15);

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
    pub outcome: Result<Open, Failure>,
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
) -> Result<Open, Failure> {
    let config = tls(&enrolment.roots().await?, Some(identity.pair()), &enrolment.clock);
    let config = config.map_err(|error| Failure { text: format!("client TLS: {error}"), identity: true })?;
    let connected = connect(target, config).await;
    let (mut client, peer) =
        connected.map_err(|error| Failure { identity: refused(&error), text: error.to_string() })?;
    let (outbound, messages) = mpsc::unbounded_channel();
    let _ = outbound.send(proto::FromProxy { message: Some(from_proxy::Message::Hello(hello)) });
    match client.stream(UnboundedReceiverStream::new(messages)).await {
        Ok(response) => Ok(Open { inbound: response.into_inner(), peer, outbound }),
        Err(status) => Err(rejected(&status)),
    }
}

/// The server's judgement of our certificate comes with the first answer (TLS 1.3).
fn rejected(status: &Status) -> Failure {
    if !refused(status) {
        return Failure::status("the controller opens no stream", status);
    }
    let cause = causes(status).last().map(ToString::to_string).unwrap_or_default();
    Failure { text: format!("the controller does not take this proxy's certificate: {cause}"), identity: true }
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
