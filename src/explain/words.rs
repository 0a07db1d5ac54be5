//! What a rule does, in words.

use fairlead_ir::{
    AuthProtocol, Cors, Filter, HeaderMods, HostRewrite, PathRewrite, Redirect, Retry, Rewrite, Timeouts,
};

/// A filter in one line.
pub fn filter(filter: &Filter) -> String {
    match filter {
        Filter::RequestHeaders(mods) => format!("request headers: {}", headers(mods)),
        Filter::ResponseHeaders(mods) => format!("response headers: {}", headers(mods)),
        Filter::Redirect(redirect) => redirected(redirect),
        Filter::Rewrite(rewrite) => rewritten(rewrite),
        Filter::Mirror(mirror) => match (mirror.fraction.numerator, mirror.fraction.denominator) {
            (a, b) if a == b => format!("copy to {}", mirror.cluster),
            (a, b) => format!("copy of {a}/{b} to {}", mirror.cluster),
        },
        Filter::Cors(cors) => cross_origin(cors),
        Filter::DirectResponse(response) => {
            let body = response.body.as_ref().map_or(0, |body| body.len());
            format!("answer {} with {body} bytes", response.status)
        }
        Filter::ExternalAuth(auth) => {
            let protocol = if matches!(auth.protocol, AuthProtocol::Grpc { .. }) { "gRPC" } else { "HTTP" };
            let body = if auth.max_body > 0 {
                format!(", with bodies of up to {} bytes", auth.max_body)
            } else {
                String::new()
            };
            format!("ask {} over {protocol}{body}", auth.cluster)
        }
    }
}

/// Whether a filter answers by itself, so that nothing is forwarded.
pub fn answers(filter: &Filter) -> bool {
    matches!(filter, Filter::Redirect(_) | Filter::DirectResponse(_))
}

fn headers(mods: &HeaderMods) -> String {
    let removed = mods.remove.iter().map(|name| format!("remove {name}"));
    let set = mods.set.iter().map(|field| format!("set {} = {}", field.name, field.value));
    let added = mods.add.iter().map(|field| format!("add {} = {}", field.name, field.value));
    removed.chain(set).chain(added).collect::<Vec<_>>().join(", ")
}

fn redirected(redirect: &Redirect) -> String {
    let mut parts = vec![format!("redirect {}", redirect.status)];
    parts.extend(redirect.scheme.as_ref().map(|scheme| format!("scheme {scheme}")));
    parts.extend(redirect.hostname.as_ref().map(|host| format!("host {host}")));
    parts.extend(redirect.port.map(|port| format!("port {port}")));
    parts.extend(redirect.path.as_ref().map(path));
    parts.join(", ")
}

fn rewritten(rewrite: &Rewrite) -> String {
    let host = rewrite.hostname.as_ref().map(|host| match host {
        HostRewrite::Name(name) => format!("host {name}"),
        HostRewrite::Header(name) => format!("host from header {name}"),
        HostRewrite::Backend => "host of the backend".to_owned(),
    });
    let parts: Vec<String> = host.into_iter().chain(rewrite.path.as_ref().map(path)).collect();
    format!("rewrite {}", parts.join(", "))
}

fn path(rewrite: &PathRewrite) -> String {
    match rewrite {
        PathRewrite::Full(path) => format!("path {path}"),
        PathRewrite::Prefix(prefix) => format!("matched prefix to {}", if prefix.is_empty() { "/" } else { prefix }),
        PathRewrite::Regex { pattern, substitution } => format!("path matches of {pattern} to {substitution}"),
    }
}

fn cross_origin(cors: &Cors) -> String {
    let credentials = if cors.allow_credentials { ", with credentials" } else { "" };
    format!("CORS for {}{credentials}", cors.allow_origins.join(", "))
}

/// Timeouts in one line; `None` when all are the defaults.
pub fn timeouts(timeouts: &Timeouts) -> Option<String> {
    let text = |name: &str, limit: fairlead_ir::Millis| match limit.0 {
        0 => format!("{name} without limit"),
        ms if ms % 1000 == 0 => format!("{name} {} s", ms / 1000),
        ms => format!("{name} {ms} ms"),
    };
    let parts: Vec<String> = [("request", timeouts.request), ("each attempt", timeouts.backend_request)]
        .into_iter()
        .filter_map(|(name, limit)| Some(text(name, limit?)))
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// A retry rule in one line.
pub fn retry(retry: &Retry) -> String {
    let codes: Vec<String> = retry.codes.iter().map(u16::to_string).collect();
    let on = if codes.is_empty() { String::new() } else { format!(" and {}", codes.join(", ")) };
    format!("{} more on connection errors{on}", retry.attempts)
}
