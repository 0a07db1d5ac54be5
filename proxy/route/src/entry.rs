//! A route as tables hold it.

use crate::Problem;
use crate::predicate::Match;
use fairlead_ir::{Id, Order, Route, RouteKind, RouteMatch};
use std::cmp::Ordering;

/// A route as tables hold it: its predicates, compiled once and shared by the tables of all listeners that it is attached to, and what
/// it stands for.
#[derive(Debug)]
pub struct Entry<T> {
    id: Id,
    kind: RouteKind,
    hostnames: Box<[Box<str>]>,
    pub(crate) matches: Box<[Match]>,
    order: Order,
    payload: T,
}

impl<T> Entry<T> {
    /// Compiles a route's predicates.
    ///
    /// # Errors
    /// A regular expression that does not compile, a path that is not absolute. The other routes are not concerned.
    pub fn compile(route: &Route, payload: T) -> Result<Self, Problem> {
        let everything = [RouteMatch::default()];
        let matches = if route.matches.is_empty() { &everything[..] } else { &route.matches[..] };
        let compile =
            |(index, source)| Match::compile(route.kind, source).map_err(|p| p.within(&format!("matches[{index}]")));
        let mut hostnames = route.hostnames.clone();
        hostnames.sort_unstable();
        hostnames.dedup();
        Ok(Entry {
            id: route.id.clone(),
            kind: route.kind,
            hostnames: hostnames.into(),
            matches: matches.iter().enumerate().map(compile).collect::<Result<_, _>>()?,
            order: route.order.clone(),
            payload,
        })
    }

    /// The route's id.
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// What kind of object it comes from.
    pub fn kind(&self) -> RouteKind {
        self.kind
    }

    /// What it stands for.
    pub fn payload(&self) -> &T {
        &self.payload
    }

    /// Its tie breaker.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// The route's own host names; one `None` when it has none.
    pub fn hostnames(&self) -> impl Iterator<Item = Option<&str>> {
        let any = self.hostnames.is_empty().then_some(None);
        self.hostnames.iter().map(|h| Some(&**h)).chain(any)
    }

    /// By age, name and rule; by id at last, so that the order is total.
    pub(crate) fn cmp_order(&self, other: &Self) -> Ordering {
        self.order.cmp(&other.order).then_with(|| self.id.cmp(&other.id))
    }
}
