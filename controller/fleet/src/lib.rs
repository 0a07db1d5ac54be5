//! Applies the Kubernetes objects of a Plan: the proxies of each Gateway.
//!
//! ```text
//! Plan.fleet ──► Book (what differs) ──► apply, delete ──► API server
//!                  ▲                                          │
//!                  └──────────── live: watches by label ◄─────┘
//! ```
//!
//! * Only while leading. What is wanted is applied at once and in parallel (server-side apply, field manager
//!   [`FIELD_MANAGER`]); what nobody wants any more is deleted, as far as it is ours.
//! * An object that exists and is not ours is never touched: that is a [`Problem`] of the Gateway.
//! * What others change of ours is set right as soon as a watch tells of it. What they add stays.
//!
//! Knows nothing of Gateways but their keys, and nothing of what the objects mean but how replicas are scaled.

mod book;
mod live;
mod problem;
mod request;
mod run;

pub use problem::{Problem, ProblemReason};

use fairlead_store::Key;
use fairlead_translate::fleet::{Fleet, label_value};
use imbl::OrdMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The name under which our fields are managed.
pub const FIELD_MANAGER: &str = "fairlead";

/// Annotation of each object: a hash of what was applied, so that a new leader begins with what differs.
pub const APPLIED: &str = "fairlead.dev/applied";

/// Label of each object: whose it is, as several controllers may be in a cluster. [`Settings::controller`], as far as a label can say it.
pub const CONTROLLER: &str = "fairlead.dev/controller";

/// What is wrong, by Gateway.
pub type Problems = Arc<BTreeMap<Key, Vec<Problem>>>;

/// How an [`Applier`] works.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Namespaces to look for objects of ours in; empty: all.
    pub namespaces: Vec<String>,
    /// `controllerName` of our GatewayClasses. What belongs to Gateways of others is never touched.
    pub controller: String,
}

impl Settings {
    /// Value of [`CONTROLLER`].
    fn label(&self) -> Arc<str> {
        let fits = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') { c } else { '_' };
        let value: String = self.controller.chars().map(fits).collect();
        label_value(value.trim_matches(['-', '.', '_'])).into()
    }
}

/// Applies fleets, as long as it lives.
pub struct Applier {
    wanted: watch::Sender<Option<OrdMap<Key, Arc<Fleet>>>>,
    problems: watch::Receiver<Problems>,
    task: JoinHandle<()>,
}

impl Applier {
    /// Starts; needs a tokio runtime. Writes nothing before it leads and something was [submitted](Applier::submit).
    pub fn start(client: kube::Client, leading: watch::Receiver<bool>, settings: Settings) -> Applier {
        let (wanted, submitted) = watch::channel(None);
        let (report, problems) = watch::channel(Problems::default());
        let task = tokio::spawn(run::run(client, leading, submitted, report, settings));
        Applier { wanted, problems, task }
    }

    /// What there should be from now on: all Gateways of ours, with their fleets. Never blocks; the latest wins.
    ///
    /// What is not in it is deleted, so it must come of a whole World.
    pub fn submit(&self, fleets: OrdMap<Key, Arc<Fleet>>) {
        self.wanted.send_replace(Some(fleets));
    }

    /// What is wrong at the moment, by Gateway; cleared when it is solved, and while somebody else leads.
    pub fn problems(&self) -> watch::Receiver<Problems> {
        self.problems.clone()
    }
}

impl Drop for Applier {
    fn drop(&mut self) {
        self.task.abort();
    }
}
