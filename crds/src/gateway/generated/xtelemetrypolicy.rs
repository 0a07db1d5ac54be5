//! Written by `fairlead-crds-generate`; do not edit.

use super::prelude::*;

open_enum! {
    pub enum AttributeSourceType {
        Header = "Header",
        Literal = "Literal",
        Attribute = "Attribute",
    }
}

open_enum! {
    pub enum ParentBasedSamplingMode {
        Enabled = "Enabled",
        Disabled = "Disabled",
        ImplementationDefault = "ImplementationDefault",
    }
}

open_enum! {
    pub enum TracingMode {
        Enabled = "Enabled",
        Disabled = "Disabled",
        ImplementationDefault = "ImplementationDefault",
    }
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attribute {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribute_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub literal_value: Option<String>,
    pub name: String,
    pub source_type: AttributeSourceType,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentBasedSampling {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ParentBasedSamplingMode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling_rate: Option<Fraction>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TelemetryPolicySpec {
    #[serde(default)]
    pub target_refs: Vec<LocalObjectReference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracing: Option<TracingConfig>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TelemetryPolicyStatus {
    #[serde(default)]
    pub ancestors: Vec<PolicyAncestorStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TracingConfig {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<Attribute>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<TracingMode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_based_sampling: Option<ParentBasedSampling>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<TracingProvider>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling_rate: Option<Fraction>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_name: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TracingProvider {
    pub backend_ref: BackendObjectReference,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HTTPHeader>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct XTelemetryPolicy {
    #[serde(default)]
    pub metadata: meta::ObjectMeta,
    pub spec: TelemetryPolicySpec,
    #[serde(default)]
    pub status: Option<TelemetryPolicyStatus>,
}

kind! { XTelemetryPolicy, "gateway.networking.x-k8s.io", "v1alpha1", "xtelemetrypolicies", Namespace, status }
