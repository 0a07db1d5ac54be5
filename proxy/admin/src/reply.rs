//! Replies, before they are HTTP.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

const TEXT: &str = "text/plain; charset=utf-8";
pub(crate) const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
/// Prometheus text exposition format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub(crate) status: StatusCode,
    content_type: &'static str,
    pub(crate) body: String,
    allow: Option<&'static str>,
}

impl Reply {
    pub(crate) fn ok(content_type: &'static str, body: String) -> Self {
        Reply { status: StatusCode::OK, content_type, body, allow: None }
    }

    /// Plain text with a line feed at its end.
    pub fn text(status: StatusCode, text: impl Into<String>) -> Self {
        let mut body = text.into();
        if !body.ends_with('\n') {
            body.push('\n');
        }
        Reply { status, ..Reply::ok(TEXT, body) }
    }

    /// Indented JSON.
    pub fn json(value: &impl Serialize) -> Self {
        match serde_json::to_string_pretty(value) {
            Ok(json) => Reply::ok(JSON, json + "\n"),
            Err(error) => Reply::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }

    /// YAML.
    pub fn yaml(value: &impl Serialize) -> Self {
        match serde_saphyr::to_string(value) {
            Ok(yaml) => Reply::ok(YAML, yaml),
            Err(error) => Reply::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }

    /// Prometheus' text format.
    pub fn metrics(text: String) -> Self {
        Reply::ok(METRICS, text)
    }

    /// That the process runs.
    pub fn live() -> Self {
        Reply::text(StatusCode::OK, "LIVE")
    }

    /// 405 with the methods that are allowed, as in `GET, HEAD`.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let text = format!("method not allowed; use {allow}");
        Reply { allow: Some(allow), ..Reply::text(StatusCode::METHOD_NOT_ALLOWED, text) }
    }

    pub(crate) fn into_http(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() = self.status;
        let mut set = |name: HeaderName, value| response.headers_mut().insert(name, HeaderValue::from_static(value));
        set(CONTENT_TYPE, self.content_type);
        set(CACHE_CONTROL, "no-store");
        set(X_CONTENT_TYPE_OPTIONS, "nosniff");
        if let Some(allow) = self.allow {
            set(ALLOW, allow);
        }
        response
    }
}
