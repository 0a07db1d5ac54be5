//! XBackendTrafficPolicy: how much of a backend's traffic may be retries (GEP-3388), and session persistence at its deprecated place.
//!
//! * The target is a Service, with all of its ports; a `Backend`; or an XBackend.
//! * Of those with the same target the oldest, then the first by namespace and name, wins as a whole; the others are `Conflicted`. The
//!   target of a policy that is not valid has no limits: the GEP knows no failure that would be safer.
//! * Each Gateway through which a route reaches the target is an ancestor in status.
//! * It has no effect on TLSRoute, TCPRoute and UDPRoute.

use super::targets::{self, Policy, Reference, Target};
use crate::Note;
use crate::duration;
use crate::reader::{Dependency, Reader};
use crate::session::{self, Owner};
use crate::status::{Condition, Fault, Reason};
use fairlead_crds::Kind;
use fairlead_crds::gateway::{RetryConstraint, XBackendTrafficPolicy};
use fairlead_crds::meta::ObjectMeta;
use fairlead_ir::{Millis, RetryBudget, Session};
use fairlead_store::{Key, World};
use foldhash::HashSet;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What holds for a target.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Traffic {
    pub retry_budget: Option<RetryBudget>,
    pub session: Option<Session>,
}

/// All XBackendTrafficPolicies, judged.
#[derive(Default)]
pub(super) struct TrafficPolicies {
    pub targets: BTreeMap<Target, Arc<Traffic>>,
    verdicts: BTreeMap<Key, Verdict>,
    pub reads: HashSet<Dependency>,
    pub notes: Vec<Arc<Note>>,
}

/// What a policy is for, and what its conditions say.
type Verdict = (Vec<Target>, Vec<Condition>);

impl TrafficPolicies {
    pub fn build(world: &World) -> Self {
        let mut reader = Reader::new(world);
        let (mut targets, mut verdicts) = (BTreeMap::new(), BTreeMap::new());
        targets::walk::<XBackendTrafficPolicy>(world, &mut reader, |key, policy, claims, reader| {
            let budget = policy.spec.retry_constraint.as_ref().map(budget).transpose();
            let mut rejected = budget.as_ref().err().cloned();
            for (target, _) in claims.held() {
                match (&budget, session(key, policy, target)) {
                    (Ok(budget), Ok(session)) => {
                        targets.insert(target.clone(), Arc::new(Traffic { retry_budget: *budget, session }));
                    }
                    (Ok(_), Err(fault)) => rejected = Some(fault),
                    (Err(_), _) => {}
                }
            }
            claims.note::<XBackendTrafficPolicy>(key, reader);
            let rejected = rejected.map(|fault| Fault { reason: Reason::Invalid, ..fault });
            let accepted = rejected.or_else(|| claims.untargeted());
            let conditions = targets::conditions(accepted.as_ref(), None, policy.metadata.generation);
            verdicts.insert(key.clone(), (claims.targets(), conditions));
        });
        TrafficPolicies { targets, verdicts, reads: reader.reads, notes: reader.notes }
    }

    /// What each policy is for, and what its conditions say.
    pub fn verdicts(&self) -> &BTreeMap<Key, Verdict> {
        &self.verdicts
    }
}

impl Policy for XBackendTrafficPolicy {
    const TARGETS: (&'static [Kind], &'static str) =
        (&[Kind::Service, Kind::Backend, Kind::XBackend], "Service, Backend and XBackend");

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn references(&self) -> impl Iterator<Item = Reference<'_>> {
        self.spec.target_refs.iter().map(Reference::from)
    }
}

/// Session persistence of a target's own.
fn session(key: &Key, policy: &XBackendTrafficPolicy, target: &Target) -> Result<Option<Session>, Fault> {
    let part = format!("{}/{}", target.0, target.1);
    let owner = Owner { kind: Kind::XBackendTrafficPolicy, key, metadata: &policy.metadata, part: &part };
    let spec = policy.spec.session_persistence.as_ref();
    spec.map(|spec| session::lower(spec, "spec.sessionPersistence", &owner)).transpose()
}

/// Reads a budget; what is left out is 20 % of 10 s, and 10 in each second.
fn budget(spec: &RetryConstraint) -> Result<RetryBudget, Fault> {
    const PATH: &str = "spec.retryConstraint";
    let wrong = |field: &str, message: String| Fault::new(Reason::Invalid, format!("{PATH}.{field}"), message);
    let interval = |text: Option<&str>, default: u64, field: &str| {
        let Some(text) = text else { return Ok(Millis(default)) };
        let time = duration::parse(text).map_err(|error| wrong(field, error))?;
        match time.0 {
            1_000..=3_600_000 => Ok(time),
            _ => Err(wrong(field, format!("{text} is not between 1s and 1h"))),
        }
    };
    let (share, minimum) = (spec.budget.as_ref(), spec.min_retry_rate.as_ref());
    let percent = share.and_then(|share| share.percent).unwrap_or(20);
    let percent = u8::try_from(percent).ok().filter(|percent| *percent <= 100);
    let count = minimum.and_then(|minimum| minimum.count).unwrap_or(10);
    Ok(RetryBudget {
        percent: percent.ok_or_else(|| wrong("budget.percent", "must be 0 to 100".to_owned()))?,
        interval: interval(share.and_then(|share| share.interval.as_deref()), 10_000, "budget.interval")?,
        min_retries: u32::try_from(count)
            .map_err(|_| wrong("minRetryRate.count", format!("{count} is less than 0")))?,
        min_interval: interval(
            minimum.and_then(|minimum| minimum.interval.as_deref()),
            1_000,
            "minRetryRate.interval",
        )?,
    })
}
