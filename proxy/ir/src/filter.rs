//! What filters are told. One variant per folder of `proxy/filter`.

use crate::Id;
use serde::{Deserialize, Serialize};

/// A filter of a rule or a backend. Order is data: they run as listed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Filter {
    /// Changes the request's headers.
    RequestHeaders(HeaderMods),
    /// Changes the response's headers.
    ResponseHeaders(HeaderMods),
    /// Answers with a redirect.
    Redirect(Redirect),
    /// Changes path and host.
    Rewrite(Rewrite),
    /// Sends a copy to another cluster.
    Mirror(Mirror),
    /// Cross-origin resource sharing.
    Cors(Cors),
    /// Answers at once (`RouteFilter`).
    DirectResponse(DirectResponse),
}

/// A header field. The name is lower-case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct HeaderValue {
    pub name: Box<str>,
    pub value: Box<str>,
}

/// Changes to header fields, in the order `remove`, `set`, `add`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderMods {
    /// Replaces all fields of the name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<HeaderValue>,
    /// Appends a field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<HeaderValue>,
    /// Lower-case names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<Box<str>>,
}

/// A redirect; what is absent is taken from the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Redirect {
    /// `http` or `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<Box<str>>,
    /// Host name without port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Box<str>>,
    /// New path; the query stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathRewrite>,
    /// Without it: the scheme's well-known port if a scheme is given, else the listener's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// How a path changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PathRewrite {
    /// The whole path.
    Full(Box<str>),
    /// The prefix that the match's `Prefix` names.
    Prefix(Box<str>),
    /// All matches of a regular expression, with `\1` … in the substitution (Envoy's syntax).
    Regex {
        /// RE2 syntax as the `regex` crate has it.
        pattern: Box<str>,
        /// With `\0` to `\9` for groups.
        substitution: Box<str>,
    },
}

/// Changes path and host of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rewrite {
    /// New host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<HostRewrite>,
    /// New path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathRewrite>,
}

/// Where the new host comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HostRewrite {
    /// This one.
    Name(Box<str>),
    /// The value of a request header.
    Header(Box<str>),
    /// The host name of the chosen endpoint (`Backend` with FQDN, ExternalName).
    Backend,
}

/// A copy of requests to another cluster; its responses are dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mirror {
    /// Cluster id. The filter of an unresolved mirror backend is left out by `translate`.
    pub cluster: Id,
    /// Which share of the requests.
    pub fraction: Fraction,
}

/// A share of requests; 1/1 is all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Fraction {
    pub numerator: u32,
    pub denominator: u32,
}

/// Cross-origin resource sharing (GEP-1767).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cors {
    /// `*`, `https://example.com`, `https://*.example.com`, with or without port.
    #[serde(default)]
    pub allow_origins: Vec<Box<str>>,
    /// Whether credentials are allowed.
    #[serde(default)]
    pub allow_credentials: bool,
    /// Methods, or `*`.
    #[serde(default)]
    pub allow_methods: Vec<Box<str>>,
    /// Request headers, or `*`.
    #[serde(default)]
    pub allow_headers: Vec<Box<str>>,
    /// Response headers, or `*`.
    #[serde(default)]
    pub expose_headers: Vec<Box<str>>,
    /// Seconds; 5 as the specification's default.
    pub max_age: u32,
}

/// A fixed answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DirectResponse {
    /// 200 to 599.
    pub status: u16,
    /// `content-type` of the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<Box<str>>,
    /// At most 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Box<str>>,
}
