//! The two calls: enrol, and stream.

use super::identity::Peer;
use super::stream::Session;
use super::warnings::shortened;
use super::{Denied, Role, Shared};
use crate::ca;
use fairlead_wire::proto::push_server::Push;
use fairlead_wire::proto::{self, from_controller, from_proxy};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// A proxy says hello within this time.
const HELLO: Duration = Duration::from_secs(10);
/// Kubernetes' tokens are one or two KiB.
const TOKEN_LIMIT: usize = 32 << 10;
/// Streams of one proxy: those that are open, and those that began not longer ago than [`SETTLED`]. Each may cost a push of everything.
pub(super) const STREAMS: usize = 8;
/// See [`STREAMS`].
const SETTLED: Duration = Duration::from_secs(5);
/// Bytes of a name that are told.
const NAME: usize = 320;
/// Chunks that wait to be sent: the next is made when one is gone.
const AHEAD: usize = 1;

/// What the connections serve.
#[derive(Clone)]
pub(super) struct Calls(pub Arc<Shared>);

#[tonic::async_trait]
impl Push for Calls {
    type StreamStream = ReceiverStream<Result<proto::FromController, Status>>;

    async fn enroll(&self, request: Request<proto::EnrollRequest>) -> Result<Response<proto::EnrollResponse>, Status> {
        let shared = &self.0;
        let proto::EnrollRequest { token, csr } = request.into_inner();
        if token.is_empty() || token.len() > TOKEN_LIMIT {
            return Err(Status::unauthenticated("this is no token"));
        }
        let Ok(_permit) = shared.enrolling.acquire().await else {
            return Err(Status::unavailable("the controller is stopping"));
        };
        let identity = (shared.enroller)(token).await.map_err(|denied| {
            if shared.warnings.enrolments.may_tell() {
                // As text it is quoted: tokens have a say in what the API server answers.
                tracing::warn!(problem = denied.to_string(), "a proxy was not enrolled");
            }
            match denied {
                Denied::Token(text) => Status::unauthenticated(text),
                Denied::Unavailable(text) => Status::unavailable(text),
            }
        })?;
        let authority = shared.authority.borrow().clone();
        let certificate = authority.sign(&csr, &identity, shared.clock.now()).map_err(|error| match error {
            ca::Error::Request(_) => Status::invalid_argument(error.to_string()),
            error => Status::internal(error.to_string()),
        })?;
        tracing::debug!(gateway = &*identity.gateway, pod = &*identity.pod, "issued a certificate");
        Ok(Response::new(proto::EnrollResponse {
            certificate: certificate.to_vec(),
            renew_after_seconds: ca::LIFETIME.as_secs() / 2,
        }))
    }

    async fn stream(
        &self,
        request: Request<Streaming<proto::FromProxy>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        let peer = request.extensions().get::<Peer>().cloned();
        let peer = peer.ok_or_else(|| Status::unauthenticated("a client certificate is needed: enrol first"))?;
        let mut inbound = request.into_inner();
        let first = timeout(HELLO, inbound.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("the proxy does not say hello"))??;
        let Some(from_proxy::Message::Hello(hello)) = first.and_then(|first| first.message) else {
            return Err(Status::invalid_argument("the first message must be a hello"));
        };
        let (gateway, pod) = (&*peer.identity.gateway, &*peer.identity.pod);
        if (&*hello.gateway, &*hello.pod) != (gateway, pod) {
            let text = format!(
                "the certificate is of pod {pod} of Gateway {gateway}, not of pod {} of Gateway {}",
                shortened(&hello.pod, NAME),
                shortened(&hello.gateway, NAME)
            );
            if self.0.warnings.answers.may_tell() {
                tracing::warn!(problem = text, "a proxy was turned away");
            }
            return Err(Status::permission_denied(text));
        }
        let (outbound, messages) = mpsc::channel(AHEAD);
        let role = self.0.role.borrow().clone();
        match role {
            Role::Redirect(to) => drop(outbound.try_send(Ok(redirect(to)))),
            Role::Serve => {
                let Some(share) = self.0.streams.take(peer.identity.clone()) else {
                    return Err(Status::resource_exhausted("this pod opens streams too often"));
                };
                let settled = Instant::now() + SETTLED;
                let session = Session::new(self.0.clone(), peer, hello);
                tokio::spawn(async move {
                    session.run(inbound, outbound).await;
                    sleep_until(settled).await;
                    drop(share);
                });
            }
        }
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}

/// Says where the controller is that leads.
pub(super) fn redirect(to: std::net::SocketAddr) -> proto::FromController {
    let redirect = proto::Redirect { address: to.to_string() };
    proto::FromController { message: Some(from_controller::Message::Redirect(redirect)) }
}
