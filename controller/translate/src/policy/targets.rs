//! `targetRefs`, as each policy of the Gateway API has them (GEP-713): who holds a target, and what the others learn.
//!
//! * The oldest policy comes first, then the first by namespace and name. Who comes first holds a target; for the others it is `Conflicted`.
//! * A target is in the policy's own namespace, and is held as a whole or by section.
//! * A target that does not exist has a name all the same: its status may have a reader.

use crate::frame::age;
use crate::reader::Reader;
use crate::status::{Condition, ConditionType, Fault, Reason, observed};
use fairlead_crds::gateway::{
    LocalObjectReference, LocalPolicyTargetReference, LocalPolicyTargetReferenceWithSectionName,
};
use fairlead_crds::meta::ObjectMeta;
use fairlead_crds::{Kind, Typed};
use fairlead_store::{Key, World};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a policy is for: a Service, a `Backend`, an XBackend or a Gateway.
pub(crate) type Target = (Kind, Key);

/// A part of a target; `None`: all of it.
pub(crate) type Section = Option<Box<str>>;

/// A kind of policies.
pub(crate) trait Policy: Typed + 'static {
    /// What can be a target, and how a sentence says that.
    const TARGETS: (&'static [Kind], &'static str);
    /// What its author may do about a conflict, after `; `.
    const ADVICE: &'static str = "";

    fn metadata(&self) -> &ObjectMeta;

    /// `spec.targetRefs`.
    fn references(&self) -> impl Iterator<Item = Reference<'_>>;

    /// The part of a target that exists, or what is wrong.
    fn section(_target: &Target, _name: Option<&str>, _reader: &mut Reader<'_>) -> Result<Section, String> {
        Ok(None)
    }
}

/// One of `targetRefs`.
pub(crate) struct Reference<'p> {
    pub group: &'p str,
    pub kind: &'p str,
    pub name: &'p str,
    pub section: Option<&'p str>,
}

/// Goes through all policies of a kind, those that come first at first, with what each claims.
pub(crate) fn walk<'w, P: Policy>(
    world: &'w World,
    reader: &mut Reader<'w>,
    mut each: impl FnMut(&'w Key, &'w Arc<P>, Claims, &mut Reader<'w>),
) {
    let mut all: Vec<_> = world.all::<P>().iter().collect();
    all.sort_by(|(a, x), (b, y)| age(x.metadata()).cmp(&age(y.metadata())).then_with(|| a.cmp(b)));
    let mut owners = Owners::new();
    for (key, policy) in all {
        let claims = Claims::of(key, &**policy, &mut owners, reader);
        each(key, policy, claims, reader);
    }
}

/// Who holds what.
type Owners<'w> = BTreeMap<(Target, Section), &'w Key>;

/// What one of `targetRefs` names, and why the policy does not hold it.
struct Claim {
    target: Option<Target>,
    section: Section,
    fault: Option<Fault>,
}

/// What a policy claims, in the order of `targetRefs`.
pub(crate) struct Claims(Vec<Claim>);

impl Claims {
    fn of<'w, P: Policy>(key: &'w Key, policy: &P, owners: &mut Owners<'w>, reader: &mut Reader<'_>) -> Claims {
        let each = policy.references().enumerate().map(|(i, reference)| {
            let path = format!("spec.targetRefs[{i}]");
            let missing = |message: String| Some(Fault::new(Reason::TargetNotFound, path.as_str(), message));
            let target = match target::<P>(key, &reference) {
                Ok(target) => target,
                Err(message) => return Claim { target: None, section: None, fault: missing(message) },
            };
            let section = match reader.exists(target.0, &target.1) {
                true => P::section(&target, reference.section.filter(|name| !name.is_empty()), reader),
                false => Err(format!("there is no {} {}", target.0, target.1)),
            };
            let (section, fault) = match section {
                Err(message) => (None, missing(message)),
                Ok(section) => {
                    let owner = *owners.entry((target.clone(), section.clone())).or_insert(key);
                    (section, (owner != key).then(|| conflicted::<P>(owner, &path)))
                }
            };
            Claim { target: Some(target), section, fault }
        });
        Claims(each.collect())
    }

    /// All targets that are named, whether they exist or not.
    pub fn targets(&self) -> Vec<Target> {
        let mut targets: Vec<Target> = self.named().map(|(target, _)| target.clone()).collect();
        targets.dedup();
        targets
    }

    /// Each target that is named, and why the policy does not hold for one.
    pub fn named(&self) -> impl Iterator<Item = (&Target, Option<&Fault>)> {
        self.0.iter().filter_map(|claim| Some((claim.target.as_ref()?, claim.fault.as_ref())))
    }

    /// What the policy holds.
    pub fn held(&self) -> impl Iterator<Item = (&Target, &Section)> {
        let held = self.0.iter().filter(|claim| claim.fault.is_none());
        held.filter_map(|claim| Some((claim.target.as_ref()?, &claim.section)))
    }

    /// References that can't name a target at all.
    pub fn foreign(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter().filter(|claim| claim.target.is_none()).filter_map(|claim| claim.fault.as_ref())
    }

    /// Why it holds nothing.
    pub fn untargeted(&self) -> Option<Fault> {
        let faults: Vec<Fault> = self.0.iter().filter_map(|claim| claim.fault.clone()).collect();
        (faults.len() == self.0.len()).then(|| Fault::join(&faults)).flatten()
    }

    /// Notes what no condition says: a target that nobody can reach has no ancestor to say it in, and one of several that fails has no
    /// condition.
    pub fn note<P: Policy>(&self, key: &Key, reader: &mut Reader<'_>) {
        let in_part = self.0.iter().any(|claim| claim.fault.is_none());
        let faults = self.0.iter().filter_map(|claim| claim.fault.as_ref());
        for fault in faults.filter(|fault| in_part || fault.reason == Reason::TargetNotFound) {
            reader.note(P::KIND, key, fault.path.as_str(), fault.message.as_str());
        }
    }
}

/// What a reference names, or why that can't be a target.
fn target<P: Policy>(policy: &Key, reference: &Reference<'_>) -> Result<Target, String> {
    let (kinds, can) = P::TARGETS;
    match Kind::of_group(reference.group, reference.kind).filter(|kind| kinds.contains(kind)) {
        Some(kind) => Ok((kind, Key::new(policy.namespace.clone(), reference.name))),
        None => Err(format!("kind {} of group {:?} can't be a target; {can} can", reference.kind, reference.group)),
    }
}

fn conflicted<P: Policy>(owner: &Key, path: &str) -> Fault {
    let message = format!("{} {owner} has the same target and comes first{}", P::KIND, P::ADVICE);
    Fault::new(Reason::Conflicted, path, message)
}

/// What the conditions of a policy say of an ancestor; `refs` is for kinds that refer to more than their targets.
pub(crate) fn conditions(
    accepted: Option<&Fault>,
    refs: Option<Option<&Fault>>,
    generation: Option<i64>,
) -> Vec<Condition> {
    let accepted = Condition::of(ConditionType::Accepted, accepted, Reason::Accepted, "The policy is in force");
    let refs = refs
        .map(|refs| Condition::of(ConditionType::ResolvedRefs, refs, Reason::ResolvedRefs, "All references resolve"));
    observed([Some(accepted), refs].into_iter().flatten().collect(), generation)
}

impl<'p> From<&'p LocalPolicyTargetReference> for Reference<'p> {
    fn from(reference: &'p LocalPolicyTargetReference) -> Self {
        Reference { group: &reference.group, kind: &reference.kind, name: &reference.name, section: None }
    }
}

impl<'p> From<&'p LocalObjectReference> for Reference<'p> {
    fn from(reference: &'p LocalObjectReference) -> Self {
        Reference { group: &reference.group, kind: &reference.kind, name: &reference.name, section: None }
    }
}

impl<'p> From<&'p LocalPolicyTargetReferenceWithSectionName> for Reference<'p> {
    fn from(reference: &'p LocalPolicyTargetReferenceWithSectionName) -> Self {
        let LocalPolicyTargetReferenceWithSectionName { group, kind, name, section_name } = reference;
        Reference { group, kind, name, section: section_name.as_deref() }
    }
}
