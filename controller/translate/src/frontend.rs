//! Validation of clients' certificates (GEP-91): a default, and overrides by port. It concerns HTTPS listeners of the Gateway and
//! of its ListenerSets; grants are judged from the Gateway.

use crate::frame::Context;
use crate::gateway::ungranted;
use crate::status::{Fault, Reason};
use crate::tls::ca;
use fairlead_crds::Kind;
use fairlead_crds::gateway::{FrontendTLSValidation, FrontendValidationModeType, Gateway};
use fairlead_ir::{ClientValidation, ClientValidationMode};
use fairlead_store::Key;
use std::collections::BTreeMap;

/// Validation of clients' certificates, by port.
#[derive(Default)]
pub(crate) struct Frontend {
    default: Option<Validation>,
    ports: BTreeMap<i32, Option<Validation>>,
}

/// One validation of clients' certificates.
pub(crate) struct Validation {
    pub compiled: Option<ClientValidation>,
    pub rejected: Vec<Fault>,
    pub refs: Vec<Fault>,
}

impl Frontend {
    /// What applies to HTTPS listeners on a port: the port's own configuration, else the default.
    pub fn of(&self, port: i32) -> Option<&Validation> {
        match self.ports.get(&port) {
            Some(own) => own.as_ref(),
            None => self.default.as_ref(),
        }
    }

    /// Whether some listener lets clients in without a valid certificate.
    pub fn is_insecure(&self) -> bool {
        let all = self.default.iter().chain(self.ports.values().flatten());
        all.filter_map(|v| v.compiled.as_ref()).any(|v| v.mode == ClientValidationMode::AllowInsecureFallback)
    }
}

/// Reads `spec.tls.frontend`.
pub(crate) fn read<'a>(key: &Key, gateway: &'a Gateway, context: &mut Context<'a, '_>) -> Frontend {
    let Some(config) = gateway.spec.tls.as_ref().and_then(|tls| tls.frontend.as_ref()) else {
        return Frontend::default();
    };
    let mut read = |validation: Option<&FrontendTLSValidation>, path: String| {
        Some(self::validation(key, validation?, &path, context))
    };
    let default = read(config.default.validation.as_ref(), "spec.tls.frontend.default.validation".to_owned());
    let ports = config.per_port.iter().enumerate().map(|(i, own)| {
        (own.port, read(own.tls.validation.as_ref(), format!("spec.tls.frontend.perPort[{i}].tls.validation")))
    });
    Frontend { default, ports: ports.collect() }
}

fn validation<'a>(
    gateway: &Key,
    spec: &FrontendTLSValidation,
    path: &str,
    context: &mut Context<'a, '_>,
) -> Validation {
    let mut found = Validation { compiled: None, rejected: Vec::new(), refs: Vec::new() };
    let mode = match spec.mode.as_ref().unwrap_or(&FrontendValidationModeType::AllowValidOnly) {
        FrontendValidationModeType::AllowValidOnly => ClientValidationMode::AllowValidOnly,
        FrontendValidationModeType::AllowInsecureFallback => ClientValidationMode::AllowInsecureFallback,
        FrontendValidationModeType::Other(other) => {
            let message = format!("{other:?} is neither AllowValidOnly nor AllowInsecureFallback");
            found.rejected.push(Fault::new(Reason::UnsupportedValue, format!("{path}.mode"), message));
            ClientValidationMode::AllowValidOnly
        }
    };
    let mut cas = Vec::new();
    for (i, reference) in spec.ca_certificate_refs.iter().enumerate() {
        let path = format!("{path}.caCertificateRefs[{i}]");
        let wrong = |reason: Reason, message: String| Fault::new(reason, path.clone(), message);
        let kind = match ca::kind(&reference.group, &reference.kind, context.settings) {
            Ok(kind) => kind,
            Err(message) => {
                found.refs.push(wrong(Reason::InvalidCaCertificateKind, message));
                continue;
            }
        };
        if kind == Kind::ClusterTrustBundle && reference.namespace.is_some() {
            let message = "a ClusterTrustBundle lies in no namespace; remove it".to_owned();
            found.refs.push(wrong(Reason::InvalidCaCertificateRef, message));
            continue;
        }
        let name = ca::key(kind, reference.namespace.as_deref().unwrap_or(&gateway.namespace), &reference.name);
        let granted = kind == Kind::ClusterTrustBundle
            || context.reader.permits((Kind::Gateway, &gateway.namespace), (&reference.group, &reference.kind, &name));
        if !granted {
            found.refs.push(wrong(Reason::RefNotPermitted, ungranted(kind, &name, Kind::Gateway, gateway)));
            continue;
        }
        let object = ca::find(kind, &name, &mut context.reader);
        let bundle =
            object.ok_or_else(|| "it does not exist".to_owned()).and_then(|object| context.vault.bundle(&name, object));
        match bundle {
            Ok(bundle) => {
                if let Some(problem) = bundle.validity.problem(context.settings.now) {
                    context.reader.note(Kind::Gateway, gateway, path.as_str(), format!("{kind} {name}: {problem}"));
                }
                context.secrets.insert(bundle.secret.id.clone(), bundle.secret.clone());
                cas.push(bundle.secret.id.clone());
            }
            Err(error) => found.refs.push(wrong(Reason::InvalidCaCertificateRef, format!("{kind} {name}: {error}"))),
        }
    }
    if cas.is_empty() {
        let message = "no usable CA certificate, so no client could be let in";
        found.rejected.push(Fault::new(Reason::NoValidCaCertificate, format!("{path}.caCertificateRefs"), message));
    } else {
        found.compiled = Some(ClientValidation { cas, mode });
    }
    found
}
