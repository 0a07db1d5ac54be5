//! Requests to listeners that have filters (GEP-5224): those come first, and the route is found for what they leave.

use crate::cause::Cause;
use crate::exchange::auth::{self, Around, Filters};
use crate::exchange::deliver::{self, filter};
use crate::exchange::find::{self, Found};
use crate::exchange::{Exchange, local, path_policy};
use fairlead_filter::Verdict;
use fairlead_http::{Leg, normalize};
use fairlead_snapshot::ListenerFilters;

/// What the request has to pass before it is routed. Requests that no listener takes, or another one than they came for, pass nothing.
pub fn filters<'a>(found: &Found<'a>) -> Option<Filters<'a>> {
    match found.listener?.filters.as_deref()? {
        ListenerFilters::Run { chain, auths } if matches!(found.hit, Err(Cause::NoRoute)) => {
            Some(Filters { chain, auths })
        }
        _ => None,
    }
}

/// Runs the request through the listener's filters, finds its route, and delivers it.
pub async fn enter<'a>(
    around: Around<'_>,
    filters: Filters<'a>,
    found: &mut Found<'a>,
    down: &mut Leg,
    ex: &mut Exchange,
) -> Result<(), Cause> {
    let Around { worker, current, conn } = around;
    let listener = found.listener.ok_or(Cause::NoRoute)?;
    deliver::prepare(found.listener, conn, ex)?;
    let mut prefix_len = None;
    let reply = match filter(filters.chain, None, conn, &mut prefix_len, ex) {
        Verdict::Next => None,
        Verdict::Reply(reply) => Some(reply),
        Verdict::Ask(stop) => auth::ask(around, filters, stop, &mut prefix_len, down, ex).await?,
    };
    if let Some(reply) = reply {
        conn.announce_end(down);
        local::reply(down, ex, &reply, None).await;
        return Ok(());
    }
    if filters.chain.rewrites_path() {
        // Routes must see of a path what backends will. A path that was meant otherwise is not sent back to the client: it did not ask for it.
        normalize::path(&mut ex.request, &path_policy(&listener.config.http))?;
    }
    found.hit = find::route(listener, conn, &ex.request);
    deliver::deliver(worker, current, conn, found, down, ex).await
}
