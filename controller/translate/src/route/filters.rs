//! Filters of rules and backends.
//!
//! `RequestMirror` and `ExtensionRef` may stand there several times, the others once; `RequestRedirect` excludes `URLRewrite`
//! (`IncompatibleFilters`). A mirror whose backend does not resolve is left out. An `ExtensionRef` or `ExternalAuth` that does not
//! resolve is not skipped: the rule answers 500. Order is kept.

use super::external_auth::{self, Wrong};
use super::filter_spec::FilterSpec;
use super::{Scope, headers, route_filter};
use crate::cluster::{self, BackendRef};
use crate::host::Host;
use crate::status::{Fault, Reason};
use fairlead_crds::Kind;
use fairlead_crds::gateway::{
    HTTPCORSFilter, HTTPPathModifier, HTTPPathModifierType, HTTPRequestMirrorFilter, HTTPRequestRedirectFilter,
    HTTPURLRewriteFilter, LocalObjectReference,
};
use fairlead_crds::v1alpha1::RouteFilter;
use fairlead_ir::{Cors, Filter, Fraction, HostRewrite, Mirror, PathMatch, PathRewrite, Redirect, Rewrite, RouteMatch};
use fairlead_store::Key;

/// Filters, read.
#[derive(Default)]
pub(super) struct Filters {
    pub filters: Vec<Filter>,
    /// They are invalid.
    pub invalid: Vec<Fault>,
    /// A reference to a filter does not resolve.
    pub unresolved: Option<Fault>,
}

/// Reads the filters below `path`, for requests that the given matches take.
pub(super) fn lower(
    specs: &[FilterSpec<'_>],
    path: &str,
    matches: &[RouteMatch],
    scope: &mut Scope<'_, '_>,
) -> Filters {
    let mut found = Filters::default();
    for (i, spec) in specs.iter().enumerate() {
        let path = format!("{path}.filters[{i}]");
        if !spec.repeats() && specs[..i].iter().any(|other| other.field() == spec.field()) {
            let message = format!("{} stands here already; it can't be repeated", spec.field());
            found.invalid.push(Fault::new(Reason::IncompatibleFilters, path, message));
            continue;
        }
        found.add(*spec, &format!("{path}.{}", spec.field()), matches, scope);
    }
    found.compatible(path);
    found
}

impl Filters {
    fn add(&mut self, spec: FilterSpec<'_>, path: &str, matches: &[RouteMatch], scope: &mut Scope<'_, '_>) {
        let wrong = |message: String| Err(Fault::new(Reason::UnsupportedValue, path, message));
        let filter = match spec {
            FilterSpec::RequestHeaders(spec) => {
                headers::modifier(spec, path).map(|mods| Some(Filter::RequestHeaders(mods)))
            }
            FilterSpec::ResponseHeaders(spec) => {
                headers::modifier(spec, path).map(|mods| Some(Filter::ResponseHeaders(mods)))
            }
            FilterSpec::Mirror(spec) => mirror(spec, path, scope).map(|mirror| mirror.map(Filter::Mirror)),
            FilterSpec::Redirect(spec) => {
                redirect(spec, path, matches).map(|redirect| Some(Filter::Redirect(redirect)))
            }
            FilterSpec::Rewrite(spec) => rewrite(spec, path, matches).map(|rewrite| Some(Filter::Rewrite(rewrite))),
            FilterSpec::Cors(spec) => cors(spec, path).map(|cors| Some(Filter::Cors(cors))),
            FilterSpec::Extension(reference) => {
                match extension(reference, path, scope) {
                    Ok(filters) => self.filters.extend(filters),
                    Err(fault) => self.unresolved(fault, scope),
                }
                return;
            }
            FilterSpec::ExternalAuth(spec) => match external_auth::lower(spec, path, scope) {
                Ok(auth) => Ok(Some(Filter::ExternalAuth(auth))),
                Err(Wrong::Invalid(fault)) => Err(fault),
                Err(Wrong::Unresolved(fault)) => return self.unresolved(fault, scope),
            },
            FilterSpec::Missing(field) => wrong(format!("a filter of this type needs {field}")),
            FilterSpec::Unknown(name) => wrong(format!("{name:?} is no type of filter")),
        };
        match filter {
            Ok(filter) => self.filters.extend(filter),
            Err(fault) => self.invalid.push(fault),
        }
    }

    fn unresolved(&mut self, fault: Fault, scope: &mut Scope<'_, '_>) {
        self.unresolved.get_or_insert_with(|| fault.clone());
        scope.refs.push(fault);
    }

    /// At most one filter answers by itself, and then none rewrites; at most one changes the host, and one the path.
    fn compatible(&mut self, path: &str) {
        let count = |wanted: fn(&Filter) -> bool| self.filters.iter().filter(|filter| wanted(filter)).count();
        let answers = count(|f| matches!(f, Filter::Redirect(_) | Filter::DirectResponse(_)));
        let rewrites = count(|f| matches!(f, Filter::Rewrite(_)));
        let hosts = count(|f| matches!(f, Filter::Rewrite(Rewrite { hostname: Some(_), .. })));
        let paths = count(|f| matches!(f, Filter::Rewrite(Rewrite { path: Some(_), .. })));
        let message = if answers > 0 && rewrites > 0 {
            "a redirect or fixed answer can't be combined with URLRewrite"
        } else if answers > 1 {
            "only one filter can answer"
        } else if hosts > 1 || paths > 1 {
            "only one filter can rewrite the host, and one the path"
        } else {
            return;
        };
        self.invalid.push(Fault::new(Reason::IncompatibleFilters, format!("{path}.filters"), message));
    }
}

fn redirect(spec: &HTTPRequestRedirectFilter, path: &str, matches: &[RouteMatch]) -> Result<Redirect, Fault> {
    let wrong = |field: &str, message: String| Fault::new(Reason::UnsupportedValue, format!("{path}.{field}"), message);
    let scheme = match spec.scheme.as_deref().filter(|scheme| !scheme.is_empty()) {
        Some(scheme @ ("http" | "https")) => Some(scheme.into()),
        Some(other) => return Err(wrong("scheme", format!("{other:?} is neither http nor https"))),
        None => None,
    };
    let status = spec.status_code.unwrap_or(302);
    let Some(status) = u16::try_from(status).ok().filter(|status| matches!(status, 301 | 302 | 303 | 307 | 308)) else {
        return Err(wrong("statusCode", format!("{status} is none of 301, 302, 303, 307, 308")));
    };
    let port = match spec.port {
        Some(port) => Some(
            u16::try_from(port)
                .ok()
                .filter(|p| *p > 0)
                .ok_or_else(|| wrong("port", format!("{port} is not a port")))?,
        ),
        None => None,
    };
    Ok(Redirect {
        scheme,
        hostname: precise(spec.hostname.as_deref(), path)?,
        path: modified(spec.path.as_ref(), path, matches)?,
        port,
        status,
    })
}

fn rewrite(spec: &HTTPURLRewriteFilter, path: &str, matches: &[RouteMatch]) -> Result<Rewrite, Fault> {
    let hostname = precise(spec.hostname.as_deref(), path)?.map(HostRewrite::Name);
    Ok(Rewrite { hostname, path: modified(spec.path.as_ref(), path, matches)? })
}

fn precise(name: Option<&str>, path: &str) -> Result<Option<Box<str>>, Fault> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(None) };
    let wrong = |message: String| Fault::new(Reason::UnsupportedValue, format!("{path}.hostname"), message);
    let host = Host::parse(name).map_err(wrong)?;
    if host.suffix().is_some() {
        return Err(wrong(format!("{name:?} is a wildcard; a whole name is needed")));
    }
    Ok(Some(host.as_str().into()))
}

/// `ReplacePrefixMatch` needs that all matches of the rule are prefixes.
fn modified(spec: Option<&HTTPPathModifier>, path: &str, matches: &[RouteMatch]) -> Result<Option<PathRewrite>, Fault> {
    let Some(spec) = spec else { return Ok(None) };
    let wrong =
        |field: &str, message: &str| Fault::new(Reason::UnsupportedValue, format!("{path}.path.{field}"), message);
    let literal = |text: &str| text.bytes().all(|c| c > b' ' && c != 0x7f && c != b'#');
    match &spec.type_ {
        HTTPPathModifierType::ReplaceFullPath => match spec.replace_full_path.as_deref() {
            Some(full) if literal(full) => Ok(Some(PathRewrite::Full(absolute(full)))),
            Some(_) => Err(wrong("replaceFullPath", "has characters that no path has")),
            None => Err(wrong("replaceFullPath", "is needed for type ReplaceFullPath")),
        },
        HTTPPathModifierType::ReplacePrefixMatch => {
            let prefix = spec.replace_prefix_match.as_deref().unwrap_or_default();
            if !literal(prefix) {
                return Err(wrong("replacePrefixMatch", "has characters that no path has"));
            }
            if !matches.iter().all(|m| matches!(m.path, None | Some(PathMatch::Prefix(_)))) {
                return Err(wrong("type", "ReplacePrefixMatch needs matches of type PathPrefix only"));
            }
            Ok(Some(PathRewrite::Prefix(absolute(prefix.trim_end_matches('/')))))
        }
        HTTPPathModifierType::Other(other) => {
            Err(wrong("type", &format!("{other:?} is neither ReplaceFullPath nor ReplacePrefixMatch")))
        }
    }
}

fn absolute(path: &str) -> Box<str> {
    if path.starts_with('/') { path.into() } else { format!("/{path}").into() }
}

fn cors(spec: &HTTPCORSFilter, path: &str) -> Result<Cors, Fault> {
    for (i, origin) in spec.allow_origins.iter().enumerate() {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        let sound = |host: &str| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']);
        if origin != "*" && !host.is_some_and(sound) {
            let message =
                format!("{origin:?} is not an origin such as https://example.com, https://*.example.com:8443 or *");
            return Err(Fault::new(Reason::UnsupportedValue, format!("{path}.allowOrigins[{i}]"), message));
        }
    }
    for (field, names) in [
        ("allowMethods", &spec.allow_methods),
        ("allowHeaders", &spec.allow_headers),
        ("exposeHeaders", &spec.expose_headers),
    ] {
        if let Some(i) = names.iter().position(|name| !headers::is_name(name)) {
            let message = format!("{:?} is not a name", names[i]);
            return Err(Fault::new(Reason::UnsupportedValue, format!("{path}.{field}[{i}]"), message));
        }
    }
    let list = |names: &[String]| names.iter().map(|name| name.as_str().into()).collect();
    Ok(Cors {
        allow_origins: list(&spec.allow_origins),
        allow_credentials: spec.allow_credentials.unwrap_or_default(),
        allow_methods: list(&spec.allow_methods),
        allow_headers: list(&spec.allow_headers),
        expose_headers: list(&spec.expose_headers),
        // The specification's default, also for a zero that was left out.
        max_age: spec.max_age.and_then(|age| u32::try_from(age).ok()).filter(|age| *age > 0).unwrap_or(5),
    })
}

/// `None`: there is nothing to mirror to, or never.
fn mirror(spec: &HTTPRequestMirrorFilter, path: &str, scope: &mut Scope<'_, '_>) -> Result<Option<Mirror>, Fault> {
    let wrong = |field: &str, message: String| Fault::new(Reason::UnsupportedValue, format!("{path}.{field}"), message);
    let fraction = match (spec.percent, &spec.fraction) {
        (None, None) => Fraction { numerator: 1, denominator: 1 },
        (Some(_), Some(_)) => return Err(wrong("percent", "only one of percent and fraction may be set".to_owned())),
        (Some(percent), None) => {
            let numerator = u32::try_from(percent).ok().filter(|percent| *percent <= 100);
            Fraction {
                numerator: numerator.ok_or_else(|| wrong("percent", format!("{percent} is not 0 to 100")))?,
                denominator: 100,
            }
        }
        (None, Some(fraction)) => {
            let denominator = fraction.denominator.unwrap_or(100);
            let whole = u32::try_from(denominator).ok().filter(|denominator| *denominator > 0);
            let part = u32::try_from(fraction.numerator).ok().filter(|part| whole.is_some_and(|whole| *part <= whole));
            match (part, whole) {
                (Some(numerator), Some(denominator)) => Fraction { numerator, denominator },
                _ => {
                    return Err(wrong(
                        "fraction",
                        format!("{}/{denominator} is not between 0 and 1", fraction.numerator),
                    ));
                }
            }
        }
    };
    let reference = &spec.backend_ref;
    let reference = BackendRef {
        group: reference.group.as_deref(),
        kind: reference.kind.as_deref(),
        name: &reference.name,
        namespace: reference.namespace.as_deref(),
        port: reference.port,
    };
    match cluster::resolve(&reference, &format!("{path}.backendRef"), scope) {
        Ok(cluster) => Ok((fraction.numerator > 0).then_some(Mirror { cluster, fraction })),
        Err(fault) => {
            scope.refs.push(fault);
            Ok(None)
        }
    }
}

/// What an `ExtensionRef` names.
pub(crate) fn extension(
    reference: &LocalObjectReference,
    path: &str,
    scope: &mut Scope<'_, '_>,
) -> Result<Vec<Filter>, Fault> {
    if Kind::of_group(&reference.group, &reference.kind) != Some(Kind::RouteFilter) {
        let message = format!(
            "kind {} of group {:?} is no filter; RouteFilter (fairlead.dev) is",
            reference.kind, reference.group
        );
        return Err(Fault::new(Reason::InvalidKind, path, message));
    }
    let key = Key::new(scope.key.namespace.clone(), reference.name.as_str());
    let Some(object) = scope.reader.find::<RouteFilter>(&key) else {
        return Err(Fault::new(Reason::BackendNotFound, path, format!("there is no RouteFilter {key}")));
    };
    let wrong =
        |fault: Fault| Fault::new(Reason::UnsupportedValue, path, format!("RouteFilter {key} is not usable: {fault}"));
    route_filter::compile(&key, object, scope.reader).map_err(wrong)
}
