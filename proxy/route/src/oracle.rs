//! A naive router that follows the text of the specification line by line, to compare [`crate::Table`] with. It shares no code
//! with it, works on the IR as it is and knows no index.

use crate::Probe;
use fairlead_ir::{MethodMatch, PathMatch, Route, RouteKind, RouteMatch, StringMatch};
use std::cell::RefCell;
use std::collections::HashMap;

/// The id of the route that takes a request, and the index of the match.
pub(crate) fn route<'a>(routes: &'a [Route], request: &Probe) -> Option<(&'a str, usize)> {
    let mut left = Vec::new();
    for route in routes {
        let hostnames: Vec<Option<&str>> = match route.hostnames.is_empty() {
            true => vec![None],
            false => route.hostnames.iter().map(|h| Some(&**h)).collect(),
        };
        // "If no matches are specified, the default is a prefix path match on "/""; "the implementation MUST match every gRPC request".
        let matches = if route.matches.is_empty() { vec![RouteMatch::default()] } else { route.matches.clone() };
        for hostname in hostnames {
            for (index, m) in matches.iter().enumerate() {
                if host_matches(hostname, &request.host) && match_matches(route.kind, m, request) {
                    left.push(Candidate { route, hostname, index, m: m.clone() });
                }
            }
        }
    }
    // "precedence must be given to rules from the HTTPRoute with the largest number of:
    // * Characters in a matching non-wildcard hostname.
    // * Characters in a matching hostname."
    keep(&mut left, |c| c.hostname.filter(|h| !h.starts_with('*')).map(|h| h.chars().count()));
    keep(&mut left, |c| c.hostname.map(|h| h.chars().count()));
    // "Merging MUST not be done between GRPCRoutes and HTTPRoutes": GRPCRoutes first.
    keep(&mut left, |c| c.route.kind == RouteKind::Grpc);
    // "* Characters in a matching service. * Characters in a matching method."
    keep(&mut left, |c| text_rank(c.m.grpc.as_ref().and_then(|g| g.service.as_ref())));
    keep(&mut left, |c| text_rank(c.m.grpc.as_ref().and_then(|g| g.method.as_ref())));
    // "* "Exact" path match."
    keep(&mut left, |c| matches!(c.m.path, Some(PathMatch::Exact(_))));
    // Regular expressions are implementation-specific: here, the longest goes before all prefixes.
    keep(&mut left, |c| if let Some(PathMatch::Regex(r)) = &c.m.path { r.chars().count() } else { 0 });
    // "* "Prefix" path match with largest number of characters."
    keep(&mut left, |c| match &c.m.path {
        Some(PathMatch::Prefix(p)) => p.trim_end_matches('/').chars().count().max(1),
        None => 1,
        _ => 0,
    });
    // "* Method match. * Largest number of header matches. * Largest number of query param matches."
    keep(&mut left, |c| c.m.method.is_some());
    keep(&mut left, |c| c.m.headers.len());
    keep(&mut left, |c| c.m.query.len());
    // "* The oldest Route based on creation timestamp.
    // * The Route appearing first in alphabetical order by "{namespace}/{name}"."
    keep(&mut left, |c| std::cmp::Reverse(c.route.order.created));
    keep(&mut left, |c| std::cmp::Reverse(c.route.order.object.clone()));
    // "matching precedence MUST be granted to the FIRST matching rule (in list order)"
    keep(&mut left, |c| std::cmp::Reverse(c.route.order.rule));
    keep(&mut left, |c| std::cmp::Reverse(c.route.id.clone()));
    keep(&mut left, |c| std::cmp::Reverse(c.index));
    left.first().map(|c| (&*c.route.id, c.index))
}

struct Candidate<'a> {
    route: &'a Route,
    hostname: Option<&'a str>,
    index: usize,
    m: RouteMatch,
}

/// Keeps those with the largest key.
fn keep<K: Ord>(left: &mut Vec<Candidate<'_>>, key: impl Fn(&Candidate<'_>) -> K) {
    if let Some(largest) = left.iter().map(&key).max() {
        left.retain(|c| key(c) == largest);
    }
}

/// "Hostnames that are prefixed with a wildcard label (`*.`) are interpreted as a suffix match."
fn host_matches(hostname: Option<&str>, host: &str) -> bool {
    match hostname {
        None => true,
        Some(name) => match name.strip_prefix('*') {
            Some(suffix) => host.strip_suffix(suffix).is_some_and(|label| !label.is_empty()),
            None => name == host,
        },
    }
}

fn match_matches(kind: RouteKind, m: &RouteMatch, request: &Probe) -> bool {
    let path = match kind {
        RouteKind::Http => path_matches(m.path.as_ref(), &request.path),
        RouteKind::Grpc => grpc_matches(m.grpc.as_ref(), request),
        RouteKind::Tls | RouteKind::Tcp | RouteKind::Udp => true,
    };
    let method = m.method.is_none_or(|method| format!("{method:?}").to_uppercase() == request.method);
    let headers = m.headers.iter().all(|h| {
        let values: Vec<&str> =
            request.headers.iter().filter(|(n, _)| **n == *h.name).map(|(_, v)| v.as_str()).collect();
        !values.is_empty() && text_matches(&h.value, &values.join(","))
    });
    let query = m.query.iter().all(|q| {
        let text = request.query.clone().unwrap_or_default();
        let pairs = text.split('&').filter(|p| !p.is_empty()).map(|p| p.split_once('=').unwrap_or((p, "")));
        let mut pairs = pairs.map(|(name, value)| (decode(name), decode(value)));
        pairs.find(|(name, _)| **name == *q.name).is_some_and(|(_, value)| text_matches(&q.value, &value))
    });
    path && method && headers && query && m.port.is_none_or(|p| p == request.port)
}

/// "Matches based on a URL path prefix split by `/`. Matching is case-sensitive and done on a path element by element basis."
fn path_matches(path: Option<&PathMatch>, requested: &str) -> bool {
    match path {
        None => true,
        Some(PathMatch::Exact(exact)) => exact.as_ref() == requested,
        Some(PathMatch::Regex(pattern)) => regex_matches(pattern, requested),
        Some(PathMatch::Prefix(prefix)) => {
            let prefix: Vec<&str> = prefix.trim_end_matches('/').split('/').collect();
            let elements: Vec<&str> = requested.split('/').collect();
            prefix == [""] || elements.starts_with(&prefix)
        }
    }
}

fn grpc_matches(method: Option<&MethodMatch>, request: &Probe) -> bool {
    let content_type = request.headers.iter().find(|(n, _)| n == "content-type").map(|(_, v)| v.as_str());
    if !matches!(content_type, Some("application/grpc" | "application/grpc+proto")) {
        return false;
    }
    let Some(wanted) = method else { return true };
    let elements: Vec<&str> = request.path.split('/').collect();
    let ["", service, method] = elements[..] else { return false };
    if service.is_empty() || method.is_empty() {
        return false;
    }
    wanted.service.as_ref().is_none_or(|s| text_matches(s, service))
        && wanted.method.as_ref().is_none_or(|m| text_matches(m, method))
}

fn text_matches(text: &StringMatch, value: &str) -> bool {
    match text {
        StringMatch::Exact(exact) => exact.as_ref() == value,
        StringMatch::Regex(pattern) => regex_matches(pattern, value),
    }
}

fn regex_matches(pattern: &str, value: &str) -> bool {
    thread_local! {
        static COMPILED: RefCell<HashMap<String, regex::Regex>> = RefCell::default();
    }
    COMPILED.with_borrow_mut(|compiled| {
        let compile = || regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
        compiled.entry(pattern.to_owned()).or_insert_with(compile).is_match(value)
    })
}

/// An exact one goes before a regular expression before none.
fn text_rank(text: Option<&StringMatch>) -> (u8, usize) {
    match text {
        Some(StringMatch::Exact(exact)) => (2, exact.chars().count()),
        Some(StringMatch::Regex(pattern)) => (1, pattern.chars().count()),
        None => (0, 0),
    }
}

/// Enough for the requests that tests make: every `%` has two digits.
fn decode(text: &str) -> String {
    let mut decoded = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(decoded).unwrap()
}
