//! One round of the election: look at the Lease, and write it when it is ours to write.

use super::Settings;
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
}

/// The Lease as it was seen last, and since when it looks so, by the own clock.
struct Seen {
    lease: Lease,
    since: Instant,
}

/// How a round ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The Lease is ours, and renewed.
    Held,
    /// It is somebody else's; empty: nobody's yet.
    Other { holder: String },
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
        Election { api: Api::namespaced(client, &settings.namespace), settings, seen: None }
    }

    /// Looks at the Lease, and takes or renews it when that is allowed.
    pub async fn attempt(&mut self, now: Instant) -> Outcome {
        // Whoever holds it need not look first: the write fails when somebody else wrote.
        if let Some(seen) = self.seen.as_ref().filter(|seen| self.holds(&seen.lease)) {
            let renewed = self.renewed(seen.lease.clone());
            if let Ok(lease) = self.api.replace(&self.settings.name, &PostParams::default(), &renewed).await {
                self.saw(lease, now);
                return Outcome::Held;
            }
        }
        match self.api.get_opt(&self.settings.name).await {
            Ok(Some(lease)) => self.saw(lease, now),
            Ok(None) => {
                let created = self.api.create(&PostParams::default(), &self.fresh()).await;
                return self.written(created, now);
            }
            Err(error) => return Outcome::failed(error),
        }
        let Some(seen) = &self.seen else { return Outcome::failed("the Lease was not seen") };
        if !self.holds(&seen.lease) && !seen.expired(&self.settings, now) {
            return Outcome::Other { holder: holder(&seen.lease).to_owned() };
        }
        let taken = self.renewed(seen.lease.clone());
        let written = self.api.replace(&self.settings.name, &PostParams::default(), &taken).await;
        self.written(written, now)
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
        let same = self.seen.as_ref().is_some_and(|seen| {
            seen.lease.metadata.resource_version == lease.metadata.resource_version && seen.lease.spec == lease.spec
        });
        if !same {
            self.seen = Some(Seen { lease, since: now });
        }
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
    /// Whether it may be taken: nobody holds it, or it has looked like this for longer than it lasts.
    fn expired(&self, settings: &Settings, now: Instant) -> bool {
        let seconds = self.lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
        let lasts =
            seconds.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| (1..=3600).contains(seconds));
        let lasts = lasts.map_or(settings.duration, Duration::from_secs);
        holder(&self.lease).is_empty() || now.duration_since(self.since) >= lasts
    }
}

fn holder(lease: &Lease) -> &str {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default()
}
