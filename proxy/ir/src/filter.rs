//! What filters are told. One variant per folder of `proxy/filter`.

use crate::{Id, Millis};
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
    /// Goes on only with the consent of a service (GEP-1494).
    ExternalAuth(ExternalAuth),
}

impl Filter {
    /// Id of the cluster that the filter names.
    pub fn cluster(&self) -> Option<&Id> {
        match self {
            Filter::Mirror(mirror) => Some(&mirror.cluster),
            Filter::ExternalAuth(auth) => Some(&auth.cluster),
            _ => None,
        }
    }
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

/// A service that is asked whether a request may go on (GEP-1494). A filter whose service does not resolve is no filter: `translate`
/// lets what it stands in answer 500.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalAuth {
    /// Cluster id.
    pub cluster: Id,
    /// Host of gRPC calls to endpoints without a name of their own.
    pub authority: Box<str>,
    /// What it speaks.
    pub protocol: AuthProtocol,
    /// Bytes of the request's body that it gets; a longer body is refused (413). 0: no body.
    #[serde(default)]
    pub max_body: u32,
    /// From the first byte sent to the last received, connecting included. 10 s.
    pub timeout: Millis,
}

/// What an authorisation service speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum AuthProtocol {
    /// HTTP: 200 is consent, all else is passed to the client.
    Http {
        /// Before the request's path: absolute, without `/` at its end; empty for none.
        #[serde(default)]
        prefix: Box<str>,
        /// Lower-case names of the request's fields that it gets beside `authorization`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        request_headers: Vec<Box<str>>,
        /// Lower-case names of the fields of its response that go into the request; empty: all but those of the message itself.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        response_headers: Vec<Box<str>>,
    },
    /// `envoy.service.auth.v3.Authorization`.
    Grpc {
        /// Lower-case names of the request's fields that it gets; empty: all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        request_headers: Vec<Box<str>>,
    },
}
