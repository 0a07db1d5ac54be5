//! The JSON that describes a request, field for field that of the conformance suite's `echo-basic`.

use std::collections::BTreeMap;

use fairlead_net::tls::TlsInfo;
use hyper::header::{HOST, HeaderMap, HeaderName, TRAILER, TRANSFER_ENCODING};
use hyper::{Request, Version};
use serde::Serialize;

/// A request as it arrived.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report<'a> {
    /// Request target as sent: path and query, or the whole URI.
    pub path: String,
    /// `Host` or `:authority`.
    pub host: String,
    /// The method.
    pub method: &'a str,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    pub proto: &'static str,
    /// All values by canonical name, without those that frame the message.
    pub headers: BTreeMap<String, Vec<String>>,
    /// The port it came to.
    pub http_port: &'a str,
    /// Who answers.
    #[serde(flatten)]
    pub context: &'a Context,
    /// For a request over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<&'a TlsReport>,
}

/// Who answers.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Context {
    /// From `NAMESPACE`.
    pub namespace: String,
    /// From `INGRESS_NAME`.
    pub ingress: String,
    /// From `SERVICE_NAME`.
    pub service: String,
    /// From `POD_NAME`.
    pub pod: String,
}

impl Context {
    /// As the environment says, unless the arguments do.
    pub fn new(args: &super::Args) -> Context {
        let pick = |argument: &Option<String>, variable: &str| {
            argument.clone().or_else(|| std::env::var(variable).ok()).unwrap_or_default()
        };
        Context {
            namespace: pick(&args.namespace, "NAMESPACE"),
            ingress: pick(&None, "INGRESS_NAME"),
            service: pick(&args.service, "SERVICE_NAME"),
            pod: pick(&args.pod, "POD_NAME"),
        }
    }
}

/// A TLS connection.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsReport {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: String,
    /// What the client presented, PEM, its own first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peer_certificates: Vec<String>,
    /// SNI.
    pub server_name: String,
    /// ALPN.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub negotiated_protocol: String,
    /// Name in the IANA registry.
    pub cipher_suite: String,
}

impl From<&TlsInfo> for TlsReport {
    fn from(info: &TlsInfo) -> TlsReport {
        let presented = info.peer_cert.iter().flat_map(|c| c.chain().map(super::tls::pem).collect::<Vec<_>>());
        TlsReport {
            version: info.version.to_string(),
            peer_certificates: presented.collect(),
            server_name: info.sni.as_deref().unwrap_or_default().to_owned(),
            negotiated_protocol: info.alpn.as_deref().map(text).unwrap_or_default(),
            cipher_suite: info.cipher.to_owned(),
        }
    }
}

/// A connection, as far as answers tell of it.
#[derive(Debug)]
pub struct Connection {
    /// The port it came to; empty on a unix socket.
    pub port: String,
    /// For TLS.
    pub tls: Option<TlsReport>,
}

impl<'a> Report<'a> {
    /// Describes `request`.
    pub fn new<B>(request: &'a Request<B>, connection: &'a Connection, context: &'a Context) -> Report<'a> {
        let is_http2 = request.version() == Version::HTTP_2;
        let path = match request.uri().path_and_query() {
            Some(path) if is_http2 || request.uri().scheme().is_none() => path.to_string(),
            _ => request.uri().to_string(),
        };
        Report {
            path,
            host: host(request),
            method: request.method().as_str(),
            proto: match request.version() {
                Version::HTTP_10 => "HTTP/1.0",
                Version::HTTP_2 => "HTTP/2.0",
                _ => "HTTP/1.1",
            },
            headers: headers(request.headers()),
            http_port: &connection.port,
            context,
            tls: connection.tls.as_ref(),
        }
    }

    /// Indented by one space, as the suite's server does it.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(1024);
        let format = serde_json::ser::PrettyFormatter::with_indent(b" ");
        self.serialize(&mut serde_json::Serializer::with_formatter(&mut out, format))?;
        Ok(out)
    }
}

/// The host that a request is for, as sent.
pub fn host<B>(request: &Request<B>) -> String {
    let authority = request.uri().authority().map(|a| a.as_str().to_owned());
    authority.or_else(|| request.headers().get(HOST).map(|v| text(v.as_bytes()))).unwrap_or_default()
}

/// Go takes these out of a request's headers.
fn headers(map: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut headers = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in map {
        if ![HOST, TRANSFER_ENCODING, TRAILER].contains(name) {
            headers.entry(canonical(name)).or_default().push(text(value.as_bytes()));
        }
    }
    headers
}

/// Go's `CanonicalMIMEHeaderKey`: upper case at the start and after each hyphen.
pub fn canonical(name: &HeaderName) -> String {
    let mut upper = true;
    let canonical = name.as_str().chars().map(|c| {
        let c = if upper { c.to_ascii_uppercase() } else { c };
        upper = c == '-';
        c
    });
    canonical.collect()
}

/// Header values need not be UTF-8, JSON must be.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
