//! Writes statuses: the task, its channels, and the requests.

mod requests;
mod task;

use crate::desk::Desk;
use crate::{Events, Reporter};
use fairlead_crds::Kind;
use fairlead_ir::Id;
use fairlead_publish::Progress;
use fairlead_store::{Key, World};
use fairlead_translate::StatusSet;
use fairlead_translate::status::Reason;
use kube::Client;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// How statuses are written.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Ours: entries of routes and policies with it are ours, all others are not.
    pub controller_name: Arc<str>,
    /// Name of this replica, for events.
    pub instance: String,
    /// How long a status waits for the proxies to serve what it says. 2 s.
    pub ack_wait: Duration,
    /// How long a Gateway that was programmed stays so while no proxy is connected or one lags behind. 10 s.
    pub grace: Duration,
    /// The least time between two writes of one object. 200 ms; more, when nothing but counts changes for long.
    pub spacing: Duration,
    /// Writes under way at a time. 12.
    pub in_flight: usize,
}

impl Settings {
    /// The usual ones.
    pub fn new(controller_name: impl Into<Arc<str>>, instance: impl Into<String>) -> Self {
        Settings {
            controller_name: controller_name.into(),
            instance: instance.into(),
            ack_wait: Duration::from_secs(2),
            grace: Duration::from_secs(10),
            spacing: Duration::from_millis(200),
            in_flight: 12,
        }
    }
}

/// What the objects' statuses should be.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// The objects as they are.
    pub world: World,
    /// What their statuses should say; computed from `world`.
    pub status: StatusSet,
    /// By `<namespace>/<name>` of a Gateway: the version of its proxies' configuration that holds all this. Absent: nothing was pushed.
    pub versions: Arc<BTreeMap<Id, u64>>,
}

/// Something that keeps the proxies of a Gateway from being as they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What sort it is, for events: `UpperCamelCase`.
    pub reason: &'static str,
    /// The reason of the Gateway's `Programmed` condition, when it is false for it.
    pub programmed: Reason,
    /// Whether nobody gets to the proxies that there are.
    pub blocks: bool,
    /// What, and what to do.
    pub message: Box<str>,
}

/// Obstacles by Gateway.
pub type Obstacles = Arc<BTreeMap<Key, Vec<Obstacle>>>;

/// Something that keeps statuses from being written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Kind of the object; none of the others when it concerns all of a kind.
    pub kind: Kind,
    /// The object; `None`: all of the kind.
    pub key: Option<Key>,
    /// What, and what to do.
    pub message: String,
}

/// What was done so far.
#[derive(Debug, Default)]
pub struct Counts {
    /// Statuses written.
    pub written: AtomicU64,
    /// Those of Gateways among them.
    pub gateways: AtomicU64,
    /// Writes that were refused because somebody else wrote first; they are tried again.
    pub conflicts: AtomicU64,
    /// Writes that failed.
    pub failed: AtomicU64,
}

impl Counts {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Writes statuses, in the background, while this replica leads. Cheap to clone; ends with the last clone.
#[derive(Clone, Debug)]
pub struct Writer {
    desired: Arc<watch::Sender<Option<Desired>>>,
    obstacles: Arc<watch::Sender<Obstacles>>,
    problems: watch::Receiver<Arc<Vec<Problem>>>,
    counts: Arc<Counts>,
    events: Events,
}

impl Writer {
    /// Starts the writer. Nothing is written before the first [`submit`](Self::submit), nor while `leading` is false.
    pub fn start(
        client: Client,
        leading: watch::Receiver<bool>,
        progress: watch::Receiver<Arc<Progress>>,
        settings: Settings,
    ) -> Writer {
        let reporter =
            Reporter { controller: settings.controller_name.to_string(), instance: settings.instance.clone() };
        let events = Events::start(client.clone(), reporter);
        let (desired, received) = watch::channel(None);
        let (obstacles, obstructed) = watch::channel(Arc::default());
        let (told, problems) = watch::channel(Arc::default());
        let counts = Arc::new(Counts::default());
        let task = task::Task {
            desk: Desk::new(settings),
            requests: requests::Requests::new(client),
            desired: received,
            obstacles: obstructed,
            leading,
            progress,
            problems: told,
            counts: counts.clone(),
            events: events.clone(),
        };
        tokio::spawn(task.run());
        Writer { desired: Arc::new(desired), obstacles: Arc::new(obstacles), problems, counts, events }
    }

    /// Says what statuses should be from now on. Never blocks; the latest wins.
    pub fn submit(&self, desired: Desired) {
        self.desired.send_replace(Some(desired));
    }

    /// Says what keeps proxies from being as they should be: all of it, as it is now. Each is told in an event and in the
    /// Gateway's `Programmed` condition. Never blocks.
    pub fn obstruct(&self, obstacles: Obstacles) {
        self.obstacles.send_replace(obstacles);
    }

    /// For events of others.
    pub fn events(&self) -> Events {
        self.events.clone()
    }

    /// What keeps statuses from being written now.
    pub fn problems(&self) -> watch::Receiver<Arc<Vec<Problem>>> {
        self.problems.clone()
    }

    /// What was done so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

#[cfg(test)]
mod tests;
