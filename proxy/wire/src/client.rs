//! The proxy's side: stays connected to the controller that leads, gives pushes out and takes answers.
//!
//! One task owns the state; see [`Client::start`]. It reads CA bundle and token anew each time that it needs them, because both are
//! replaced while it runs. While no controller answers, the proxy serves on; one that starts then gets what it had last from the cache.

mod backoff;
mod held;
mod identity;
mod session;
mod stream;

use crate::Clock;
use crate::connect::Target;
use fairlead_ir::{Id, Push, ResourceId};
use http::Uri;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tonic::{Code, Status};

/// Where the controller is, and who the proxy is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `https://HOST:PORT`; HOST is also what the controller's certificate must name.
    pub controller: String,
    /// PEM bundle of the CAs that may have signed the controller's certificate.
    pub ca_file: PathBuf,
    /// Projected service account token.
    pub token_file: PathBuf,
    /// `<namespace>/<name>` of the Gateway.
    pub gateway: Id,
    /// Name of the pod.
    pub pod: Id,
    /// Version of the program, for people.
    pub program: String,
    /// Where the last configuration is kept; without it a proxy that starts needs a controller.
    pub cache: Option<PathBuf>,
    /// A proxy that starts waits so long for the controller before it takes the cache; 1 s.
    pub patience: Duration,
    /// Judges the controller's certificate.
    pub clock: Clock,
}

/// What the proxy gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    /// From the controller.
    Push(Push),
    /// From the cache: at most once, before all others.
    Cached(Push),
}

/// How the connection is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The controller that the proxy is connected to.
    pub peer: Option<SocketAddr>,
    /// Since when `peer` is so.
    pub since: Option<SystemTime>,
    /// Why the last try failed, or the last connection ended.
    pub problem: Option<String>,
    /// Streams that were opened so far.
    pub streams: u64,
    /// Certificates that were issued to this process so far.
    pub certificates: u64,
}

/// Why a client can't even start.
#[derive(Debug, thiserror::Error)]
#[error("controller {0:?}: must be https://HOST or https://HOST:PORT")]
pub struct BadAddress(String);

/// The connection to the controller. When it is dropped, it ends.
#[derive(Debug)]
pub struct Client {
    received: mpsc::Receiver<Received>,
    orders: mpsc::UnboundedSender<Order>,
    link: watch::Receiver<Link>,
    task: JoinHandle<()>,
}

/// Answers pushes; see [`Client::answers`].
#[derive(Clone, Debug)]
pub struct Answers(mpsc::UnboundedSender<Order>);

#[derive(Debug)]
enum Order {
    Ack { version: u64, rejected: Vec<(ResourceId, String)>, unbound: BTreeMap<String, String> },
    Unbound(BTreeMap<String, String>),
    Close,
}

impl Client {
    /// Starts to connect, on the tokio runtime that this is called on.
    ///
    /// # Errors
    /// When the controller's address makes no sense. All else is tried again and again, and told in [`Client::link`] and the log.
    pub fn start(settings: Settings) -> Result<Client, BadAddress> {
        let target = target(&settings.controller).ok_or_else(|| BadAddress(settings.controller.clone()))?;
        let (give, received) = mpsc::channel(1);
        let (orders, taken) = mpsc::unbounded_channel();
        let (tell, link) = watch::channel(Link::default());
        let task = tokio::spawn(session::run(settings, target, give, taken, tell));
        Ok(Client { received, orders, link, task })
    }

    /// The next push. Each is to be answered with [`Client::ack`]; until then there is no other. None: the client ended.
    pub async fn next(&mut self) -> Option<Received> {
        self.received.recv().await
    }

    /// The proxy serves a version: all of it but what it rejects, and but for the sockets that it could not open.
    pub fn ack(&self, version: u64, rejected: Vec<(ResourceId, String)>, unbound: BTreeMap<String, String>) {
        self.answers().ack(version, rejected, unbound);
    }

    /// For those who answer from another task.
    pub fn answers(&self) -> Answers {
        Answers(self.orders.clone())
    }

    /// How the connection is.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Ends the connection, and writes the cache if it is behind.
    pub async fn close(self) {
        let _ = self.orders.send(Order::Close);
        drop(self.received);
        let _ = self.task.await;
    }
}

impl Answers {
    /// See [`Client::ack`].
    pub fn ack(&self, version: u64, rejected: Vec<(ResourceId, String)>, unbound: BTreeMap<String, String>) {
        let _ = self.0.send(Order::Ack { version, rejected, unbound });
    }

    /// Sockets were opened or lost after the answer: all that are not open now, with the reason.
    pub fn unbound(&self, unbound: BTreeMap<String, String>) {
        let _ = self.0.send(Order::Unbound(unbound));
    }
}

fn target(controller: &str) -> Option<Target> {
    let uri: Uri = controller.parse().ok()?;
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    (uri.scheme_str() == Some("https") && bare && !host.is_empty()).then(|| Target {
        host: host.to_string(),
        port: uri.port_u16().unwrap_or(443),
        address: None,
    })
}

/// Why a try failed.
#[derive(Debug)]
struct Failure {
    text: String,
    /// The certificate may be at fault: ask for another.
    identity: bool,
}

impl Failure {
    fn of(text: String) -> Failure {
        Failure { text, identity: false }
    }

    fn status(what: &str, status: &Status) -> Failure {
        let identity = matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated);
        let text = match status.message() {
            "" => format!("{what}: {}", status.code()),
            message => format!("{what}: {message}"),
        };
        Failure { text, identity }
    }
}

#[cfg(test)]
mod tests;
