//! The task behind a [`Writer`](super::Writer): carries what happens to the [`Desk`], and what that decides to the API server.

use super::requests::Requests;
use super::{Counts, Desired, Obstacles, Problem};
use crate::Events;
use crate::desk::{Desk, Name, Outcome, Step};
use fairlead_crds::Kind;
use fairlead_publish::Progress;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep_until};

pub(super) struct Task {
    pub desk: Desk,
    pub requests: Requests,
    pub desired: watch::Receiver<Option<Desired>>,
    pub obstacles: watch::Receiver<Obstacles>,
    pub leading: watch::Receiver<bool>,
    pub progress: watch::Receiver<Arc<Progress>>,
    pub problems: watch::Sender<Arc<Vec<Problem>>>,
    pub counts: Arc<Counts>,
    pub events: Events,
}

/// The least time between two looks at all that is desired: while much changes, changes are taken together.
const BATCH: Duration = Duration::from_millis(5);

impl Task {
    /// Runs until nobody can submit any more, or the election is over.
    pub async fn run(mut self) {
        let mut writes: JoinSet<(Name, Outcome)> = JoinSet::new();
        let mut calm = Instant::now();
        let mut proxies = true;
        self.desk.lead(*self.leading.borrow_and_update(), calm);
        self.desk.acked(self.progress.borrow_and_update().clone(), calm);
        loop {
            let busy = self.work(&mut writes);
            if busy {
                yield_now().await;
            }
            let wake = if busy { Some(Instant::now()) } else { self.desk.wake() };
            tokio::select! {
                biased;
                changed = self.leading.changed() => {
                    let leading = changed.is_ok() && *self.leading.borrow_and_update();
                    if !leading {
                        // Stops what is under way, too.
                        writes = JoinSet::new();
                    }
                    self.desk.lead(leading, Instant::now());
                    if changed.is_err() {
                        return;
                    }
                }
                Some(joined) = writes.join_next() => match joined {
                    Ok((name, outcome)) => self.done(&name, outcome),
                    Err(error) => tracing::error!(%error, "a write of a status broke off"),
                },
                changed = self.progress.changed(), if proxies => {
                    proxies = changed.is_ok();
                    let progress = self.progress.borrow_and_update().clone();
                    self.desk.acked(progress, Instant::now());
                }
                Ok(()) = self.obstacles.changed() => {
                    let obstacles = self.obstacles.borrow_and_update().clone();
                    self.desk.obstruct(obstacles, Instant::now());
                }
                changed = next(&mut self.desired, calm) => {
                    if changed.is_err() {
                        return;
                    }
                    let desired = self.desired.borrow_and_update().clone();
                    let now = Instant::now();
                    calm = now + BATCH;
                    desired.into_iter().for_each(|desired| self.desk.submit(desired, now));
                }
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
        }
    }

    /// Does what is due. Whether there is more to look at.
    fn work(&mut self, writes: &mut JoinSet<(Name, Outcome)>) -> bool {
        let now = Instant::now();
        self.desk.tick(now);
        let stamp = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let busy = loop {
            match self.desk.next(now, &stamp) {
                Step::Write(job) => drop(writes.spawn(self.requests.clone().write(job))),
                Step::Breathe => break true,
                Step::Rest => break false,
            }
        };
        for event in self.desk.events() {
            self.events.publish(event);
        }
        if let Some(problems) = self.desk.problems() {
            self.problems.send_replace(Arc::new(problems));
        }
        busy
    }

    fn done(&mut self, name: &Name, outcome: Outcome) {
        match &outcome {
            Outcome::Written(_) => {
                Counts::add(&self.counts.written);
                if name.0 == Kind::Gateway {
                    Counts::add(&self.counts.gateways);
                }
            }
            Outcome::Conflict(_) => Counts::add(&self.counts.conflicts),
            _ => Counts::add(&self.counts.failed),
        }
        self.desk.done(name, outcome, Instant::now());
    }
}

/// Waits for a change, but not before `calm`.
async fn next(desired: &mut watch::Receiver<Option<Desired>>, calm: Instant) -> Result<(), watch::error::RecvError> {
    sleep_until(calm).await;
    desired.changed().await
}
