//! The push server: proxies connect, enrol, and are told what their Gateway needs.
//!
//! ```text
//! publish(gateway, Push) ──► History of the Gateway ──(what is newer than the proxy's version)──► stream of each proxy
//!                                                    Progress ◄── acks
//! ```
//!
//! What a proxy is to be told next follows from the version that it has: a slow proxy costs no memory and skips to the latest state.

mod accept;
mod history;
mod identity;
mod judge;
mod proxies;
mod push;
mod shares;
mod stream;
mod tls;
mod warnings;

pub use identity::Identity;

use crate::Progress;
use crate::ca::Authority;
use fairlead_ir::{Id, Push};
use fairlead_wire::Clock;
use history::Gateway;
use proxies::Proxies;
use shares::Shares;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use warnings::Warnings;

/// What the server needs to know.
pub struct Settings {
    /// Names (or addresses) of the controller, as proxies call it: its certificate has them.
    pub names: Vec<String>,
    /// The CA; each new one is taken up at once.
    pub authority: watch::Receiver<Arc<Authority>>,
    /// Judges tokens.
    pub enroller: Enroller,
    /// Who serves.
    pub role: watch::Receiver<Role>,
    /// What certificates are issued and judged by.
    pub clock: Clock,
}

/// Who a token is of. See [`enroller`].
pub type Enroller = Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = Result<Identity, Denied>> + Send>> + Send + Sync>;

/// Makes an [`Enroller`] of an async function.
pub fn enroller<F, T>(judge: F) -> Enroller
where
    F: Fn(String) -> T + Send + Sync + 'static,
    T: Future<Output = Result<Identity, Denied>> + Send + 'static,
{
    Arc::new(move |token| Box::pin(judge(token)))
}

/// Why a token does not become a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It is not valid, or of somebody else.
    #[error("{0}")]
    Token(String),
    /// It can't be judged at the moment.
    #[error("{0}")]
    Unavailable(String),
}

/// Which replica serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// This one: it leads, or it is not known who does.
    #[default]
    Serve,
    /// Another one: its push address.
    Redirect(SocketAddr),
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The listening socket is of no use.
    #[error("push server: {0}")]
    Socket(#[from] std::io::Error),
    /// There is no certificate for it.
    #[error("push server: {0}")]
    Authority(#[from] crate::ca::Error),
    /// TLS does not take it.
    #[error("push server: {0}")]
    Tls(#[from] rustls::Error),
    /// TLS does not take the CAs.
    #[error("push server: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// The running server; a handle that can be cloned. When the last one is dropped, it ends.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Arc<watch::Sender<bool>>,
}

/// What all connections share.
struct Shared {
    gateways: Mutex<BTreeMap<Id, Arc<Gateway>>>,
    /// Gateways of which nothing is known have nothing.
    complete: watch::Sender<bool>,
    proxies: Proxies,
    authority: watch::Receiver<Arc<Authority>>,
    enroller: Enroller,
    /// Enrolments at the same time: each asks the API server.
    enrolling: Semaphore,
    streams: Arc<Shares<Identity>>,
    role: watch::Receiver<Role>,
    clock: Clock,
    warnings: Arc<Warnings>,
    stopped: watch::Receiver<bool>,
}

/// See [`Shared::enrolling`].
const ENROLLING: usize = 16;

impl Server {
    /// Serves on a socket, on the tokio runtime that this is called on.
    ///
    /// # Errors
    /// When the authority can't issue a certificate for `names`.
    pub fn start(listener: TcpListener, settings: Settings) -> Result<Server, StartError> {
        let address = listener.local_addr()?;
        let Settings { names, authority, enroller, role, clock } = settings;
        let (stop, stopped) = watch::channel(false);
        let warnings = Arc::<Warnings>::default();
        let tls = tls::start(names, authority.clone(), clock.clone(), warnings.clone(), stopped.clone())?;
        let shared = Arc::new(Shared {
            gateways: Mutex::default(),
            complete: watch::Sender::new(false),
            proxies: Proxies::default(),
            authority,
            enroller,
            enrolling: Semaphore::new(ENROLLING),
            streams: Shares::new(push::STREAMS),
            role,
            clock,
            warnings,
            stopped: stopped.clone(),
        });
        tokio::spawn(accept::run(listener, tls, shared.clone(), stopped));
        Ok(Server { shared, address, stop: Arc::new(stop) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells the proxies of a Gateway (`<namespace>/<name>`). Versions increase; the first push holds everything. Costs what the push holds;
    /// it is sent by others.
    pub fn publish(&self, gateway: &Id, push: &Push) {
        self.shared.gateway(gateway).apply(push);
        if push.upserts.is_empty() {
            self.shared.tidy(gateway);
        }
    }

    /// A Gateway is gone: its proxies are told that there is nothing, and it is forgotten.
    pub fn remove(&self, gateway: &str) {
        if let Some(known) = self.shared.gateways().get(gateway) {
            known.clear();
        }
        self.shared.tidy(gateway);
    }

    /// Everything was published: a Gateway that was not has nothing to serve. Until then its proxies wait.
    pub fn complete(&self) {
        self.shared.complete.send_replace(true);
    }

    /// Whether [`Server::complete`] was called.
    pub fn is_complete(&self) -> bool {
        *self.shared.complete.borrow()
    }

    /// How far the proxies are.
    pub fn progress(&self) -> watch::Receiver<Arc<Progress>> {
        self.shared.proxies.subscribe()
    }

    /// Ends all streams and takes no more.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

impl Shared {
    /// The Gateway, known or not.
    fn gateway(&self, id: &Id) -> Arc<Gateway> {
        self.gateways().entry(id.clone()).or_default().clone()
    }

    /// Forgets a Gateway that has nothing to serve and nobody to serve it: one that is gone, or that never was.
    fn tidy(&self, id: &str) {
        let mut gateways = self.gateways();
        let complete = *self.complete.borrow();
        let idle =
            |gateway: &Arc<Gateway>| !gateway.is_used() && gateway.is_blank() && (complete || !gateway.is_published());
        if gateways.get(id).is_some_and(idle) {
            gateways.remove(id);
        }
    }

    fn gateways(&self) -> MutexGuard<'_, BTreeMap<Id, Arc<Gateway>>> {
        self.gateways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}
