//! Who leads: one of several replicas, by a Lease (`coordination.k8s.io/v1`).
//!
//! The rules are client-go's. The holder writes the Lease again every `retry`; it stops leading when it could not for
//! `renew_deadline`. Others take the Lease when it did not change for its duration, **as they saw it themselves**: clocks of machines are
//! never compared, so one that is wrong or jumps does no harm. Every write carries the resource version that it is based on: of two
//! that take the Lease at the same time, one wins.
//!
//! An installation in another namespace has a Lease of its own. One with the same controllerName would write the same statuses and objects
//! as we do, so only the oldest such installation leads; see [`rivals`].

mod election;
mod rivals;

use crate::{Event, Events, Severity};
use election::{Election, Outcome};
use kube::Client;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// Where the Lease is, and how long it holds.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of the Lease: the controller's own.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Name of the controller in GatewayClasses: of installations with the same one, the oldest leads.
    pub controller: String,
    /// Who we are, unique among the replicas: `<pod name>_<pod ip>:<push port>`.
    pub identity: String,
    /// How long the Lease holds without being renewed. Whole seconds, at least one.
    pub duration: Duration,
    /// How long the holder leads on without having renewed it; less than `duration`.
    pub renew_deadline: Duration,
    /// How often the holder renews it and the others look.
    pub retry: Duration,
}

/// Who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// Not known (yet): the API server does not answer, or nobody holds the Lease.
    Unknown,
    /// This replica.
    Leader,
    /// Another one.
    Follower {
        /// `holderIdentity` of the Lease.
        holder: String,
    },
    /// Another installation that has the same controllerName.
    Elsewhere {
        /// Where that one is.
        namespace: String,
        /// What is the matter and what to do, for people.
        message: String,
    },
}

/// Takes part in the election until it is released or dropped.
#[derive(Debug)]
pub struct Lease {
    leadership: watch::Receiver<Leadership>,
    leading: watch::Receiver<bool>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Settings {
    /// With client-go's times: 15 s, renewed within 10 s, tried every 2 s.
    pub fn new(
        namespace: impl Into<String>,
        name: impl Into<String>,
        controller: impl Into<String>,
        identity: impl Into<String>,
    ) -> Self {
        Settings {
            namespace: namespace.into(),
            name: name.into(),
            controller: controller.into(),
            identity: identity.into(),
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

impl Leadership {
    /// Whether it is this replica.
    pub fn is_leader(&self) -> bool {
        *self == Leadership::Leader
    }
}

impl Lease {
    /// Takes part from now on. With `events`, changes of the leader are told there, on the Lease.
    pub fn start(client: Client, settings: Settings, events: Option<Events>) -> Lease {
        let (leadership, leadership_seen) = watch::channel(Leadership::Unknown);
        let (leading, leading_seen) = watch::channel(false);
        let (stop, stopped) = oneshot::channel();
        let candidate = Candidate {
            election: Election::new(client, settings.clone()),
            settings,
            leadership,
            leading,
            events,
            trouble: None,
        };
        let task = tokio::spawn(candidate.run(stopped));
        Lease { leadership: leadership_seen, leading: leading_seen, stop: Some(stop), task }
    }

    /// Who leads, as far as this replica knows.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// Whether this replica leads.
    pub fn leading(&self) -> watch::Receiver<bool> {
        self.leading.clone()
    }

    /// Stops leading, then gives the Lease back, so that another replica can take it at once. For an orderly end.
    pub async fn release(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = (&mut self.task).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // After an orderly end there is nothing left to stop.
        self.task.abort();
    }
}

/// The task behind a [`Lease`].
struct Candidate {
    election: Election,
    settings: Settings,
    leadership: watch::Sender<Leadership>,
    leading: watch::Sender<bool>,
    events: Option<Events>,
    /// What went wrong the last time, so that it is said once.
    trouble: Option<String>,
}

impl Candidate {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        // When the round began in which the Lease was renewed last.
        let mut renewed: Option<Instant> = None;
        loop {
            let began = Instant::now();
            let patience = match renewed {
                Some(renewed) => self.settings.renew_deadline.saturating_sub(began - renewed),
                None => self.settings.renew_deadline,
            };
            let outcome = tokio::select! {
                _ = &mut stopped => break,
                outcome = timeout(patience, self.election.attempt(began)) => outcome.unwrap_or_else(|_| Outcome::failed("no answer in time")),
            };
            let held = outcome == Outcome::Held;
            let lost = matches!(outcome, Outcome::Other { .. } | Outcome::Elsewhere(_));
            let gives_way = matches!(&outcome, Outcome::Elsewhere(rival) if rival.is_older);
            if held {
                renewed = Some(began);
            } else if lost || renewed.is_some_and(|at| at.elapsed() >= self.settings.renew_deadline) {
                renewed = None;
            }
            self.tell(outcome, renewed.is_some());
            if gives_way {
                self.release().await;
            }
            let pause = match renewed {
                // What is left of the deadline is for trying again.
                Some(at) if !held => self.settings.retry.min(self.settings.renew_deadline.saturating_sub(at.elapsed())),
                Some(_) => self.settings.retry,
                // Replicas don't step on each other's feet.
                None => self.settings.retry.mul_f64(1.0 + 0.2 * fastrand::f64()),
            };
            tokio::select! {
                _ = &mut stopped => break,
                () = sleep(pause.saturating_sub(if held { began.elapsed() } else { Duration::ZERO })) => {}
            }
        }
        self.leading.send_replace(false);
        self.leadership.send_replace(Leadership::Unknown);
        self.release().await;
    }

    /// Gives the Lease back, if we hold it. We have stopped leading before.
    async fn release(&mut self) {
        if let Err(error) = timeout(self.settings.retry, self.election.release()).await.unwrap_or(Ok(())) {
            tracing::warn!(%error, "the Lease could not be given back; another replica takes over when it has expired");
        }
    }

    /// Publishes what a round came to.
    fn tell(&mut self, outcome: Outcome, leads: bool) {
        let Settings { namespace, name, identity, .. } = &self.settings;
        let trouble = match &outcome {
            Outcome::Failed(error) => Some(error.clone()),
            _ => None,
        };
        if trouble != self.trouble {
            match &trouble {
                Some(error) => tracing::warn!(%error, "the Lease {namespace}/{name} can't be renewed or looked at"),
                None => tracing::info!("the Lease {namespace}/{name} can be reached again"),
            }
            self.trouble = trouble;
        }
        let now = match outcome {
            _ if leads => Leadership::Leader,
            Outcome::Other { holder } if !holder.is_empty() => Leadership::Follower { holder },
            Outcome::Elsewhere(rival) => {
                Leadership::Elsewhere { message: rival.message(&self.settings), namespace: rival.namespace }
            }
            _ => Leadership::Unknown,
        };
        // Stop before it is said that we stopped; start after.
        if !leads {
            self.leading.send_if_modified(|leading| std::mem::replace(leading, false));
        }
        let before = self.leadership.borrow().clone();
        if before == now {
            return;
        }
        self.leadership.send_replace(now.clone());
        if leads {
            self.leading.send_replace(true);
        }
        match &now {
            Leadership::Leader => {
                tracing::info!("this replica leads: {identity} holds the Lease {namespace}/{name}");
                self.event(Severity::Normal, format!("{identity} became leader"));
            }
            Leadership::Follower { holder } => tracing::info!("{holder} leads; this replica stands by"),
            Leadership::Elsewhere { message, .. } => {
                tracing::error!("{message}");
                self.event(Severity::Warning, message.clone());
            }
            Leadership::Unknown => tracing::warn!("it is not known who leads"),
        }
        if before == Leadership::Leader {
            tracing::warn!("this replica leads no longer, and writes nothing from now on");
            self.event(Severity::Warning, format!("{identity} stopped leading"));
        }
    }

    fn event(&self, severity: Severity, message: String) {
        let Some(events) = &self.events else { return };
        events.publish(Event {
            regarding: self.election.reference(),
            severity,
            reason: "LeaderElection".into(),
            action: "LeaderElection".into(),
            message,
        });
    }
}

#[cfg(test)]
mod tests;
