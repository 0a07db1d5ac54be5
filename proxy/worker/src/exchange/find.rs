//! Which listener and which rule take a request.

use crate::cause::Cause;
use crate::connection::ConnInfo;
use fairlead_http::RequestHead;
use fairlead_route::Hit;
use fairlead_snapshot::{Listener, ListenerFilters, Port, Route};
use std::sync::Arc;

/// What was found.
pub struct Found<'a> {
    /// The listener, if one takes the host.
    pub listener: Option<&'a Arc<Listener>>,
    /// The rule.
    pub hit: Result<Hit<'a, Arc<Route>>, Cause>,
}

/// Finds the listener by the request's host, then the rule in its table, unless the listener's filters come first.
pub fn find<'a>(port: Option<&'a Arc<Port>>, conn: &ConnInfo, request: &RequestHead) -> Found<'a> {
    let Some(port) = port else { return Found { listener: None, hit: Err(Cause::NoRoute) } };
    let listener = port.listeners.find(request.host());
    if let Some(sni) = conn.server_name() {
        let by_sni = port.listeners.find(sni.as_bytes());
        if by_sni.map(Arc::as_ptr) != listener.map(Arc::as_ptr) {
            return Found { listener: by_sni.or(listener), hit: Err(Cause::Misdirected) };
        }
    }
    let hit = match listener {
        None => Err(Cause::NoRoute),
        Some(listener) => match listener.filters.as_deref() {
            None => route(listener, conn, request),
            // They come first, and may change what routes go by.
            Some(ListenerFilters::Run { .. }) => Err(Cause::NoRoute),
            Some(ListenerFilters::Broken) => Err(Cause::Unresolved),
        },
    };
    Found { listener, hit }
}

/// Finds the rule in a listener's table.
pub fn route<'a>(listener: &'a Listener, conn: &ConnInfo, request: &RequestHead) -> Result<Hit<'a, Arc<Route>>, Cause> {
    listener.table.find(&Facts { request, port: conn.bind.port }).ok_or(Cause::NoRoute)
}

struct Facts<'a> {
    request: &'a RequestHead,
    port: u16,
}

impl fairlead_route::Request for Facts<'_> {
    fn host(&self) -> &[u8] {
        self.request.host()
    }

    fn path(&self) -> &[u8] {
        self.request.path()
    }

    fn query(&self) -> Option<&[u8]> {
        self.request.query()
    }

    fn method(&self) -> &[u8] {
        self.request.method_bytes()
    }

    fn header(&self, name: &[u8]) -> impl Iterator<Item = &[u8]> {
        self.request.fields.all_name(name)
    }

    fn port(&self) -> u16 {
        self.port
    }
}
