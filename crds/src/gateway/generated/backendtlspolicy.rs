//! Written by `fairlead-crds-generate`; do not edit.

use super::prelude::*;

open_enum! {
    pub enum SubjectAltNameType {
        Hostname = "Hostname",
        Uri = "URI",
    }
}

open_enum! {
    pub enum WellKnownCACertificatesType {
        System = "System",
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendTLSPolicy {
    #[serde(default)]
    pub metadata: meta::ObjectMeta,
    pub spec: BackendTLSPolicySpec,
    #[serde(default)]
    pub status: Option<PolicyStatus>,
}

kind! { BackendTLSPolicy, "gateway.networking.k8s.io", "v1", "backendtlspolicies", Namespace, status }

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendTLSPolicySpec {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    #[serde(default)]
    pub target_refs: Vec<LocalPolicyTargetReferenceWithSectionName>,
    pub validation: BackendTLSPolicyValidation,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendTLSPolicyValidation {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ca_certificate_refs: Vec<LocalObjectReference>,
    pub hostname: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_alt_names: Vec<SubjectAltName>,
    #[serde(rename = "wellKnownCACertificates", default, skip_serializing_if = "Option::is_none")]
    pub well_known_ca_certificates: Option<WellKnownCACertificatesType>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubjectAltName {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[serde(rename = "type")]
    pub type_: SubjectAltNameType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
}
