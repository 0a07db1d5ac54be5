//! BackendTLSPolicy: how to speak TLS to a backend (GEP-1897).
//!
//! * The target is a Service, or one of its ports by `sectionName`; or a `Backend`. A policy for the port wins over one for
//!   the whole Service. Among those of the same target and section the older one, then the first by namespace and name,
//!   wins; the others are `Conflicted`.
//! * The winner counts even when it is invalid: then requests to that backend get 500, never plain text.
//! * Each Gateway through which a route reaches the target is an ancestor in status; at most 16.

use crate::frame::age;
use crate::host::Host;
use crate::reader::{Dependency, Reader};
use crate::status::{AncestorStatus, Condition, ConditionType, Fault, PolicyStatus, Reason, observed};
use crate::tls::Vault;
use crate::{Note, Settings};
use fairlead_crds::core::{ConfigMap, Secret as SecretObject, Service};
use fairlead_crds::gateway::{
    BackendTLSPolicy, GROUP, LocalPolicyTargetReferenceWithSectionName, ParentReference, SubjectAltNameType,
    WellKnownCACertificatesType,
};
use fairlead_crds::v1alpha1::Backend;
use fairlead_crds::{Kind, Typed as _};
use fairlead_ir::{CaSource, Secret, SubjectAltName};
use fairlead_store::{Key, World};
use foldhash::HashSet;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a policy is for: a Service or a `Backend`.
pub(crate) type Target = (Kind, Key);

/// How to speak TLS to a backend.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BackendTls {
    pub hostname: Box<str>,
    pub ca: CaSource,
    pub sans: Vec<SubjectAltName>,
    /// What `ca` names.
    pub secrets: Vec<Arc<Secret>>,
}

/// What holds for a target, by section: a policy's settings, or why they can't be honoured.
type Sections = BTreeMap<Option<Box<str>>, Result<Arc<BackendTls>, String>>;

/// All BackendTLSPolicies, judged.
#[derive(Default)]
pub(crate) struct Policies {
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

const MAX_ANCESTORS: usize = 16;

impl Policies {
    pub fn build(world: &World, settings: &Settings, vault: &mut Vault) -> Self {
        let mut all: Vec<_> = world.all::<BackendTLSPolicy>().iter().collect();
        all.sort_by(|(a, x), (b, y)| age(&x.metadata).cmp(&age(&y.metadata)).then_with(|| a.cmp(b)));
        let mut reader = Reader::new(world);
        let mut targets: BTreeMap<Target, Sections> = BTreeMap::new();
        let mut owners: BTreeMap<Slot, &Key> = BTreeMap::new();
        let mut verdicts = BTreeMap::new();
        for (key, policy) in all {
            let mut compiled = Compiled::default();
            compiled.read(key, policy, &mut reader, vault, settings);
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
                targets.entry(target).or_default().insert(section, compiled.outcome(key));
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
        Policies { targets, verdicts, reads: reader.reads, notes: reader.notes }
    }

    /// What holds for a port of a target.
    pub fn of(&self, target: &Target, section: Option<&str>) -> Option<&Result<Arc<BackendTls>, String>> {
        let sections = self.targets.get(target)?;
        section.and_then(|name| sections.get(&Some(name.into()))).or_else(|| sections.get(&None))
    }

    /// Statuses of all policies that some Gateway uses. `gateways` gives, ordered, those that reach a target.
    pub fn status<'g, I>(&self, controller: &Arc<str>, gateways: impl Fn(&Target) -> I) -> BTreeMap<Key, PolicyStatus>
    where
        I: Iterator<Item = &'g Key>,
    {
        let each = self.verdicts.iter().filter_map(|(key, verdict)| {
            let mut ancestors: Vec<&Key> = verdict.targets.iter().flat_map(&gateways).collect();
            ancestors.sort();
            ancestors.dedup();
            let ancestors: Vec<_> =
                ancestors.into_iter().take(MAX_ANCESTORS).map(|gateway| verdict.towards(gateway, controller)).collect();
            (!ancestors.is_empty()).then(|| (key.clone(), PolicyStatus { ancestors }))
        });
        each.collect()
    }
}

impl Verdict {
    fn towards(&self, gateway: &Key, controller: &Arc<str>) -> AncestorStatus {
        let conditions = vec![
            Condition::of(ConditionType::Accepted, self.accepted.as_ref(), Reason::Accepted, "The policy is in force"),
            Condition::of(
                ConditionType::ResolvedRefs,
                self.refs.as_ref(),
                Reason::ResolvedRefs,
                "All references resolve",
            ),
        ];
        AncestorStatus {
            ancestor_ref: ParentReference {
                group: Some(GROUP.to_owned()),
                kind: Some(Kind::Gateway.as_str().to_owned()),
                namespace: Some(gateway.namespace.to_string()),
                name: gateway.name.to_string(),
                ..ParentReference::default()
            },
            controller_name: controller.clone(),
            conditions: observed(conditions, self.generation),
        }
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

/// `spec.validation`, read.
#[derive(Default)]
struct Compiled {
    tls: Option<Arc<BackendTls>>,
    rejected: Option<Fault>,
    refs: Vec<Fault>,
}

impl Compiled {
    fn read<'a>(
        &mut self,
        key: &Key,
        policy: &'a BackendTLSPolicy,
        reader: &mut Reader<'a>,
        vault: &mut Vault,
        settings: &Settings,
    ) {
        for name in policy.spec.options.keys() {
            reader.note(
                Kind::BackendTLSPolicy,
                key,
                format!("spec.options[{name}]"),
                "this option is not known and has no effect",
            );
        }
        let validation = &policy.spec.validation;
        let secrets = self.cas(key, policy, reader, vault, settings);
        let well_known = validation.well_known_ca_certificates.as_ref().filter(|name| !name.as_str().is_empty());
        let ca = match (validation.ca_certificate_refs.is_empty(), well_known) {
            (true, Some(WellKnownCACertificatesType::System)) => Ok(CaSource::System),
            (true, Some(other)) => Err((".wellKnownCACertificates", format!("{other} is not known; System is"))),
            (true, None) => Err(("", "one of caCertificateRefs and wellKnownCACertificates is needed".to_owned())),
            (false, Some(_)) => {
                Err(("", "only one of caCertificateRefs and wellKnownCACertificates may be set".to_owned()))
            }
            (false, None) => Ok(CaSource::Secrets(secrets.iter().map(|secret| secret.id.clone()).collect())),
        };
        let compiled = ca.and_then(|ca| {
            let hostname = Host::parse(&validation.hostname).map_err(|error| (".hostname", error))?;
            if hostname.suffix().is_some() {
                return Err((".hostname", "a wildcard can't be a server's name".to_owned()));
            }
            let sans: Result<Vec<_>, _> =
                validation.subject_alt_names.iter().enumerate().map(|(i, san)| self::san(i, san)).collect();
            let sans = sans.map_err(|error| (".subjectAltNames", error))?;
            Ok(BackendTls { hostname: hostname.as_str().into(), ca, sans, secrets })
        });
        match compiled {
            Ok(tls) if tls.ca == CaSource::Secrets(Vec::new()) => {
                let path = "spec.validation.caCertificateRefs";
                self.rejected = Some(Fault::new(
                    Reason::NoValidCaCertificate,
                    path,
                    "none of the references gives a CA certificate",
                ));
            }
            Ok(tls) => self.tls = Some(Arc::new(tls)),
            Err((field, message)) => {
                self.rejected = Some(Fault::new(Reason::Invalid, format!("spec.validation{field}"), message))
            }
        }
    }

    fn cas<'a>(
        &mut self,
        key: &Key,
        policy: &'a BackendTLSPolicy,
        reader: &mut Reader<'a>,
        vault: &mut Vault,
        settings: &Settings,
    ) -> Vec<Arc<Secret>> {
        let mut found = Vec::new();
        for (i, reference) in policy.spec.validation.ca_certificate_refs.iter().enumerate() {
            let path = format!("spec.validation.caCertificateRefs[{i}]");
            let name = Key::new(key.namespace.clone(), reference.name.as_str());
            let (kind, object) = match Kind::of_group(&reference.group, &reference.kind) {
                Some(Kind::ConfigMap) => {
                    ("ConfigMap", reader.find::<ConfigMap>(&name).map(|map| ConfigMap::wrap(map.clone())))
                }
                Some(Kind::Secret) => {
                    ("Secret", reader.find::<SecretObject>(&name).map(|secret| SecretObject::wrap(secret.clone())))
                }
                _ => {
                    let message = format!(
                        "kind {} of group {:?} can't hold CA certificates; use a ConfigMap",
                        reference.kind, reference.group
                    );
                    self.refs.push(Fault::new(Reason::InvalidKind, path, message));
                    continue;
                }
            };
            match object.ok_or_else(|| "it does not exist".to_owned()).and_then(|object| vault.bundle(&name, object)) {
                Ok(bundle) => {
                    if let Some(problem) = bundle.validity.problem(settings.now) {
                        reader.note(Kind::BackendTLSPolicy, key, path, format!("{kind} {name}: {problem}"));
                    }
                    found.push(bundle.secret.clone());
                }
                Err(error) => {
                    self.refs.push(Fault::new(Reason::InvalidCaCertificateRef, path, format!("{kind} {name}: {error}")))
                }
            }
        }
        found
    }

    fn outcome(&self, key: &Key) -> Result<Arc<BackendTls>, String> {
        match (&self.tls, &self.rejected) {
            (Some(tls), _) => Ok(tls.clone()),
            (None, Some(fault)) => Err(format!("BackendTLSPolicy {key} is not usable: {fault}")),
            (None, None) => Err(format!("BackendTLSPolicy {key} is not usable")),
        }
    }
}

fn san(index: usize, san: &fairlead_crds::gateway::SubjectAltName) -> Result<SubjectAltName, String> {
    let text = |value: &Option<String>| value.clone().filter(|text| !text.is_empty()).map(String::into_boxed_str);
    match &san.type_ {
        SubjectAltNameType::Hostname => {
            let name = text(&san.hostname).ok_or_else(|| format!("[{index}].hostname is needed for type Hostname"))?;
            Host::parse(&name).map(|host| SubjectAltName::Dns(host.as_str().into()))
        }
        SubjectAltNameType::Uri => {
            let uri = text(&san.uri).ok_or_else(|| format!("[{index}].uri is needed for type URI"))?;
            if uri.split_once(':').is_none_or(|(scheme, rest)| scheme.is_empty() || rest.is_empty()) {
                return Err(format!("[{index}].uri {uri:?} is not absolute"));
            }
            Ok(SubjectAltName::Uri(uri))
        }
        SubjectAltNameType::Other(other) => Err(format!("[{index}].type {other:?} is neither Hostname nor URI")),
    }
}
