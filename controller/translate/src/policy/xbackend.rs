//! XBackend: a destination, and how a Gateway connects to it (GEP-4894).
//!
//! * It serves routes of its own namespace only, and has its own port: a `backendRef` must not name one.
//! * `ExternalHostname` is resolved as an ExternalName Service is; names of the cluster itself are refused.
//! * `EndpointSelector` selects pods by label. In a cluster, a headless Service is made for the selector of each XBackend that a Gateway
//!   of ours reaches, and its EndpointSlices are read; its name can't be guessed, so that nobody relies on it. Of
//!   files, the EndpointSlices in the XBackend's namespace that have the labels themselves. Either way at the XBackend's port.
//! * Its `tls` is all that counts: no BackendTLSPolicy can be for it, and a Gateway's own client certificate is not shown.
//! * One that is not valid, or whose references don't resolve, answers 500; never is less secure than it says.

use super::Target;
use super::validation::{self, At, BackendTls};
use crate::endpoints::Allowed;
use crate::frame::Context;
use crate::gateway::key_pair;
use crate::host::Host;
use crate::reader::Dependency;
use crate::session::{self, Owner};
use crate::status::{Condition, ConditionType, Fault, Reason, observed};
use crate::{Note, fleet};
use fairlead_crds::Kind;
use fairlead_crds::gateway::{BackendProtocol, BackendTLSMode, BackendType, XBackend};
use fairlead_ir::{Secret, Session};
use fairlead_store::Key;
use foldhash::HashSet;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// An XBackend that can be used.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct XBackendPlan {
    pub place: Place,
    pub port: u16,
    pub protocol: Option<BackendProtocol>,
    pub tls: Option<Arc<BackendTls>>,
    /// The key pair to present.
    pub client_certificate: Option<Arc<Secret>>,
    pub session: Option<Session>,
}

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Host(Box<str>),
    Pods {
        /// The Service whose EndpointSlices are the pods'; `None`: slices are selected by their own labels.
        service: Option<Key>,
    },
}

/// All XBackends, judged.
#[derive(Default)]
pub(super) struct XBackends {
    /// Those that can't be used with what to say about it.
    pub plans: BTreeMap<Target, Result<Arc<XBackendPlan>, String>>,
    verdicts: BTreeMap<Target, Verdict>,
    pub reads: HashSet<Dependency>,
    pub notes: Vec<Arc<Note>>,
}

#[derive(Default)]
struct Verdict {
    generation: Option<i64>,
    accepted: Option<Fault>,
    refs: Vec<Fault>,
    /// Of `refs`, what it can't do without.
    missing: Vec<Fault>,
}

impl XBackends {
    pub fn build(context: &mut Context<'_, '_>) -> Self {
        let mut all = XBackends::default();
        for (key, object) in context.reader.world.all::<XBackend>().iter() {
            let mut verdict = Verdict { generation: object.metadata.generation, ..Verdict::default() };
            let plan = read(key, object, &mut verdict, context);
            let target = (Kind::XBackend, key.clone());
            let plan = match (plan, Fault::join(&verdict.missing)) {
                (Ok(plan), None) => Ok(Arc::new(plan)),
                (Ok(_), Some(fault)) => Err(format!("XBackend {key} is not usable: {fault}")),
                (Err(fault), _) => {
                    let message = format!("XBackend {key} is not usable: {fault}");
                    verdict.accepted = Some(fault);
                    Err(message)
                }
            };
            all.plans.insert(target.clone(), plan);
            all.verdicts.insert(target, verdict);
        }
        all.reads = std::mem::take(&mut context.reader.reads);
        all.notes = std::mem::take(&mut context.reader.notes);
        all
    }

    /// Each with what its conditions say.
    pub fn verdicts(&self) -> impl Iterator<Item = (&Target, Vec<Condition>)> {
        self.verdicts.iter().map(|(target, verdict)| {
            let (accepted, refs) = (verdict.accepted.as_ref(), Fault::join(&verdict.refs));
            let conditions = vec![
                Condition::of(ConditionType::Accepted, accepted, Reason::Accepted, "The backend is valid"),
                Condition::of(
                    ConditionType::ResolvedRefs,
                    refs.as_ref(),
                    Reason::ResolvedRefs,
                    "All references resolve",
                ),
            ];
            (target, observed(conditions, verdict.generation))
        })
    }
}

fn read<'a>(
    key: &Key,
    object: &'a XBackend,
    verdict: &mut Verdict,
    context: &mut Context<'a, '_>,
) -> Result<XBackendPlan, Fault> {
    let spec = &object.spec;
    let wrong = |field: &str, message: &str| Fault::new(Reason::Invalid, format!("spec.{field}"), message);
    let port = spec.port.number.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    let port = port.ok_or_else(|| wrong("port.number", "a port of 1 to 65535 is needed"))?;
    let place = place(key, object, context)?;
    let encrypted = spec.tls.as_ref().is_some_and(|tls| tls.mode != BackendTLSMode::None);
    match &spec.protocol {
        Some(BackendProtocol::Other(other)) => {
            return Err(wrong("protocol", &format!("{other:?} is not known")));
        }
        Some(BackendProtocol::H2C) if encrypted => return Err(wrong("protocol", "H2C has no TLS; use HTTP2")),
        Some(BackendProtocol::Http2) if !encrypted => {
            return Err(wrong("protocol", "HTTP2 needs TLS; use H2C without"));
        }
        Some(BackendProtocol::Wss) if !encrypted => return Err(wrong("protocol", "WSS needs TLS")),
        _ => {}
    }
    let owner = Owner { kind: Kind::XBackend, key, metadata: &object.metadata, part: "" };
    let session = match (&spec.session_persistence, &place) {
        (None, _) => None,
        (Some(_), Place::Host(_)) => {
            return Err(wrong("sessionPersistence", "only EndpointSelector has endpoints to stay with"));
        }
        (Some(session), Place::Pods { .. }) => {
            let lowered = session::lower(session, "spec.sessionPersistence", &owner);
            Some(lowered.map_err(|fault| Fault { reason: Reason::Invalid, ..fault })?)
        }
    };
    let (tls, client_certificate) = security(key, object, verdict, context)?;
    Ok(XBackendPlan { place, port, protocol: spec.protocol.clone(), tls, client_certificate, session })
}

fn place(key: &Key, object: &XBackend, context: &Context<'_, '_>) -> Result<Place, Fault> {
    let spec = &object.spec;
    let wrong = |field: &str, message: String| Fault::new(Reason::Invalid, format!("spec.{field}"), message);
    match (&spec.type_, &spec.external_hostname, &spec.endpoint_selector) {
        (BackendType::ExternalHostname, Some(external), None) => {
            let name = &external.hostname;
            let refuse = |why: &str| wrong("externalHostname.hostname", format!("{name:?} {why}"));
            if name.parse::<IpAddr>().is_ok() {
                return Err(refuse("is an address; a host name is needed"));
            }
            let host = Host::parse(name).ok().filter(|host| host.suffix().is_none());
            let host = host.ok_or_else(|| refuse("is not a host name"))?;
            let of_cluster = [".cluster.local", ".svc"].iter().any(|suffix| host.as_str().ends_with(suffix));
            // The confused deputy of GEP-4894: what listens on a proxy's loopback is not for tenants.
            let own = !Allowed::of(context.settings).has_name(host.as_str());
            if of_cluster || own {
                return Err(refuse("is a name within the cluster; use EndpointSelector"));
            }
            Ok(Place::Host(host.as_str().into()))
        }
        (BackendType::EndpointSelector, None, Some(selector)) => {
            if selector.match_labels.is_empty() {
                return Err(wrong("endpointSelector.matchLabels", "at least one label is needed".to_owned()));
            }
            let service = context.settings.fleet.as_ref().and(object.metadata.uid.as_deref());
            Ok(Place::Pods {
                service: service.map(|uid| Key::new(key.namespace.clone(), fleet::selection_name(uid).as_str())),
            })
        }
        (BackendType::ExternalHostname, ..) => {
            Err(wrong("externalHostname", "is needed for this type, and nothing else".to_owned()))
        }
        (BackendType::EndpointSelector, ..) => {
            Err(wrong("endpointSelector", "is needed for this type, and nothing else".to_owned()))
        }
        (BackendType::Other(other), ..) => {
            Err(wrong("type", format!("{other:?} is neither ExternalHostname nor EndpointSelector")))
        }
    }
}

/// How to speak TLS, and the key pair to present.
type Security = (Option<Arc<BackendTls>>, Option<Arc<Secret>>);

fn security<'a>(
    key: &Key,
    object: &'a XBackend,
    verdict: &mut Verdict,
    context: &mut Context<'a, '_>,
) -> Result<Security, Fault> {
    let wrong = |field: &str, message: &str| Fault::new(Reason::Invalid, format!("spec.tls{field}"), message);
    let Some(tls) = &object.spec.tls else { return Ok((None, None)) };
    let with_client = match &tls.mode {
        BackendTLSMode::None if tls.validation.is_some() || tls.client_certificate_ref.is_some() => {
            return Err(wrong("", "mode None has neither validation nor clientCertificateRef"));
        }
        BackendTLSMode::None => return Ok((None, None)),
        BackendTLSMode::ServerOnly => false,
        BackendTLSMode::ClientAndServer => true,
        BackendTLSMode::Other(other) => return Err(wrong(".mode", &format!("{other:?} is not known"))),
    };
    let Some(validation) = &tls.validation else {
        return Err(wrong(".validation", "is needed, so that the server is known"));
    };
    let at = At { kind: Kind::XBackend, key, path: "spec.tls.validation" };
    let compiled = validation::read(&at, validation, &mut context.reader, context.vault, context.settings);
    verdict.refs.extend(compiled.refs);
    if let Some(fault) = compiled.rejected {
        // No CA that resolves is a matter of references.
        if fault.reason != Reason::NoValidCaCertificate {
            return Err(fault);
        }
        verdict.missing.push(fault);
    }
    let client = match (&tls.client_certificate_ref, with_client) {
        (None, false) => None,
        (Some(reference), true) => {
            let path = "spec.tls.clientCertificateRef";
            let from = (Kind::XBackend, key);
            match key_pair(reference, from, path, Reason::InvalidClientCertificateRef, context) {
                Ok(pair) => Some(pair.secret.clone()),
                Err(fault) => {
                    verdict.refs.push(fault.clone());
                    verdict.missing.push(fault);
                    None
                }
            }
        }
        (Some(_), false) => return Err(wrong(".clientCertificateRef", "is for mode ClientAndServer only")),
        (None, true) => return Err(wrong(".clientCertificateRef", "is needed for mode ClientAndServer")),
    };
    Ok((compiled.tls, client))
}
