//! A route as tables hold it.

use crate::Problem;
use crate::predicate::Match;
use fairlead_ir::{Id, Order, Route, RouteKind, RouteMatch};
use std::cmp::Ordering;
use std::sync::Arc;

/// A route as tables hold it: its predicates, compiled once and shared by the tables of all listeners that it is attached to, and what
/// it stands for.
#[derive(Debug)]
pub struct Entry<T> {
    /// Names and order are read where they are: there may be many thousand routes.
    source: Arc<Route>,
    pub(crate) matches: Box<[Match]>,
    payload: T,
}

impl<T> Entry<T> {
    /// Compiles a route's predicates.
    ///
    /// # Errors
    /// A regular expression that does not compile, a path that is not absolute. The other routes are not concerned.
    pub fn compile(route: &Arc<Route>, payload: T) -> Result<Self, Problem> {
        let everything = [RouteMatch::default()];
        let matches = if route.matches.is_empty() { &everything[..] } else { &route.matches[..] };
        let compile =
            |(index, source)| Match::compile(route.kind, source).map_err(|p| p.within(&format!("matches[{index}]")));
        let matches = matches.iter().enumerate().map(compile).collect::<Result<_, _>>()?;
        Ok(Entry { source: route.clone(), matches, payload })
    }

    /// The route's id.
    pub fn id(&self) -> &Id {
        &self.source.id
    }

    /// What kind of object it comes from.
    pub fn kind(&self) -> RouteKind {
        self.source.kind
    }

    /// What it stands for.
    pub fn payload(&self) -> &T {
        &self.payload
    }

    /// Its tie breaker.
    pub fn order(&self) -> &Order {
        &self.source.order
    }

    /// The route's own host names, each once; one `None` when it has none.
    pub fn hostnames(&self) -> impl Iterator<Item = Option<&str>> {
        let all = &self.source.hostnames;
        let named = all.iter().enumerate().filter(|(i, name)| !all[..*i].contains(name)).map(|(_, name)| Some(&**name));
        named.chain(all.is_empty().then_some(None))
    }

    /// By age, name and rule; by id at last, so that the order is total.
    pub(crate) fn cmp_order(&self, other: &Self) -> Ordering {
        self.order().cmp(other.order()).then_with(|| self.id().cmp(other.id()))
    }
}
