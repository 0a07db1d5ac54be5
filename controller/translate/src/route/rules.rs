//! What a rule becomes.

use super::backends::Spec;
use super::filter_spec::FilterSpec;
use super::{RouteKind, Scope, backends, filters};
use crate::duration;
use crate::session::{self, Owner};
use crate::status::{Fault, Reason};
use fairlead_crds::gateway::{HTTPRouteRetry, HTTPRouteTimeouts, SessionPersistence};
use fairlead_ir::{Backend, Filter, Retry, RouteMatch, Session, Timeouts};

/// A rule of a route, read.
#[derive(Default)]
pub(crate) struct Rule {
    pub name: Option<Box<str>>,
    pub matches: Vec<RouteMatch>,
    pub filters: Vec<Filter>,
    pub backends: Vec<Backend>,
    pub timeouts: Timeouts,
    pub retry: Option<Retry>,
    /// For backends that have no sessions of their own.
    pub session: Option<Session>,
    /// Why all its requests get 500.
    pub broken: Option<Box<str>>,
    /// What makes the rule invalid.
    pub invalid: Vec<Fault>,
    /// Its matches can't be served.
    pub dropped: bool,
}

impl Rule {
    /// A rule with its matches, as far as they can be read.
    pub fn matching(name: Option<&str>, matches: impl Iterator<Item = Result<RouteMatch, Fault>>) -> Self {
        let mut rule = Rule { name: name.map(Into::into), ..Rule::default() };
        for found in matches {
            match found {
                Ok(found) => rule.matches.push(found),
                Err(fault) => {
                    rule.invalid.push(fault);
                    rule.dropped = true;
                }
            }
        }
        rule
    }

    /// Reads `sessionPersistence`, before the backends. `index` is the rule's.
    pub(super) fn keep_sessions<R: RouteKind>(
        &mut self,
        spec: Option<&SessionPersistence>,
        (route, index): (&R, usize),
        path: &str,
        scope: &Scope<'_, '_>,
    ) {
        let Some(spec) = spec else { return };
        let number = index.to_string();
        let part = self.name.as_deref().unwrap_or(&number);
        let owner = Owner { kind: R::KIND, key: scope.key, metadata: route.metadata(), part };
        match session::lower(spec, &format!("{path}.sessionPersistence"), &owner) {
            Ok(session) => self.session = Some(session),
            Err(fault) => self.refuse([fault]),
        }
    }

    /// Adds filters and backends, as every kind of route has them.
    pub(super) fn lead<'a>(
        &mut self,
        specs: &[FilterSpec<'a>],
        to: impl Iterator<Item = Spec<'a>>,
        path: &str,
        scope: &mut Scope<'_, '_>,
    ) {
        let found = filters::lower(specs, path, &self.matches, scope);
        self.filters = found.filters;
        self.refuse(found.invalid);
        if let (None, Some(fault)) = (&self.broken, found.unresolved) {
            self.broken = Some(fault.to_string().into());
        }
        backends::lower(self, to, path, scope);
        if !self.backends.is_empty()
            && self.filters.iter().any(|f| matches!(f, Filter::Redirect(_) | Filter::DirectResponse(_)))
        {
            scope.note(format!("{path}.backendRefs"), "never reached: a filter of this rule answers all requests");
        }
    }

    /// Gives back what its lists have room for: rules are kept, and most lists have one element.
    pub fn shrink(&mut self) {
        self.matches.shrink_to_fit();
        self.filters.shrink_to_fit();
        self.backends.shrink_to_fit();
    }

    /// Notes that the rule can't be honoured: invalid, and 500 for what it matches.
    pub fn refuse(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.invalid.extend(faults);
        if let (None, Some(fault)) = (&self.broken, self.invalid.first()) {
            self.broken = Some(fault.to_string().into());
        }
    }
}

/// GEP-1742. A backend's timeout must not be longer than the request's.
pub(crate) fn timeouts(spec: &HTTPRouteTimeouts, path: &str) -> Result<Timeouts, Fault> {
    let read = |text: &Option<String>, field: &str| {
        let wrong = |error| Fault::new(Reason::UnsupportedValue, format!("{path}.timeouts.{field}"), error);
        text.as_deref().map(duration::parse).transpose().map_err(wrong)
    };
    let timeouts = Timeouts {
        request: read(&spec.request, "request")?,
        backend_request: read(&spec.backend_request, "backendRequest")?,
        idle: None,
    };
    if let (Some(whole), Some(each)) = (timeouts.request, timeouts.backend_request)
        && whole.0 > 0
        && each > whole
    {
        let message = "must not be longer than timeouts.request, which covers it";
        return Err(Fault::new(Reason::UnsupportedValue, format!("{path}.timeouts.backendRequest"), message));
    }
    Ok(timeouts)
}

/// GEP-1731. One retry unless the rule says how many; none for zero.
pub(crate) fn retry(spec: &HTTPRouteRetry, path: &str) -> Result<Option<Retry>, Fault> {
    let wrong =
        |field: &str, message: String| Fault::new(Reason::UnsupportedValue, format!("{path}.retry.{field}"), message);
    let attempts = spec.attempts.unwrap_or(1);
    let attempts = u32::try_from(attempts).map_err(|_| wrong("attempts", format!("{attempts} is less than 0")))?;
    let mut codes = Vec::new();
    for (i, code) in spec.codes.iter().enumerate() {
        match u16::try_from(*code).ok().filter(|code| (400..600).contains(code)) {
            Some(code) if codes.contains(&code) => {}
            Some(code) => codes.push(code),
            None => return Err(wrong(&format!("codes[{i}]"), format!("{code} is not a status of 400 to 599"))),
        }
    }
    let backoff = spec.backoff.as_deref().map(duration::parse).transpose().map_err(|error| wrong("backoff", error))?;
    Ok((attempts > 0).then_some(Retry { codes, attempts, backoff }))
}
