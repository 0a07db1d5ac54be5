//! One round of the election: look at the Lease, and write it when it is ours to write.

use super::Settings;
use super::rivals::{CONTROLLER, LABEL, Rival, Rivals};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, Error};
use std::time::Duration;
use tokio::time::Instant;

/// What a replica knows of the Lease.
pub(super) struct Election {
    api: Api<Lease>,
    settings: Settings,
    seen: Option<Seen>,
    rivals: Rivals,
}

/// A Lease as it was seen last, and since when it looks so, by the own clock.
pub(super) struct Seen {
    pub lease: Lease,
    pub since: Instant,
}

/// How a round ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The Lease is ours, and renewed.
    Held,
    /// It is somebody else's; empty: nobody's yet.
    Other { holder: String },
    /// Another installation is in the way. When that one is younger, the Lease is ours all the same, so that it sees us.
    Elsewhere(Rival),
    /// It is not known.
    Failed(String),
}

impl Outcome {
    pub fn failed(error: impl ToString) -> Self {
        Outcome::Failed(error.to_string())
    }
}

impl Election {
    pub fn new(client: Client, settings: Settings) -> Self {
        let rivals = Rivals::new(client.clone(), settings.clone());
        Election { api: Api::namespaced(client, &settings.namespace), settings, seen: None, rivals }
    }

    /// Looks at the Lease, and takes or renews it when that is allowed.
    pub async fn attempt(&mut self, now: Instant) -> Outcome {
        // Whoever holds it need not look first: the write fails when somebody else wrote.
        if let Some(seen) = self.seen.as_ref().filter(|seen| self.holds(&seen.lease)) {
            let renewed = self.renewed(seen.lease.clone());
            if let Ok(lease) = self.api.replace(&self.settings.name, &PostParams::default(), &renewed).await {
                self.saw(lease, now);
                return self.held(now).await;
            }
        }
        match self.api.get_opt(&self.settings.name).await {
            Ok(Some(lease)) => self.saw(lease, now),
            Ok(None) => self.seen = None,
            Err(error) => return Outcome::failed(error),
        }
        let own = self.seen.as_ref();
        if let Some(seen) = own.filter(|seen| !self.holds(&seen.lease) && !seen.expired(&self.settings, now)) {
            return Outcome::Other { holder: holder(&seen.lease).to_owned() };
        }
        let own = own.map(|seen| seen.lease.clone());
        match self.rivals.look(own.as_ref(), now).await {
            Ok(Some(rival)) if rival.is_older => return Outcome::Elsewhere(rival),
            Ok(_) => {}
            Err(error) => return Outcome::Failed(error),
        }
        let params = PostParams::default();
        let written = match own {
            Some(own) => self.api.replace(&self.settings.name, &params, &self.renewed(own)).await,
            None => self.api.create(&params, &self.fresh()).await,
        };
        match self.written(written, now) {
            Outcome::Held => self.held(now).await,
            other => other,
        }
    }

    /// The Lease is ours and says so. Whether we lead is asked after that: of two that ask after both have written, each sees the other.
    async fn held(&mut self, now: Instant) -> Outcome {
        let own = self.seen.as_ref().map(|seen| &seen.lease);
        match self.rivals.look(own, now).await {
            Ok(None) => Outcome::Held,
            Ok(Some(rival)) => Outcome::Elsewhere(rival),
            Err(error) => Outcome::Failed(error),
        }
    }

    /// Gives the Lease back.
    pub async fn release(&mut self) -> Result<(), Error> {
        let Some(seen) = self.seen.as_ref().filter(|seen| self.holds(&seen.lease)) else { return Ok(()) };
        let mut lease = seen.lease.clone();
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        self.api.replace(&self.settings.name, &PostParams::default(), &lease).await?;
        self.seen = None;
        Ok(())
    }

    /// The Lease as an object of events.
    pub fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("coordination.k8s.io/v1".to_owned()),
            kind: Some("Lease".to_owned()),
            namespace: Some(self.settings.namespace.clone()),
            name: Some(self.settings.name.clone()),
            uid: self.seen.as_ref().and_then(|seen| seen.lease.metadata.uid.clone()),
            ..ObjectReference::default()
        }
    }

    fn written(&mut self, written: Result<Lease, Error>, now: Instant) -> Outcome {
        match written {
            Ok(lease) => {
                self.saw(lease, now);
                Outcome::Held
            }
            // Somebody else was quicker; who, the next round says.
            Err(Error::Api(status)) if status.code == 409 => match self.seen.take() {
                Some(seen) if self.holds(&seen.lease) => Outcome::failed("somebody else wrote it at the same time"),
                seen => {
                    self.seen = seen;
                    Outcome::Other { holder: String::new() }
                }
            },
            Err(error) => Outcome::failed(error),
        }
    }

    fn saw(&mut self, lease: Lease, now: Instant) {
        self.seen = Some(Seen::again(self.seen.take(), lease, now));
    }

    fn holds(&self, lease: &Lease) -> bool {
        holder(lease) == self.settings.identity
    }

    fn fresh(&self) -> Lease {
        let metadata = ObjectMeta { name: Some(self.settings.name.clone()), ..ObjectMeta::default() };
        self.renewed(Lease { metadata, spec: None })
    }

    /// The Lease with us as its holder; what it has besides stays.
    fn renewed(&self, mut lease: Lease) -> Lease {
        let now = MicroTime(Timestamp::now());
        let taken = !self.holds(&lease);
        lease.metadata.labels.get_or_insert_default().insert(LABEL.0.to_owned(), LABEL.1.to_owned());
        let name = self.settings.controller.clone();
        lease.metadata.annotations.get_or_insert_default().insert(CONTROLLER.to_owned(), name);
        let spec = lease.spec.get_or_insert_default();
        if taken {
            let transitions = spec.lease_transitions.map_or(0, |count| count.saturating_add(1));
            *spec = LeaseSpec {
                holder_identity: Some(self.settings.identity.clone()),
                acquire_time: Some(now.clone()),
                lease_transitions: Some(transitions),
                ..spec.clone()
            };
        }
        spec.lease_duration_seconds = Some(i32::try_from(self.settings.duration.as_secs().max(1)).unwrap_or(i32::MAX));
        spec.renew_time = Some(now);
        lease
    }
}

impl Seen {
    /// A Lease as it is now; what looks as before has looked so since then.
    pub fn again(before: Option<Seen>, lease: Lease, now: Instant) -> Seen {
        let same = |seen: &Seen| {
            seen.lease.metadata.resource_version == lease.metadata.resource_version && seen.lease.spec == lease.spec
        };
        before.filter(same).unwrap_or(Seen { lease, since: now })
    }

    /// Whether it may be taken: nobody holds it, or it has looked like this for longer than it lasts.
    pub fn expired(&self, settings: &Settings, now: Instant) -> bool {
        let seconds = self.lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
        let lasts =
            seconds.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| (1..=3600).contains(seconds));
        let lasts = lasts.map_or(settings.duration, Duration::from_secs);
        holder(&self.lease).is_empty() || now.duration_since(self.since) >= lasts
    }
}

pub(super) fn holder(lease: &Lease) -> &str {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default()
}
