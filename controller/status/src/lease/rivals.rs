//! Installations in other namespaces that have the same controllerName: of all of them, the oldest leads.
//!
//! ```text
//! ours is written ──► all Leases ──► one that is older: give ours back, stand by
//!                                ├─► one that is younger and held: keep ours, wait until it is given back
//!                                └─► none: lead
//! ```
//!
//! Whoever leads has written its Lease before it looked at the others', so of two that look, the later one sees the other: they never lead at
//! the same time. An older one that has just gone is waited for, for it may only be starting again, and proxies would move there and back.

use super::Settings;
use super::election::{Seen, holder};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, ListParams};
use kube::{Client, Error};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Marks the Leases of controllers.
pub(super) const LABEL: (&str, &str) = ("fairlead.dev/lease", "controller");
/// Annotation with the controllerName: a label can't hold it.
pub(super) const CONTROLLER: &str = "fairlead.dev/controller-name";

/// An older installation that ended is waited for so long.
const ABSENCE: Duration = Duration::from_secs(60);

/// The other installations as they were seen.
pub(super) struct Rivals {
    leases: Api<Lease>,
    settings: Settings,
    /// By namespace.
    known: BTreeMap<String, Seen>,
    /// What the last look came to; `None`: there was none.
    last: Option<Option<Rival>>,
    denied: bool,
}

/// An installation that is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rival {
    /// Where it is.
    pub namespace: String,
    /// Its leader; empty: it has none now.
    holder: String,
    /// Whether it goes before us.
    pub is_older: bool,
}

impl Rivals {
    pub fn new(client: Client, settings: Settings) -> Rivals {
        Rivals { leases: Api::all(client), settings, known: BTreeMap::new(), last: None, denied: false }
    }

    /// Looks who else is there. `own` is our Lease; without one we are the youngest. While the API server does not answer, all is as it was;
    /// where the right to look is missing, nobody else is there.
    ///
    /// # Errors
    /// When it has never answered.
    pub async fn look(&mut self, own: Option<&Lease>, now: Instant) -> Result<Option<Rival>, String> {
        let params = ListParams::default().labels(&format!("{}={}", LABEL.0, LABEL.1));
        let leases = match timeout(self.settings.retry, self.leases.list(&params)).await {
            Ok(Ok(leases)) => leases.items,
            Ok(Err(Error::Api(status))) if status.code == 403 => {
                if !std::mem::replace(&mut self.denied, true) {
                    let why = status.message;
                    tracing::warn!(
                        "it can't be seen whether another installation has the same controllerName: {why} (RBAC: allow list of leases)"
                    );
                }
                Vec::new()
            }
            Ok(Err(error)) => return self.last.clone().ok_or_else(|| error.to_string()),
            Err(_) => return self.last.clone().ok_or_else(|| "no answer in time".to_owned()),
        };
        self.saw(leases, now);
        let rival = self.first(own, now);
        self.last = Some(rival.clone());
        Ok(rival)
    }

    fn saw(&mut self, leases: Vec<Lease>, now: Instant) {
        let mut before = std::mem::take(&mut self.known);
        for lease in leases {
            let of = lease.metadata.annotations.as_ref().and_then(|all| all.get(CONTROLLER));
            let namespace = lease.metadata.namespace.clone().unwrap_or_default();
            if namespace != self.settings.namespace && of == Some(&self.settings.controller) {
                let seen = Seen::again(before.remove(&namespace), lease, now);
                self.known.insert(namespace, seen);
            }
        }
    }

    /// The oldest of those that are in the way.
    fn first(&self, own: Option<&Lease>, now: Instant) -> Option<Rival> {
        let own = own.map(|own| (own.metadata.creation_timestamp.clone(), self.settings.namespace.as_str()));
        let rivals = self.known.iter().filter_map(|(namespace, seen)| {
            let age = (seen.lease.metadata.creation_timestamp.clone(), namespace.as_str());
            let is_older = own.as_ref().is_none_or(|own| age < *own);
            let held = !seen.expired(&self.settings, now);
            let rival = Rival { namespace: namespace.clone(), holder: holder(&seen.lease).to_owned(), is_older };
            (held || is_older && seen.was_just_held(now)).then_some((age, rival))
        });
        rivals.min_by(|(one, _), (other, _)| one.cmp(other)).map(|(_, rival)| rival)
    }
}

impl Seen {
    /// Whether it was held a moment ago. What the Lease says of the time is believed only as far as that ends the wait.
    fn was_just_held(&self, now: Instant) -> bool {
        let renewed = self.lease.spec.as_ref().and_then(|spec| spec.renew_time.as_ref());
        let is_recent =
            renewed.is_some_and(|at| Timestamp::now().duration_since(at.0).as_secs() < ABSENCE.as_secs() as i64);
        is_recent && now.duration_since(self.since) < ABSENCE
    }
}

impl Rival {
    /// What is the matter, and what to do.
    pub fn message(&self, settings: &Settings) -> String {
        let Settings { namespace, controller, .. } = settings;
        let Rival { namespace: other, holder, is_older } = self;
        let leader = if holder.is_empty() { "which has just ended".to_owned() } else { format!("led by {holder}") };
        let does = match is_older {
            true => "stands by, because that one is older",
            false => "waits until that one, which is younger, has stopped",
        };
        format!(
            "the installation in namespace {other} ({leader}) has the same controllerName {controller}: this one, in namespace {namespace}, {does}. \
             Uninstall one of them, or give one another name: helm upgrade --set controllerName=example.com/other,gatewayClass.name=other"
        )
    }
}
