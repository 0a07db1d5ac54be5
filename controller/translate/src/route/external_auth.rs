//! ExternalAuth (GEP-1494): a service that is asked before a request goes on.
//!
//! The service is a backend like any other: a Service or `Backend`, with ReferenceGrant, BackendTLSPolicy and `appProtocol`; over gRPC it is
//! spoken to in HTTP/2 whatever its port says. When it does not resolve, what the filter stands in answers 500: nothing gets past.

use super::{Scope, headers};
use crate::cluster::{self, BackendRef};
use crate::status::{Fault, Reason};
use fairlead_crds::gateway::{HTTPExternalAuthFilter, HTTPRouteExternalAuthProtocol};
use fairlead_ir::{AuthProtocol, ExternalAuth, Millis, RouteKind};

/// The field is not there yet (GEP-1494 leaves it to implementations); Envoy Gateway's default.
const TIMEOUT: Millis = Millis(10_000);

/// What is wrong with a filter.
pub(crate) enum Wrong {
    /// It can't be honoured.
    Invalid(Fault),
    /// What it refers to can't be had.
    Unresolved(Fault),
}

/// Reads the filter at `path`.
pub(crate) fn lower(
    spec: &HTTPExternalAuthFilter,
    path: &str,
    scope: &mut Scope<'_, '_>,
) -> Result<ExternalAuth, Wrong> {
    let wrong = |field: &str, message: &str| {
        Wrong::Invalid(Fault::new(Reason::UnsupportedValue, format!("{path}.{field}"), message))
    };
    let protocol = match (&spec.protocol, &spec.http, &spec.grpc) {
        (HTTPRouteExternalAuthProtocol::Http, _, Some(_)) => return Err(wrong("grpc", "is for protocol GRPC only")),
        (HTTPRouteExternalAuthProtocol::Grpc, Some(_), _) => return Err(wrong("http", "is for protocol HTTP only")),
        (HTTPRouteExternalAuthProtocol::Http, http, None) => {
            let http = http.clone().unwrap_or_default();
            AuthProtocol::Http {
                prefix: prefix(http.path.as_deref().unwrap_or_default())
                    .map_err(|message| wrong("http.path", message))?,
                request_headers: names(&http.allowed_headers, &format!("{path}.http.allowedHeaders"))?,
                response_headers: names(
                    &http.allowed_response_headers,
                    &format!("{path}.http.allowedResponseHeaders"),
                )?,
            }
        }
        (HTTPRouteExternalAuthProtocol::Grpc, None, grpc) => {
            let grpc = grpc.clone().unwrap_or_default();
            AuthProtocol::Grpc {
                request_headers: names(&grpc.allowed_headers, &format!("{path}.grpc.allowedHeaders"))?,
            }
        }
        (HTTPRouteExternalAuthProtocol::Other(other), ..) => {
            return Err(wrong("protocol", &format!("{other:?} is neither HTTP nor GRPC")));
        }
    };
    let max_body = spec.forward_body.as_ref().and_then(|forward| forward.max_size).unwrap_or_default();
    let max_body = u32::try_from(max_body).map_err(|_| wrong("forwardBody.maxSize", "must not be less than 0"))?;
    let reference = BackendRef {
        group: spec.backend_ref.group.as_deref(),
        kind: spec.backend_ref.kind.as_deref(),
        name: &spec.backend_ref.name,
        namespace: spec.backend_ref.namespace.as_deref(),
        port: spec.backend_ref.port,
    };
    // It is spoken to in its own way, whatever the route carries.
    let own = if matches!(protocol, AuthProtocol::Grpc { .. }) { RouteKind::Grpc } else { RouteKind::Http };
    let route = std::mem::replace(&mut scope.route, own);
    let cluster = cluster::resolve(&reference, &format!("{path}.backendRef"), scope);
    scope.route = route;
    let cluster = cluster.map_err(Wrong::Unresolved)?;
    let authority = match scope.uses.clusters.get(&cluster) {
        Some(known) => cluster::authority(&reference, known, scope),
        None => reference.name.into(),
    };
    Ok(ExternalAuth { cluster, authority, protocol, max_body, timeout: TIMEOUT })
}

/// What goes before paths: absolute, and with no `/` of its own at the end, which the path brings.
fn prefix(path: &str) -> Result<Box<str>, &'static str> {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@%".contains(&c);
    if !path.bytes().all(allowed) {
        return Err("has characters that no path has");
    }
    let escapes = path.split('%').skip(1);
    if !escapes.into_iter().all(|rest| rest.len() > 1 && rest.bytes().take(2).all(|c| c.is_ascii_hexdigit())) {
        return Err("has a % without two hexadecimal digits");
    }
    let path = path.trim_matches('/');
    if path.is_empty() {
        return Ok("".into());
    }
    if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err("has a segment that is empty, . or .., which mean different things to different servers");
    }
    Ok(format!("/{path}").into())
}

/// Names in lower case, each once.
fn names(names: &[String], path: &str) -> Result<Vec<Box<str>>, Wrong> {
    let mut all: Vec<Box<str>> = Vec::with_capacity(names.len());
    for (i, name) in names.iter().enumerate() {
        if !headers::is_name(name) {
            let message = format!("{name:?} is not a header name");
            return Err(Wrong::Invalid(Fault::new(Reason::UnsupportedValue, format!("{path}[{i}]"), message)));
        }
        let name: Box<str> = name.to_ascii_lowercase().into();
        if !all.contains(&name) {
            all.push(name);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::prefix;

    #[test]
    fn prefixes_are_paths() {
        for (path, wanted) in
            [("", ""), ("/", ""), ("auth", "/auth"), ("/auth/", "/auth"), ("/a/b%20c", "/a/b%20c"), ("//a//", "/a")]
        {
            assert_eq!(prefix(path).as_deref(), Ok(wanted), "{path}");
        }
        for path in ["/a/../b", "/a//b", "/./a", "/a?b", "/a b", "/a%2", "/a%zz", "/a#b", "/ü"] {
            assert!(prefix(path).is_err(), "{path}");
        }
    }
}
