//! BackendTLSPolicy: how to speak TLS to a backend (GEP-1897).
//!
//! * The target is a Service, or one of its ports by `sectionName`; or a `Backend`. A policy for the port wins over one for
//!   the whole Service. Among those of the same target and section the older one, then the first by namespace and name,
//!   wins; the others are `Conflicted`.
//! * The winner counts even when it is invalid: then requests to that backend get 500, never plain text.
//! * Each Gateway through which a route reaches the target is an ancestor in status.

use super::Target;
use super::validation::{self, At, BackendTls};
use crate::frame::age;
use crate::reader::{Dependency, Reader};
use crate::status::{Condition, ConditionType, Fault, Reason, observed};
use crate::tls::Vault;
use crate::{Note, Settings};
use fairlead_crds::Kind;
use fairlead_crds::core::Service;
use fairlead_crds::gateway::{BackendTLSPolicy, LocalPolicyTargetReferenceWithSectionName};
use fairlead_crds::v1alpha1::Backend;
use fairlead_store::{Key, World};
use foldhash::HashSet;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What holds for a target, by section: a policy's settings, or why they can't be honoured.
type Sections = BTreeMap<Option<Box<str>>, Result<Arc<BackendTls>, String>>;

/// All BackendTLSPolicies, judged.
#[derive(Default)]
pub(crate) struct TlsPolicies {
    pub targets: BTreeMap<Target, Arc<Sections>>,
    verdicts: BTreeMap<Key, Verdict>,
    pub reads: HashSet<Dependency>,
    pub notes: Vec<Arc<Note>>,
}

/// What is wrong with a policy.
struct Verdict {
    generation: Option<i64>,
    targets: Vec<Target>,
    accepted: Option<Fault>,
    refs: Option<Fault>,
}

impl TlsPolicies {
    pub fn build(world: &World, settings: &Settings, vault: &mut Vault) -> Self {
        let mut all: Vec<_> = world.all::<BackendTLSPolicy>().iter().collect();
        all.sort_by(|(a, x), (b, y)| age(&x.metadata).cmp(&age(&y.metadata)).then_with(|| a.cmp(b)));
        let mut reader = Reader::new(world);
        let mut targets: BTreeMap<Target, Sections> = BTreeMap::new();
        let mut owners: BTreeMap<Slot, &Key> = BTreeMap::new();
        let mut verdicts = BTreeMap::new();
        for (key, policy) in all {
            for name in policy.spec.options.keys() {
                reader.note(
                    Kind::BackendTLSPolicy,
                    key,
                    format!("spec.options[{name}]"),
                    "this option is not known and has no effect",
                );
            }
            let at = At { kind: Kind::BackendTLSPolicy, key, path: "spec.validation" };
            let compiled = validation::read(&at, &policy.spec.validation, &mut reader, vault, settings);
            let (mut named, mut faults) = (Vec::new(), Vec::new());
            for (i, reference) in policy.spec.target_refs.iter().enumerate() {
                let path = format!("spec.targetRefs[{i}]");
                let (target, section) = match target(key, reference, &path, &mut reader) {
                    Ok(found) => found,
                    Err((target, fault)) => {
                        named.extend(target);
                        faults.push(fault);
                        continue;
                    }
                };
                named.push(target.clone());
                if let Some(winner) = owners.get(&(target.clone(), section.clone())) {
                    let message = format!(
                        "BackendTLSPolicy {winner} has the same target and comes first; give this one a target of its own"
                    );
                    faults.push(Fault::new(Reason::Conflicted, path, message));
                    continue;
                }
                owners.insert((target.clone(), section.clone()), key);
                let outcome = compiled.outcome(|why| format!("BackendTLSPolicy {key} is not usable: {why}"));
                targets.entry(target).or_default().insert(section, outcome);
            }
            let untargeted = if faults.len() == policy.spec.target_refs.len() { Fault::join(&faults) } else { None };
            // A target that nobody can reach has no ancestor to say it in, and one of several that fails has no condition.
            for fault in faults.iter().filter(|fault| untargeted.is_none() || fault.reason == Reason::TargetNotFound) {
                reader.note(Kind::BackendTLSPolicy, key, fault.path.as_str(), fault.message.as_str());
            }
            named.dedup();
            let verdict = Verdict {
                generation: policy.metadata.generation,
                targets: named,
                accepted: compiled.rejected.or(untargeted),
                refs: Fault::join(&compiled.refs),
            };
            verdicts.insert(key.clone(), verdict);
        }
        let targets = targets.into_iter().map(|(target, sections)| (target, Arc::new(sections))).collect();
        TlsPolicies { targets, verdicts, reads: reader.reads, notes: reader.notes }
    }

    /// What holds for a port of a target.
    pub fn of(&self, target: &Target, section: Option<&str>) -> Option<&Result<Arc<BackendTls>, String>> {
        let sections = self.targets.get(target)?;
        section.and_then(|name| sections.get(&Some(name.into()))).or_else(|| sections.get(&None))
    }

    /// What each policy is for, and what its conditions say.
    pub fn verdicts(&self) -> impl Iterator<Item = (&Key, &[Target], Vec<Condition>)> {
        self.verdicts.iter().map(|(key, verdict)| (key, &verdict.targets[..], verdict.conditions()))
    }
}

impl Verdict {
    fn conditions(&self) -> Vec<Condition> {
        let conditions = vec![
            Condition::of(ConditionType::Accepted, self.accepted.as_ref(), Reason::Accepted, "The policy is in force"),
            Condition::of(
                ConditionType::ResolvedRefs,
                self.refs.as_ref(),
                Reason::ResolvedRefs,
                "All references resolve",
            ),
        ];
        observed(conditions, self.generation)
    }
}

/// A Service or `Backend`, and which of its ports.
type Slot = (Target, Option<Box<str>>);

/// What a policy is for; when that does not exist, what it would be.
fn target(
    policy: &Key,
    reference: &LocalPolicyTargetReferenceWithSectionName,
    path: &str,
    reader: &mut Reader<'_>,
) -> Result<Slot, (Option<Target>, Fault)> {
    let missing = |message: String| Fault::new(Reason::TargetNotFound, path, message);
    let key = Key::new(policy.namespace.clone(), reference.name.as_str());
    let section = reference.section_name.as_deref().filter(|name| !name.is_empty());
    match Kind::of_group(&reference.group, &reference.kind) {
        Some(Kind::Service) => {
            let target = (Kind::Service, key);
            let Some(service) = reader.find::<Service>(&target.1) else {
                let fault = missing(format!("there is no Service {}", target.1));
                return Err((Some(target), fault));
            };
            let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
            match section {
                Some(name) if !ports.iter().any(|port| port.name.as_deref() == Some(name)) => {
                    let names = ports.iter().filter_map(|port| port.name.as_deref()).collect::<Vec<_>>().join(", ");
                    let fault =
                        missing(format!("Service {} has no port named {name:?}; its ports are: {names}", target.1));
                    Err((Some(target), fault))
                }
                section => Ok((target, section.map(Into::into))),
            }
        }
        Some(Kind::Backend) => {
            let target = (Kind::Backend, key);
            let fault = match (reader.find::<Backend>(&target.1), section) {
                (Some(_), None) => return Ok((target, None)),
                (Some(_), Some(name)) => {
                    missing(format!("Backend {} has no sections, so none named {name:?}", target.1))
                }
                (None, _) => missing(format!("there is no Backend {}", target.1)),
            };
            Err((Some(target), fault))
        }
        _ => {
            let message = format!(
                "kind {} of group {:?} can't be a target; Service and Backend can",
                reference.kind, reference.group
            );
            Err((None, missing(message)))
        }
    }
}
