//! `RouteFilter`.

use serde::{Deserialize, Serialize};

use crate::gateway::LocalObjectReference;
use crate::gateway::macros::open_enum;

/// What a `RouteFilter` says: one filter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("x-kubernetes-validations" = [{
        "rule": "has(self.urlRewrite) || has(self.directResponse)",
        "message": "one of urlRewrite and directResponse must be set",
    }]))
)]
#[serde(rename_all = "camelCase")]
pub struct RouteFilterSpec {
    /// Changes host and path in ways that the URLRewrite filter cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_rewrite: Option<UrlRewrite>,
    /// Answers without asking a backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct_response: Option<DirectResponse>,
}

/// New host, new path, or both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("x-kubernetes-validations" = [{
        "rule": "has(self.hostname) || has(self.path)",
        "message": "hostname or path must be set",
    }]))
)]
#[serde(rename_all = "camelCase")]
pub struct UrlRewrite {
    /// Where the host comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<HostnameRewrite>,
    /// Where the path comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathRewrite>,
}

/// Where the new host comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("x-kubernetes-validations" = [{
        "rule": "self.type == 'Header' ? has(self.header) : !has(self.header)",
        "message": "header must be set for type Header, and only then",
    }]))
)]
#[serde(rename_all = "camelCase")]
pub struct HostnameRewrite {
    /// `Header`: the value of a request header. `Backend`: the host name of the chosen endpoint.
    #[serde(rename = "type")]
    pub type_: HostnameRewriteType,
    /// The name of the request header. A request without it keeps its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$"))
    )]
    pub header: Option<String>,
}

open_enum! {
    /// Where a new host comes from.
    pub enum HostnameRewriteType {
        /// A request header.
        Header = "Header",
        /// The chosen endpoint.
        Backend = "Backend",
    }
}

/// Where the new path comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("x-kubernetes-validations" = [{
        "rule": "self.type == 'ReplaceRegexMatch' ? has(self.replaceRegexMatch) : !has(self.replaceRegexMatch)",
        "message": "replaceRegexMatch must be set for type ReplaceRegexMatch, and only then",
    }]))
)]
#[serde(rename_all = "camelCase")]
pub struct PathRewrite {
    /// `ReplaceRegexMatch`: replace what a regular expression matches.
    #[serde(rename = "type")]
    pub type_: PathRewriteType,
    /// What is replaced with what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace_regex_match: Option<ReplaceRegexMatch>,
}

open_enum! {
    /// Where a new path comes from.
    pub enum PathRewriteType {
        /// The old path, with the matches of a regular expression replaced.
        ReplaceRegexMatch = "ReplaceRegexMatch",
    }
}

/// A regular expression and what replaces its matches in the path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReplaceRegexMatch {
    /// An RE2 pattern, matched anywhere in the path; the query is not part of it.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1024)))]
    pub pattern: String,
    /// What replaces each match; `\1` to `\9` stand for the pattern's groups.
    #[cfg_attr(feature = "schema", schemars(length(max = 1024)))]
    pub substitution: String,
}

/// A response that the proxy itself gives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DirectResponse {
    /// The `content-type` of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 256)))]
    pub content_type: Option<String>,
    /// The status; 200 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 200, max = 599)))]
    pub status_code: Option<i32>,
    /// The body; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<ResponseBody>,
}

/// A body of 64 KiB at most.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("x-kubernetes-validations" = [
        {
            "rule": "self.type == 'Inline' ? has(self.inline) : !has(self.inline)",
            "message": "inline must be set for type Inline, and only then",
        },
        {
            "rule": "self.type == 'ValueRef' ? has(self.valueRef) : !has(self.valueRef)",
            "message": "valueRef must be set for type ValueRef, and only then",
        },
    ]))
)]
#[serde(rename_all = "camelCase")]
pub struct ResponseBody {
    /// `Inline`: in `inline`. `ValueRef`: in a ConfigMap.
    #[serde(rename = "type")]
    pub type_: ResponseBodyType,
    /// The body itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = 65536)))]
    pub inline: Option<String>,
    /// A ConfigMap in the same namespace: its key `response.body`, or its only key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schemas::config_map_reference"))]
    pub value_ref: Option<LocalObjectReference>,
}

open_enum! {
    /// Where a body is.
    pub enum ResponseBodyType {
        /// In the object.
        Inline = "Inline",
        /// In a ConfigMap.
        ValueRef = "ValueRef",
    }
}
