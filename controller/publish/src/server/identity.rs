//! Whose connection it is.

use fairlead_ir::Id;
use rustls::pki_types::CertificateDer;
use std::time::{Duration, SystemTime};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

const SCHEME: &str = "fairlead://";

/// A proxy: which Gateway it serves, and which pod it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// `<namespace>/<name>`.
    pub gateway: Id,
    /// Name of the pod.
    pub pod: Id,
}

impl Identity {
    /// As its certificate has it: `fairlead://<namespace>/<gateway>/<pod>`.
    pub fn uri(&self) -> String {
        format!("{SCHEME}{}/{}", self.gateway, self.pod)
    }

    fn of_uri(uri: &str) -> Option<Identity> {
        let (gateway, pod) = uri.strip_prefix(SCHEME)?.rsplit_once('/')?;
        let (namespace, name) = gateway.split_once('/')?;
        let whole = [namespace, name, pod].iter().all(|part| !part.is_empty() && !part.contains('/'));
        whole.then(|| Identity { gateway: gateway.into(), pod: pod.into() })
    }
}

/// Who a connection is of, and until when, as its certificate has it.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub identity: Identity,
    pub not_after: SystemTime,
}

impl Peer {
    /// Whom a certificate names: that it is of them is known only when it was verified. `None`: it is none of ours.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Peer> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let names = parsed.subject_alternative_name().ok()??;
        let identity = names.value.general_names.iter().find_map(|name| match name {
            GeneralName::URI(uri) => Identity::of_uri(uri),
            _ => None,
        })?;
        let end = u64::try_from(parsed.validity().not_after.timestamp()).ok()?;
        Some(Peer { identity, not_after: SystemTime::UNIX_EPOCH + Duration::from_secs(end) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_gateway_and_pod() {
        let identity = Identity { gateway: "shop/edge".into(), pod: "fairlead-edge-abc".into() };
        assert_eq!(identity.uri(), "fairlead://shop/edge/fairlead-edge-abc");
        assert_eq!(Identity::of_uri(&identity.uri()), Some(identity));
        for wrong in
            ["", "fairlead://a/b", "fairlead://a//c", "fairlead://a/b/c/d", "spiffe://a/b/c", "fairlead:///b/c"]
        {
            assert_eq!(Identity::of_uri(wrong), None, "{wrong}");
        }
    }
}
