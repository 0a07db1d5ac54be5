//! Objects of a Kubernetes API server as an immutable World.
//!
//! ```text
//! API server ──(list, watch: one task per kind and namespace)──► objects ──► World ──(next)──► Change, Change, …
//!     └──(CustomResourceDefinitions)──► which kinds and versions there are
//! ```
//!
//! Objects go through the same types and defaults as those of files, and come out as the same [`Change`]s. Knows what objects
//! are called, not what they mean. Nothing that goes wrong between here and the API server takes an object away: it stays as
//! it was last seen, and [`health`](Watch::health) says what is wrong until it is solved.
//!
//! The loop of list and watch is ours, on kube's client and not on `kube::runtime::watcher`, because that one does not tell
//! when a watch is up again after an error, and takes minutes to see that the other side is gone.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod definitions;
mod discovery;
mod follow;
mod health;
mod objects;
mod origin;
mod pace;
mod raw;
mod retry;
mod secrets;
mod shared;
mod task;
#[cfg(feature = "testing")]
pub mod testing;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use fairlead_crds::Kind;
use fairlead_store::{Change, Key};
use tokio::sync::watch::Receiver;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

pub use health::{Cause, Problem};

use pace::Pace;
use shared::{Due, Shared};

/// What to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The namespaces whose objects are read; empty: all. Each has watches of its own, so that RBAC can be given by Role.
    pub namespaces: Vec<String>,
    /// The namespaces whose Secrets are read; empty: those of `namespaces`. Those of type `kubernetes.io/tls` are read all; of others
    /// it is known what they are called, and one is read as long as it is [needed](Watch::need).
    pub secret_namespaces: Vec<String>,
}

/// Why a watch can't be started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A namespace of the settings is not a name that a namespace can have.
    #[error(
        "{0:?} is not the name of a namespace: it takes 1 to 63 of a-z, 0-9 and -, beginning and ending with a letter or digit"
    )]
    Namespace(String),
}

/// Objects that are watched, and their [`Change`]s.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    tasks: JoinHandle<()>,
    pace: Pace,
}

/// Ends a [`Watch`] from elsewhere.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<Shared>);

impl Watch {
    /// Starts to watch, on the current Tokio runtime. Does not wait for the API server: that it can't be reached is a
    /// problem of [`health`](Watch::health), and tried again until it can.
    ///
    /// # Errors
    ///
    /// When the settings can't be meant.
    #[allow(clippy::unused_async)] // so that what it does may grow without another signature
    pub async fn start(client: kube::Client, settings: Settings) -> Result<Watch, Error> {
        let named = settings.namespaces.iter().chain(&settings.secret_namespaces);
        if let Some(wrong) = named.clone().find(|name| !is_label(name)) {
            return Err(Error::Namespace(wrong.clone()));
        }
        let shared = Arc::new(Shared::default());
        let settings = settings.distinct();
        let work = (
            definitions::supervise(client.clone(), settings.clone(), shared.clone()),
            secrets::read(client, settings, shared.clone()),
        );
        let tasks = tokio::spawn(async move {
            tokio::join!(work.0, work.1);
        });
        Ok(Watch { shared, tasks, pace: Pace::new(Instant::now()) })
    }

    /// The next change; `None` after [`Stopper::stop`]. The first is everything, after each kind that the API server has was
    /// listed once.
    ///
    /// A change is told at once. What comes while the caller is busy is told together, and in a burst there are at most
    /// 100 changes a second, so that a thousand objects are not a thousand plans.
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            if self.shared.is_stopped() {
                return None;
            }
            match self.shared.due() {
                Due::Nothing => self.shared.woken().await,
                Due::Restated => self.while_restated().await,
                Due::Changed => match self.pace.wait(Instant::now()) {
                    Some(wait) => self.sleep(wait).await,
                    None => return Some(self.shared.take()),
                },
                Due::Quietly => return Some(self.shared.take()),
            }
        }
    }

    /// What stands between here and the objects of the API server now. Each problem is there (and logged) once, until it is
    /// solved.
    pub fn health(&self) -> Receiver<Arc<Vec<Problem>>> {
        self.shared.board.subscribe()
    }

    /// The version of the Gateway API whose CRDs are installed, such as `v1.7.0`: the oldest, where they differ. `None`
    /// until it is known, and where the CRDs do not say. A change of it is told by a [`Change`], which may be empty.
    pub fn bundle(&self) -> Option<Arc<str>> {
        self.shared.bundle()
    }

    /// Whether the installed CRDs of the Gateway API are those of its experimental channel. A change of it is told by a [`Change`].
    pub fn is_experimental(&self) -> bool {
        self.shared.is_experimental()
    }

    /// Whether the API server has a [kind that not every one has](Kind::is_optional). A change of it is told by a [`Change`].
    pub fn serves(&self, kind: Kind) -> bool {
        self.shared.serves(kind)
    }

    /// Says which Secrets are referred to, of whatever type and whether they exist or not: they are read from now on, as far as their
    /// namespaces allow, and no others. What was read and is needed no more is dropped.
    ///
    /// Whether one of them exists and has not been read yet: then it comes in a [`Change`] soon, as long as the API server answers.
    pub fn need(&self, secrets: impl IntoIterator<Item = Key>) -> bool {
        secrets::need(&self.shared, secrets)
    }

    /// Whether a Secret that is [needed](Watch::need) exists and has not been read yet.
    pub fn lacks_secrets(&self) -> bool {
        self.shared.edit(|state| state.secrets.lacks())
    }

    /// A handle that ends it.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.shared.clone())
    }

    /// Lets what is only restated wait for more of its kind: nobody plans by it.
    async fn while_restated(&self) {
        let settled = async {
            while matches!(self.shared.due(), Due::Restated) && !self.shared.is_stopped() {
                self.shared.woken().await;
            }
        };
        if timeout(RESTATED, settled).await.is_err() {
            self.shared.quietly();
        }
    }

    async fn sleep(&self, wait: Duration) {
        let stopped = async {
            while !self.shared.is_stopped() {
                self.shared.woken().await;
            }
        };
        tokio::select! {
            () = sleep(wait) => {}
            () = stopped => {}
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

impl Stopper {
    /// Makes [`Watch::next`] give `None`; what waits returns at once.
    pub fn stop(&self) {
        self.0.stop();
    }
}

impl Settings {
    /// Each namespace once.
    fn distinct(mut self) -> Self {
        for namespaces in [&mut self.namespaces, &mut self.secret_namespaces] {
            let distinct: BTreeSet<String> = std::mem::take(namespaces).into_iter().collect();
            namespaces.extend(distinct);
        }
        self
    }
}

/// RFC 1123 label, as Kubernetes wants of a namespace.
fn is_label(name: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let (first, last) = (name.bytes().next(), name.bytes().last());
    name.len() <= 63 && name.bytes().all(inner) && [first, last].iter().all(|c| c.is_some_and(|c| c != b'-'))
}

/// How long a status that was written waits for others.
const RESTATED: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests;
