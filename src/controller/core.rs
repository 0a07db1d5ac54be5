//! One change after the other: plan, push, then what is to be written.

use fairlead_crds::Kind;
use fairlead_fleet::Applier;
use fairlead_ir::{Id, ResourceId};
use fairlead_publish::{Fanout, Server};
use fairlead_status::{Desired, Writer};
use fairlead_store::{Change, Key, World};
use fairlead_translate::fleet::Fleet;
use fairlead_translate::{Planner, Settings};
use fairlead_watch::Watch;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::delay::Delay;
use super::metrics::Metrics;
use super::token::Accounts;

/// From changes of the objects to what proxies are told and what is written.
pub struct Core {
    planner: Planner,
    fanout: Fanout,
    server: Server,
    fleet: Applier,
    writer: Writer,
    metrics: Arc<Metrics>,
    world: World,
    versions: Arc<BTreeMap<Id, u64>>,
    shown: watch::Sender<Arc<BTreeMap<Id, u64>>>,
    complete: watch::Sender<bool>,
    accounts: watch::Sender<Accounts>,
    delay: Option<Delay>,
    /// What was planned since something was published: when that began, of how many objects, and the resources that it concerns.
    planned: Option<(Instant, usize)>,
    touched: BTreeSet<ResourceId>,
    /// Until when publishing waits for Secrets.
    held: Option<Instant>,
    impatient: bool,
}

/// How long a plan waits for Secrets that are still to be read.
const PATIENCE: Duration = Duration::from_secs(2);

impl Core {
    /// Before the first change.
    pub fn new(
        settings: Settings,
        server: Server,
        fleet: Applier,
        writer: Writer,
        metrics: Arc<Metrics>,
        accounts: watch::Sender<Accounts>,
        delay: Option<Delay>,
    ) -> Core {
        Core {
            planner: Planner::new(settings),
            fanout: Fanout::new(),
            server,
            fleet,
            writer,
            metrics,
            world: World::default(),
            versions: Arc::default(),
            shown: watch::Sender::default(),
            complete: watch::Sender::new(false),
            accounts,
            delay,
            planned: None,
            touched: BTreeSet::new(),
            held: None,
            impatient: false,
        }
    }

    /// The versions that the proxies of each Gateway are to serve.
    pub fn versions(&self) -> watch::Receiver<Arc<BTreeMap<Id, u64>>> {
        self.shown.subscribe()
    }

    /// Whether all objects are known and were pushed.
    pub fn complete(&self) -> watch::Receiver<bool> {
        self.complete.subscribe()
    }

    /// Follows changes until the watch ends. `ca` is the push channel's CA as proxies are to know it.
    pub async fn follow(mut self, mut watch: Watch, mut ca: watch::Receiver<Arc<str>>) {
        loop {
            let change = tokio::select! {
                change = watch.next() => match change {
                    Some(change) => Some(change),
                    None => return,
                },
                Ok(()) = ca.changed() => None,
                () = sleep_until(self.held.unwrap_or_else(Instant::now).into()), if self.held.is_some() => {
                    self.publish().await;
                    continue;
                }
            };
            let mut settings = self.planner.settings().clone();
            settings.bundle_version = watch.bundle();
            settings.routability = watch.is_experimental();
            settings.trust_bundles = watch.serves(Kind::ClusterTrustBundle);
            if let Some(fleet) = &mut settings.fleet {
                fleet.ca_bundle = ca.borrow_and_update().clone();
            }
            let is_other = settings != *self.planner.settings();
            if is_other {
                self.planner.set_settings(settings);
            }
            match change {
                Some(change) => self.take(change, is_other, &watch).await,
                // Nothing is planned, pushed or written before all objects are known.
                None if self.server.is_complete() => {
                    let world = self.world.clone();
                    let change = Change { world, changed: Vec::new(), restated: Vec::new(), problems: Vec::new() };
                    self.take(change, is_other, &watch).await;
                }
                None => {}
            }
        }
    }

    /// Plans, and publishes unless that has to wait for Secrets that are referred to only now and are still being read: without them, what
    /// they serve would be taken away.
    async fn take(&mut self, change: Change, again: bool, watch: &Watch) {
        let start = Instant::now();
        if !self.server.is_complete() || again || !change.changed.is_empty() {
            self.touched.extend(self.planner.update(&change.world, &change.changed));
            if let Some(secrets) = self.planner.take_secrets() {
                watch.need(secrets);
            }
            let (start, objects) = self.planned.unwrap_or((start, 0));
            self.planned = Some((start, objects + change.changed.len()));
            tracing::debug!(
                objects = change.changed.len(),
                looked_at = self.planner.looked_at(),
                took = ?start.elapsed(),
                "planned"
            );
        }
        self.world = change.world;
        let lacks = watch.lacks_secrets();
        self.impatient &= lacks;
        if lacks && !self.impatient {
            self.held.get_or_insert_with(|| Instant::now() + PATIENCE);
        } else {
            self.publish().await;
        }
    }

    /// Tells proxies and writers what was planned last.
    async fn publish(&mut self) {
        // Once waited for in vain, a Secret holds nothing up until all have been read.
        self.impatient |= self.held.take().is_some_and(|until| Instant::now() >= until);
        if let Some((start, objects)) = self.planned.take() {
            let first = !self.server.is_complete();
            let pushes = self.fanout.update(self.planner.config(), &std::mem::take(&mut self.touched));
            for (gateway, push) in &pushes {
                if let Some(delay) = self.delay {
                    delay.pass().await;
                }
                self.server.publish(gateway, push);
            }
            if !pushes.is_empty() || first {
                self.versions = Arc::new(self.fanout.versions());
                self.shown.send_replace(self.versions.clone());
            }
            // Proxies are known before they are made.
            self.know_accounts();
            self.server.complete();
            self.complete.send_replace(true);
            self.fleet.submit(self.planner.fleet().clone());
            self.metrics.planned(start.elapsed(), objects, pushes.len());
        }
        self.writer.submit(Desired {
            world: self.world.clone(),
            status: self.planner.status().clone(),
            versions: self.versions.clone(),
        });
    }

    fn know_accounts(&self) {
        let account = |(key, fleet): (&Key, &Arc<Fleet>)| {
            ((key.namespace.clone(), fleet.name.clone()), Id::from(key.to_string()))
        };
        let gateways = self.planner.fleet().iter().filter(|(key, _)| !fairlead_translate::fleet::is_selection(key));
        let now: Accounts = Arc::new(gateways.map(account).collect());
        self.accounts.send_if_modified(|known| {
            let differs = *known != now;
            *known = now;
            differs
        });
    }
}

#[cfg(test)]
mod tests;
