//! BackendTLSPolicy: how to speak TLS to a backend (GEP-1897).
//!
//! * The target is a Service, or one of its ports by `sectionName`; or a `Backend`. A policy for the port wins over one for
//!   the whole Service. Among those of the same target and section the older one, then the first by namespace and name,
//!   wins; the others are `Conflicted`.
//! * The winner counts even when it is invalid: then requests to that backend get 500, never plain text.
//! * Each Gateway through which a route reaches the target is an ancestor in status.

use super::targets::{self, Policy, Reference, Section, Target};
use super::validation::{self, At, BackendTls};
use crate::reader::{Dependency, Reader};
use crate::status::{Condition, Fault};
use crate::tls::Vault;
use crate::{Note, Settings};
use fairlead_crds::Kind;
use fairlead_crds::core::Service;
use fairlead_crds::gateway::BackendTLSPolicy;
use fairlead_crds::meta::ObjectMeta;
use fairlead_store::{Key, World};
use foldhash::HashSet;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What holds for a target, by section: a policy's settings, or why they can't be honoured.
type Sections = BTreeMap<Section, Result<Arc<BackendTls>, String>>;

/// All BackendTLSPolicies, judged.
#[derive(Default)]
pub(crate) struct TlsPolicies {
    pub targets: BTreeMap<Target, Arc<Sections>>,
    verdicts: BTreeMap<Key, Verdict>,
    pub reads: HashSet<Dependency>,
    pub notes: Vec<Arc<Note>>,
}

/// What a policy is for, and what its conditions say.
type Verdict = (Vec<Target>, Vec<Condition>);

impl TlsPolicies {
    pub fn build(world: &World, settings: &Settings, vault: &mut Vault) -> Self {
        let mut reader = Reader::new(world);
        let mut targets: BTreeMap<Target, Sections> = BTreeMap::new();
        let mut verdicts = BTreeMap::new();
        targets::walk::<BackendTLSPolicy>(world, &mut reader, |key, policy, claims, reader| {
            for name in policy.spec.options.keys() {
                let path = format!("spec.options[{name}]");
                reader.note(Kind::BackendTLSPolicy, key, path, "this option is not known and has no effect");
            }
            let at = At { kind: Kind::BackendTLSPolicy, key, path: "spec.validation" };
            let compiled = validation::read(&at, &policy.spec.validation, reader, vault, settings);
            for (target, section) in claims.held() {
                let outcome = compiled.outcome(|why| format!("BackendTLSPolicy {key} is not usable: {why}"));
                targets.entry(target.clone()).or_default().insert(section.clone(), outcome);
            }
            claims.note::<BackendTLSPolicy>(key, reader);
            let refs = Fault::join(&compiled.refs);
            let accepted = compiled.rejected.or_else(|| claims.untargeted());
            let conditions = targets::conditions(accepted.as_ref(), Some(refs.as_ref()), policy.metadata.generation);
            verdicts.insert(key.clone(), (claims.targets(), conditions));
        });
        let targets = targets.into_iter().map(|(target, sections)| (target, Arc::new(sections))).collect();
        TlsPolicies { targets, verdicts, reads: reader.reads, notes: reader.notes }
    }

    /// What holds for a port of a target.
    pub fn of(&self, target: &Target, section: Option<&str>) -> Option<&Result<Arc<BackendTls>, String>> {
        let sections = self.targets.get(target)?;
        section.and_then(|name| sections.get(&Some(name.into()))).or_else(|| sections.get(&None))
    }

    /// What each policy is for, and what its conditions say.
    pub fn verdicts(&self) -> &BTreeMap<Key, Verdict> {
        &self.verdicts
    }
}

impl Policy for BackendTLSPolicy {
    const TARGETS: (&'static [Kind], &'static str) = (&[Kind::Service, Kind::Backend], "Service and Backend");
    const ADVICE: &'static str = "; give this one a target of its own";

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn references(&self) -> impl Iterator<Item = Reference<'_>> {
        self.spec.target_refs.iter().map(Reference::from)
    }

    /// A port by its name.
    fn section((kind, key): &Target, name: Option<&str>, reader: &mut Reader<'_>) -> Result<Section, String> {
        let Some(name) = name else { return Ok(None) };
        if *kind != Kind::Service {
            return Err(format!("{kind} {key} has no sections, so none named {name:?}"));
        }
        let ports = reader.find::<Service>(key).map(|service| &*service.spec.ports);
        let names = || ports.unwrap_or_default().iter().filter_map(|port| port.name.as_deref());
        if names().any(|known| known == name) {
            return Ok(Some(name.into()));
        }
        let names = names().collect::<Vec<_>>().join(", ");
        Err(format!("Service {key} has no port named {name:?}; its ports are: {names}"))
    }
}
