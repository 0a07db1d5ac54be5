//! Predicates: paths, headers, query parameters, methods.

use super::headers::is_name;
use crate::status::{Fault, Reason};
use fairlead_crds::gateway::{
    GRPCHeaderMatchType, GRPCMethodMatch, GRPCMethodMatchType, GRPCRouteMatch, HTTPMethod, HTTPPathMatch,
    HTTPRouteMatch, HeaderMatchType, PathMatchType, QueryParamMatchType,
};
use fairlead_ir::{HeaderMatch, Method, MethodMatch, PathMatch, QueryMatch, RouteMatch, StringMatch};
use regex::bytes::RegexBuilder;

/// Bytes of a compiled expression, as the data plane allows.
const REGEX_LIMIT: usize = 256 * 1024;

fn wrong(path: impl Into<String>, message: impl Into<String>) -> Fault {
    Fault::new(Reason::UnsupportedValue, path, message)
}

/// Whether the data plane can compile it: on bytes, with ASCII classes unless the pattern names Unicode. Gives the number of groups,
/// the whole match included.
pub(super) fn regex(pattern: &str, path: &str) -> Result<usize, Fault> {
    let build = |unicode| {
        let mut builder = RegexBuilder::new(pattern);
        builder.unicode(unicode).size_limit(REGEX_LIMIT).nest_limit(100).build()
    };
    match build(false).or_else(|_| build(true)) {
        Ok(regex) => Ok(regex.captures_len()),
        Err(regex::Error::CompiledTooBig(_)) => {
            Err(wrong(path, format!("{pattern:?} is too large a regular expression")))
        }
        Err(error) => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Err(wrong(path, format!("{pattern:?} is not a regular expression (RE2 syntax): {last}")))
        }
    }
}

fn string(exact: bool, value: &str, path: &str) -> Result<StringMatch, Fault> {
    if exact {
        return Ok(StringMatch::Exact(value.into()));
    }
    regex(value, path).map(|_| StringMatch::Regex(value.into()))
}

/// Without a path, prefix `/`.
pub(super) fn http(spec: &HTTPRouteMatch, path: &str) -> Result<RouteMatch, Fault> {
    let mut headers: Vec<HeaderMatch> = Vec::new();
    for (i, header) in spec.headers.iter().enumerate() {
        let path = format!("{path}.headers[{i}]");
        let exact = match header.type_.as_ref().unwrap_or(&HeaderMatchType::Exact) {
            HeaderMatchType::Exact => true,
            HeaderMatchType::RegularExpression => false,
            HeaderMatchType::Other(other) => {
                return Err(wrong(format!("{path}.type"), format!("{other:?} is neither Exact nor RegularExpression")));
            }
        };
        self::header(&mut headers, &header.name, exact, &header.value, &path)?;
    }
    let mut query: Vec<QueryMatch> = Vec::new();
    for (i, parameter) in spec.query_params.iter().enumerate() {
        let path = format!("{path}.queryParams[{i}]");
        let exact = match parameter.type_.as_ref().unwrap_or(&QueryParamMatchType::Exact) {
            QueryParamMatchType::Exact => true,
            QueryParamMatchType::RegularExpression => false,
            QueryParamMatchType::Other(other) => {
                return Err(wrong(format!("{path}.type"), format!("{other:?} is neither Exact nor RegularExpression")));
            }
        };
        // Of equal names the first counts.
        if query.iter().all(|other| *other.name != *parameter.name) {
            let value = string(exact, &parameter.value, &format!("{path}.value"))?;
            query.push(QueryMatch { name: parameter.name.as_str().into(), value });
        }
    }
    Ok(RouteMatch {
        path: Some(match &spec.path {
            Some(spec) => self::path(spec, &format!("{path}.path"))?,
            None => PathMatch::Prefix("/".into()),
        }),
        method: spec.method.as_ref().map(|method| self::method(method, &format!("{path}.method"))).transpose()?,
        grpc: None,
        headers,
        query,
        port: None,
    })
}

/// Without a method, every service and method.
pub(super) fn grpc(spec: &GRPCRouteMatch, path: &str) -> Result<RouteMatch, Fault> {
    let mut headers: Vec<HeaderMatch> = Vec::new();
    for (i, header) in spec.headers.iter().enumerate() {
        let path = format!("{path}.headers[{i}]");
        let exact = match header.type_.as_ref().unwrap_or(&GRPCHeaderMatchType::Exact) {
            GRPCHeaderMatchType::Exact => true,
            GRPCHeaderMatchType::RegularExpression => false,
            GRPCHeaderMatchType::Other(other) => {
                return Err(wrong(format!("{path}.type"), format!("{other:?} is neither Exact nor RegularExpression")));
            }
        };
        self::header(&mut headers, &header.name, exact, &header.value, &path)?;
    }
    let method = spec.method.as_ref().map(|method| grpc_method(method, &format!("{path}.method"))).transpose()?;
    Ok(RouteMatch { grpc: method, headers, ..RouteMatch::default() })
}

/// Of names that differ in case only the first counts.
fn header(headers: &mut Vec<HeaderMatch>, name: &str, exact: bool, value: &str, path: &str) -> Result<(), Fault> {
    if !is_name(name) {
        return Err(wrong(format!("{path}.name"), format!("{name:?} is not a header name")));
    }
    let name: Box<str> = name.to_ascii_lowercase().into();
    if headers.iter().all(|other| other.name != name) {
        headers.push(HeaderMatch { name, value: string(exact, value, &format!("{path}.value"))? });
    }
    Ok(())
}

fn path(spec: &HTTPPathMatch, path: &str) -> Result<PathMatch, Fault> {
    let value = spec.value.as_deref().unwrap_or("/");
    match spec.type_.as_ref().unwrap_or(&PathMatchType::PathPrefix) {
        PathMatchType::Exact => literal(value, path).map(|()| PathMatch::Exact(value.into())),
        PathMatchType::PathPrefix => {
            literal(value, path)?;
            let trimmed = value.trim_end_matches('/');
            Ok(PathMatch::Prefix(if trimmed.is_empty() { "/".into() } else { trimmed.into() }))
        }
        PathMatchType::RegularExpression => {
            regex(value, &format!("{path}.value")).map(|_| PathMatch::Regex(value.into()))
        }
        PathMatchType::Other(other) => {
            Err(wrong(format!("{path}.type"), format!("{other:?} is none of Exact, PathPrefix, RegularExpression")))
        }
    }
}

/// A path that a normalised request can have, as upstream's CEL rules have it.
fn literal(value: &str, path: &str) -> Result<(), Fault> {
    let path = format!("{path}.value");
    if !value.starts_with('/') {
        return Err(wrong(path, format!("{value:?} does not begin with /")));
    }
    let found = ["//", "/./", "/../", "%2f", "%2F", "#"].into_iter().find(|part| value.contains(part));
    let found = found.or_else(|| ["/..", "/."].into_iter().find(|end| value.ends_with(end)));
    match found {
        Some(part) => {
            Err(wrong(path, format!("{value:?} has {part}, which no request's path has once it is normalised")))
        }
        None if value.bytes().any(|c| c <= b' ' || c >= 0x7f || c == b'?') => {
            Err(wrong(path, format!("{value:?} has characters that no path has")))
        }
        None => Ok(()),
    }
}

fn method(method: &HTTPMethod, path: &str) -> Result<Method, Fault> {
    Ok(match method {
        HTTPMethod::Get => Method::Get,
        HTTPMethod::Head => Method::Head,
        HTTPMethod::Post => Method::Post,
        HTTPMethod::Put => Method::Put,
        HTTPMethod::Delete => Method::Delete,
        HTTPMethod::Connect => Method::Connect,
        HTTPMethod::Options => Method::Options,
        HTTPMethod::Trace => Method::Trace,
        HTTPMethod::Patch => Method::Patch,
        HTTPMethod::Other(other) => {
            return Err(wrong(path, format!("{other:?} is no HTTP method; methods are in capitals")));
        }
    })
}

fn grpc_method(spec: &GRPCMethodMatch, path: &str) -> Result<MethodMatch, Fault> {
    let exact = match spec.type_.as_ref().unwrap_or(&GRPCMethodMatchType::Exact) {
        GRPCMethodMatchType::Exact => true,
        GRPCMethodMatchType::RegularExpression => false,
        GRPCMethodMatchType::Other(other) => {
            return Err(wrong(format!("{path}.type"), format!("{other:?} is neither Exact nor RegularExpression")));
        }
    };
    let part = |text: &Option<String>, field: &str| {
        let Some(text) = text.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
        let path = format!("{path}.{field}");
        if exact && !text.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c)) {
            return Err(wrong(path, format!("{text:?} is not the name of a gRPC {field}")));
        }
        string(exact, text, &path).map(Some)
    };
    let found = MethodMatch { service: part(&spec.service, "service")?, method: part(&spec.method, "method")? };
    if found.service.is_none() && found.method.is_none() {
        return Err(wrong(path, "service or method is needed"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_judged_as_they_stand() {
        for (pattern, groups) in [
            ("/v[0-9]+", Some(1)),
            ("(a)(b)", Some(3)),
            ("[é]", Some(1)),
            ("\\p{Greek}", Some(1)),
            ("a)(b", None),
            ("(", None),
        ] {
            assert_eq!(regex(pattern, "x").ok(), groups, "{pattern}");
        }
        assert!(regex("(a{1000}){1000}", "x").unwrap_err().message.contains("too large"));
    }
}
