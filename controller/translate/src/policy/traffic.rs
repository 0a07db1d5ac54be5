//! XBackendTrafficPolicy: how much of a backend's traffic may be retries (GEP-3388), and session persistence at its deprecated place.
//!
//! * The target is a Service, with all of its ports; a `Backend`; or an XBackend.
//! * Of those with the same target the oldest, then the first by namespace and name, wins as a whole; the others are `Conflicted`. The
//!   target of a policy that is not valid has no limits: the GEP knows no failure that would be safer.
//! * Each Gateway through which a route reaches the target is an ancestor in status.
//! * It has no effect on TLSRoute, TCPRoute and UDPRoute.

use super::Target;
use crate::Note;
use crate::duration;
use crate::frame::age;
use crate::reader::{Dependency, Reader};
use crate::session::{self, Owner};
use crate::status::{Condition, ConditionType, Fault, Reason, observed};
use fairlead_crds::Kind;
use fairlead_crds::core::Service;
use fairlead_crds::gateway::{LocalPolicyTargetReference, RetryConstraint, XBackend, XBackendTrafficPolicy};
use fairlead_crds::v1alpha1::Backend;
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

struct Verdict {
    generation: Option<i64>,
    targets: Vec<Target>,
    accepted: Option<Fault>,
}

impl TrafficPolicies {
    pub fn build(world: &World) -> Self {
        let mut all: Vec<_> = world.all::<XBackendTrafficPolicy>().iter().collect();
        all.sort_by(|(a, x), (b, y)| age(&x.metadata).cmp(&age(&y.metadata)).then_with(|| a.cmp(b)));
        let mut reader = Reader::new(world);
        let mut owners: BTreeMap<Target, &Key> = BTreeMap::new();
        let (mut targets, mut verdicts) = (BTreeMap::new(), BTreeMap::new());
        for (key, policy) in all {
            let budget = policy.spec.retry_constraint.as_ref().map(budget).transpose();
            let (mut named, mut faults, mut rejected) = (Vec::new(), Vec::new(), budget.as_ref().err().cloned());
            for (i, reference) in policy.spec.target_refs.iter().enumerate() {
                let path = format!("spec.targetRefs[{i}]");
                let target = match target(key, reference, &path, &mut reader) {
                    Ok(found) => found,
                    Err((target, fault)) => {
                        named.extend(target);
                        faults.push(fault);
                        continue;
                    }
                };
                named.push(target.clone());
                if let Some(winner) = owners.get(&target) {
                    let message = format!("XBackendTrafficPolicy {winner} has the same target and comes first");
                    faults.push(Fault::new(Reason::Conflicted, path, message));
                    continue;
                }
                owners.insert(target.clone(), key);
                let part = format!("{}/{}", target.0, target.1);
                let (kind, metadata) = (Kind::XBackendTrafficPolicy, &policy.metadata);
                let owner = Owner { kind, key, metadata, part: &part };
                let spec = policy.spec.session_persistence.as_ref();
                let session = spec.map(|spec| session::lower(spec, "spec.sessionPersistence", &owner)).transpose();
                match (&budget, session) {
                    (Ok(budget), Ok(session)) => {
                        targets.insert(target, Arc::new(Traffic { retry_budget: *budget, session }));
                    }
                    (Ok(_), Err(fault)) => rejected = Some(fault),
                    (Err(_), _) => {}
                }
            }
            let untargeted = if faults.len() == policy.spec.target_refs.len() { Fault::join(&faults) } else { None };
            let rejected =
                rejected.map(|fault| Fault { reason: Reason::Invalid, ..fault }).or_else(|| untargeted.clone());
            // One of several that fails has no condition, nor one that nobody can reach an ancestor to say it in.
            for fault in faults.iter().filter(|fault| untargeted.is_none() || fault.reason == Reason::TargetNotFound) {
                reader.note(Kind::XBackendTrafficPolicy, key, fault.path.as_str(), fault.message.as_str());
            }
            named.dedup();
            let verdict = Verdict { generation: policy.metadata.generation, targets: named, accepted: rejected };
            verdicts.insert(key.clone(), verdict);
        }
        TrafficPolicies { targets, verdicts, reads: reader.reads, notes: reader.notes }
    }

    /// What each policy is for, and what its conditions say.
    pub fn verdicts(&self) -> impl Iterator<Item = (&Key, &[Target], Vec<Condition>)> {
        self.verdicts.iter().map(|(key, verdict)| {
            let fault = verdict.accepted.as_ref();
            let accepted = Condition::of(ConditionType::Accepted, fault, Reason::Accepted, "The policy is in force");
            (key, &verdict.targets[..], observed(vec![accepted], verdict.generation))
        })
    }
}

/// What a policy is for; when that does not exist, what it would be.
fn target(
    policy: &Key,
    reference: &LocalPolicyTargetReference,
    path: &str,
    reader: &mut Reader<'_>,
) -> Result<Target, (Option<Target>, Fault)> {
    let key = Key::new(policy.namespace.clone(), reference.name.as_str());
    let kind = Kind::of_group(&reference.group, &reference.kind);
    let found = match kind {
        Some(Kind::Service) => reader.find::<Service>(&key).is_some(),
        Some(Kind::Backend) => reader.find::<Backend>(&key).is_some(),
        Some(Kind::XBackend) => reader.find::<XBackend>(&key).is_some(),
        _ => false,
    };
    match (kind, found) {
        (Some(kind), true) => Ok((kind, key)),
        (Some(kind @ (Kind::Service | Kind::Backend | Kind::XBackend)), false) => {
            let fault = Fault::new(Reason::TargetNotFound, path, format!("there is no {kind} {key}"));
            Err((Some((kind, key)), fault))
        }
        _ => {
            let message = format!(
                "kind {} of group {:?} can't be a target; Service, Backend and XBackend can",
                reference.kind, reference.group
            );
            Err((None, Fault::new(Reason::TargetNotFound, path, message)))
        }
    }
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
