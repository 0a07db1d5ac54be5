//! What stands between here and the objects of the API server.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use fairlead_crds::Kind;
use fairlead_store::Severity;
use tokio::sync::watch::{Receiver, Sender};
use tracing::{debug, info, warn};

use crate::origin::Origin;

/// Why objects of a kind are not read, or not any more. `Display` gives one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whose objects are concerned; `None`: those of the CRDs, hence all kinds that have one.
    pub kind: Option<Kind>,
    /// The namespace, where each has its own watch.
    pub namespace: Option<Arc<str>>,
    /// What sort of problem it is.
    pub cause: Cause,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong and what to do, in one line.
    pub message: String,
}

/// What sort of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// There is no such CRD; the kind counts as one without objects.
    NotInstalled,
    /// The CRD serves none of the versions that we read; the kind counts as one without objects.
    NotServed,
    /// RBAC does not allow to read it; what was read before stays.
    Denied,
    /// The API server can't be reached, or does not answer as it should; what was read before stays.
    Unreachable,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// All problems there are, at most one for each [`Origin`].
#[derive(Debug)]
pub(crate) struct Board {
    problems: Mutex<BTreeMap<Origin, Problem>>,
    sender: Sender<Arc<Vec<Problem>>>,
}

impl Default for Board {
    fn default() -> Self {
        Board { problems: Mutex::default(), sender: Sender::new(Arc::default()) }
    }
}

impl Board {
    pub fn subscribe(&self) -> Receiver<Arc<Vec<Problem>>> {
        self.sender.subscribe()
    }

    /// Says what is wrong; the same again is not said again.
    pub fn report(&self, origin: &Origin, cause: Cause, severity: Severity, message: String) {
        let (kind, namespace) = (origin.kind(), origin.namespace().cloned());
        let problem = Problem { kind, namespace, cause, severity, message };
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        let before = problems.get(origin);
        if before.is_some_and(|before| before.cause == cause) {
            return;
        }
        // The API server as a whole is said to be away once, not for each kind.
        let is_known = cause == Cause::Unreachable && problems.values().any(|problem| problem.cause == cause);
        match severity {
            _ if is_known => debug!(%origin, "{problem}"),
            Severity::Note => info!(%origin, "{problem}"),
            Severity::Warning | Severity::Error => warn!(%origin, "{problem}"),
        }
        problems.insert(origin.clone(), problem);
        self.send(&problems);
    }

    /// Says that all is well.
    pub fn solve(&self, origin: &Origin) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(problem) = problems.remove(origin) else { return };
        if problem.cause == Cause::Unreachable {
            debug!(%origin, "watched again");
            if !problems.values().any(|problem| problem.cause == Cause::Unreachable) {
                info!("the API server is reached again");
            }
        } else {
            info!(%origin, "watched now");
        }
        self.send(&problems);
    }

    /// Forgets an origin that is not asked for any more.
    pub fn forget(&self, origin: &Origin) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        if problems.remove(origin).is_some() {
            self.send(&problems);
        }
    }

    fn send(&self, problems: &BTreeMap<Origin, Problem>) {
        self.sender.send_replace(Arc::new(problems.values().cloned().collect()));
    }
}
