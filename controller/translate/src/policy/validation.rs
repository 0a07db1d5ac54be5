//! How to verify a backend's certificate: `validation`, as BackendTLSPolicy (GEP-1897) and XBackend (GEP-4894) have it.

use crate::Settings;
use crate::host::Host;
use crate::reader::Reader;
use crate::status::{Fault, Reason};
use crate::tls::{Vault, ca};
use fairlead_crds::Kind;
use fairlead_crds::gateway::{BackendTLSPolicyValidation, SubjectAltNameType, WellKnownCACertificatesType};
use fairlead_ir::{CaSource, Secret, SubjectAltName};
use fairlead_store::Key;
use std::sync::Arc;

/// How to speak TLS to a backend.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BackendTls {
    pub hostname: Box<str>,
    pub ca: CaSource,
    pub sans: Vec<SubjectAltName>,
    /// What `ca` names.
    pub secrets: Vec<Arc<Secret>>,
}

/// Where a `validation` stands.
pub(super) struct At<'k> {
    pub kind: Kind,
    pub key: &'k Key,
    pub path: &'static str,
}

/// A `validation`, read.
#[derive(Default)]
pub(super) struct Compiled {
    pub tls: Option<Arc<BackendTls>>,
    pub rejected: Option<Fault>,
    pub refs: Vec<Fault>,
}

/// Reads one.
pub(super) fn read<'a>(
    at: &At<'_>,
    validation: &'a BackendTLSPolicyValidation,
    reader: &mut Reader<'a>,
    vault: &mut Vault,
    settings: &Settings,
) -> Compiled {
    let mut compiled = Compiled::default();
    compiled.read(at, validation, reader, vault, settings);
    compiled
}

impl Compiled {
    fn read<'a>(
        &mut self,
        at: &At<'_>,
        validation: &'a BackendTLSPolicyValidation,
        reader: &mut Reader<'a>,
        vault: &mut Vault,
        settings: &Settings,
    ) {
        let secrets = self.cas(at, validation, reader, vault, settings);
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
                let path = format!("{}.caCertificateRefs", at.path);
                self.rejected = Some(Fault::new(
                    Reason::NoValidCaCertificate,
                    path,
                    "none of the references gives a CA certificate",
                ));
            }
            Ok(tls) => self.tls = Some(Arc::new(tls)),
            Err((field, message)) => {
                self.rejected = Some(Fault::new(Reason::Invalid, format!("{}{field}", at.path), message))
            }
        }
    }

    fn cas<'a>(
        &mut self,
        at: &At<'_>,
        validation: &'a BackendTLSPolicyValidation,
        reader: &mut Reader<'a>,
        vault: &mut Vault,
        settings: &Settings,
    ) -> Vec<Arc<Secret>> {
        let mut found = Vec::new();
        for (i, reference) in validation.ca_certificate_refs.iter().enumerate() {
            let path = format!("{}.caCertificateRefs[{i}]", at.path);
            let kind = match ca::kind(&reference.group, &reference.kind, settings) {
                Ok(kind) => kind,
                Err(message) => {
                    self.refs.push(Fault::new(Reason::InvalidKind, path, message));
                    continue;
                }
            };
            let name = ca::key(kind, &at.key.namespace, &reference.name);
            let object = ca::find(kind, &name, reader);
            match object.ok_or_else(|| "it does not exist".to_owned()).and_then(|object| vault.bundle(&name, object)) {
                Ok(bundle) => {
                    if let Some(problem) = bundle.validity.problem(settings.now) {
                        reader.note(at.kind, at.key, path, format!("{kind} {name}: {problem}"));
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

    /// The settings, or `unusable` of what is wrong.
    pub fn outcome(&self, unusable: impl Fn(&str) -> String) -> Result<Arc<BackendTls>, String> {
        match (&self.tls, &self.rejected) {
            (Some(tls), _) => Ok(tls.clone()),
            (None, Some(fault)) => Err(unusable(&fault.to_string())),
            (None, None) => Err(unusable("it says nothing")),
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
