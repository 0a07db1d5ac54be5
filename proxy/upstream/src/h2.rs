//! Pool of HTTP/2 connections of one endpoint.
//!
//! Requests fill a connection up to four fifths of what the peer allows (of 100 at most), then the next one; when all are that
//! full, another is opened in the background while requests go on up to the peer's limit. Spare connections so go idle and are
//! closed. A connection is handed out once the peer's SETTINGS are there: its limit is known then, and that it speaks HTTP/2 at
//! all. One task per connection drives it; requests that find none wait for the same one.

use crate::connect::{Connected, open, within};
use crate::endpoint::{Endpoint, Slot};
use crate::lease::{Lease, Upstream};
use crate::waiters::Waiters;
use crate::{ConnectError, ConnectErrorKind, Want};
use fairlead_http::ErrorKind;
use fairlead_http::h2::{ClientSettings, Driver, Sender, connect};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::task::spawn_local;

/// Connections that take new streams, oldest first.
#[derive(Default)]
pub(crate) struct Pool {
    open: RefCell<Vec<Rc<Connection>>>,
    /// Connections under way.
    connecting: Cell<u32>,
    /// Requests that found no room.
    waiters: Waiters,
    /// Streams per connection, as the peer last said.
    learned: Cell<Option<usize>>,
    /// After a failure, no spare connection is tried before.
    no_spare_before: Cell<Option<Instant>>,
}

/// An open connection.
pub(crate) struct Connection {
    /// `None` once it takes no new streams. The connection ends when this is gone and all streams are over.
    sender: RefCell<Option<Sender>>,
    /// Leases.
    streams: Cell<usize>,
    /// Streams that the peer allows.
    max: Cell<usize>,
    used: Cell<bool>,
    /// By the cluster's coarse clock; since when there is no stream.
    idle_since: Cell<Instant>,
    connected: Rc<Connected>,
}

impl Connection {
    /// How it came about.
    pub(crate) fn connected(&self) -> &Rc<Connected> {
        &self.connected
    }

    /// From how many streams on another connection is wanted.
    fn soft_limit(&self) -> usize {
        soft_limit(self.max.get())
    }

    /// Looks at what the peer said meanwhile; `false` when the connection takes no new streams any more (GOAWAY, an error, no
    /// stream ids left).
    fn refresh(&self) -> bool {
        let sender = self.sender.borrow();
        let Some(sender) = sender.as_ref() else { return false };
        self.max.set(sender.max_streams());
        !sender.is_closed()
    }

    /// No new streams; closes (with GOAWAY) when the last one ends.
    fn drain(&self) {
        // The borrow must end before the sender is dropped.
        let sender = self.sender.borrow_mut().take();
        drop(sender);
    }
}

impl Pool {
    /// Ends a stream.
    pub(crate) fn release(&self, endpoint: &Endpoint, connection: &Connection) {
        let streams = connection.streams.get() - 1;
        connection.streams.set(streams);
        if streams == 0 {
            connection.idle_since.set(endpoint.core.now());
        }
        self.waiters.wake_one();
    }

    /// No connection takes new streams any more; those without streams close now.
    pub(crate) fn drain(&self) {
        let open = std::mem::take(&mut *self.open.borrow_mut());
        for connection in open {
            connection.drain();
        }
    }

    /// Closes what is idle for too long.
    pub(crate) fn sweep(&self, endpoint: &Endpoint, now: Instant) {
        let Some(timeout) = endpoint.core.config.idle_timeout else { return };
        self.open.borrow_mut().retain(|c| {
            let idle = c.streams.get() == 0 && now.saturating_duration_since(c.idle_since.get()) >= timeout;
            if idle {
                c.drain();
            }
            !idle
        });
    }

    fn remove(&self, connection: &Rc<Connection>) {
        self.open.borrow_mut().retain(|c| !Rc::ptr_eq(c, connection));
        connection.drain();
    }

    /// The first connection below its soft limit; if none, the one with the fewest streams that has room. The flag says whether
    /// another connection is wanted.
    fn choose(&self) -> (Option<Rc<Connection>>, bool) {
        let open = self.open.borrow();
        let mut fewest: Option<&Rc<Connection>> = None;
        for connection in &*open {
            let streams = connection.streams.get();
            if streams < connection.soft_limit() {
                return (Some(connection.clone()), false);
            }
            if streams < connection.max.get() && fewest.is_none_or(|f| streams < f.streams.get()) {
                fewest = Some(connection);
            }
        }
        (fewest.cloned(), true)
    }

    /// Opens as many connections as so many requests need that find no room, as far as the cluster may.
    fn connect_for(&self, endpoint: &Rc<Endpoint>, requests: usize) {
        let per_connection = soft_limit(self.learned.get().unwrap_or(MAX_STREAMS));
        let wanted = requests.div_ceil(per_connection);
        while (self.connecting.get() as usize) < wanted {
            // Without any connection nothing would ever wake those who wait.
            let force = self.connecting.get() == 0 && self.open.borrow().is_empty();
            let Some(slot) = Slot::open(endpoint, force) else { return };
            spawn(endpoint, slot);
        }
    }

    /// Lets those who wait have the room of a connection, and opens others for the rest.
    fn serve(&self, endpoint: &Rc<Endpoint>, room: usize) {
        for _ in 0..room.min(self.waiters.len()) {
            self.waiters.wake_one();
        }
        self.connect_for(endpoint, self.waiters.len());
    }

    /// Opens one more connection, for later, unless one is under way or failed just now.
    fn connect_spare(&self, endpoint: &Rc<Endpoint>) {
        let too_early = self.no_spare_before.get().is_some_and(|at| endpoint.core.now() < at);
        if self.connecting.get() == 0
            && !too_early
            && let Some(slot) = Slot::open(endpoint, false)
        {
            spawn(endpoint, slot);
        }
    }

    #[cfg(test)]
    pub(crate) fn streams(&self) -> Vec<usize> {
        self.open.borrow().iter().map(|c| c.streams.get()).collect()
    }
}

/// Room on an open connection, if there is any. No waiting.
pub(crate) fn try_lease(endpoint: &Rc<Endpoint>) -> Option<Upstream> {
    let (connection, more) = endpoint.h2.choose();
    let connection = connection?;
    if more {
        endpoint.h2.connect_spare(endpoint);
    }
    let leg = connection.sender.borrow().as_ref()?.leg();
    connection.streams.set(connection.streams.get() + 1);
    let reused = connection.used.replace(true);
    Some(Upstream::new(Box::new(leg), Lease::h2(endpoint, connection, reused)))
}

/// Room on an open connection or on one that is opened; those who wait share it.
pub(crate) async fn lease(endpoint: &Rc<Endpoint>) -> Result<Upstream, ConnectError> {
    let core = &endpoint.core;
    let pool = &endpoint.h2;
    let _pending = core.pend()?;
    let _leave = Leave { endpoint };
    let mut waited = false;
    loop {
        core.admit()?;
        if let Some(upstream) = try_lease(endpoint) {
            return Ok(upstream);
        }
        pool.connect_for(endpoint, pool.waiters.len() + 1);
        pool.waiters.wait(endpoint.id, waited).await?;
        waited = true;
    }
}

/// Starts the task of a connection: it connects, serves those who wait, and drives the connection to its end.
fn spawn(endpoint: &Rc<Endpoint>, slot: Slot) {
    let connecting = Connecting::new(endpoint);
    spawn_local(run(endpoint.clone(), slot, connecting));
}

async fn run(endpoint: Rc<Endpoint>, mut slot: Slot, connecting: Connecting) {
    let pool = &endpoint.h2;
    let established = within(endpoint.core.config.connect_timeout, establish(&endpoint)).await;
    drop(connecting);
    let (sender, mut driver, connected) = match established {
        Ok(parts) => parts,
        Err(error) => {
            endpoint.connect_failed(&error);
            pool.no_spare_before.set(Some(endpoint.core.now() + SPARE_PAUSE));
            drop(slot);
            pool.waiters.fail_all(&error);
            return;
        }
    };
    slot.establish();
    let connection = Rc::new(Connection {
        max: Cell::new(sender.max_streams()),
        sender: RefCell::new(Some(sender)),
        streams: Cell::new(0),
        used: Cell::new(false),
        idle_since: Cell::new(endpoint.core.now()),
        connected,
    });
    pool.learned.set(Some(connection.max.get()));
    pool.open.borrow_mut().push(connection.clone());
    if endpoint.is_retired() && pool.waiters.is_empty() {
        pool.remove(&connection);
    }
    pool.serve(&endpoint, connection.soft_limit());
    let end = poll_fn(|cx| {
        let allowed = connection.max.get();
        let end = Pin::new(&mut driver).poll(cx);
        if end.is_pending() {
            if !connection.refresh() {
                pool.remove(&connection);
            } else if connection.max.get() > allowed {
                pool.learned.set(Some(connection.max.get()));
                pool.serve(&endpoint, connection.max.get() - allowed);
            }
        }
        end
    })
    .await;
    let (cluster, error) = (&*endpoint.core.config.id, end.err().map(tracing::field::display));
    tracing::debug!(cluster, endpoint = endpoint.name(), error, "an HTTP/2 connection ended");
    pool.remove(&connection);
    drop(slot);
    // Whoever waits for a stream of this connection must look again.
    pool.waiters.wake_one();
}

/// Connects, and waits for the peer's SETTINGS.
async fn establish(endpoint: &Endpoint) -> Result<(Sender, Driver, Rc<Connected>), ConnectError> {
    let (stream, connected) = open(&endpoint.core.config, endpoint.address(), Want::Http2).await?;
    let (sender, mut driver) = connect(stream, &SETTINGS).await?;
    poll_fn(|cx| match Pin::new(&mut driver).poll(cx) {
        Poll::Ready(Ok(())) => Poll::Ready(Err(ConnectError::new(ConnectErrorKind::Closed))),
        Poll::Ready(Err(error)) => Poll::Ready(Err(ConnectError::from(error))),
        // 0 until SETTINGS are there, see `SETTINGS`.
        Poll::Pending if sender.max_streams() == 0 => Poll::Pending,
        Poll::Pending => Poll::Ready(Ok(())),
    })
    .await?;
    Ok((sender, driver, connected))
}

impl From<fairlead_http::Error> for ConnectError {
    fn from(error: fairlead_http::Error) -> ConnectError {
        match error.kind {
            ErrorKind::Closed | ErrorKind::Refused => ConnectError::new(ConnectErrorKind::Closed),
            ErrorKind::Io(kind) => std::io::Error::from(kind).into(),
            _ => ConnectError::with(ConnectErrorKind::Protocol, &error),
        }
    }
}

/// Of our side of each connection.
const SETTINGS: ClientSettings = ClientSettings {
    // A slow client holds back this much of a response.
    stream_window: 512 * 1024,
    // So much that 63 streams whose clients read nothing don't stop the others.
    connection_window: 32 * 1024 * 1024,
    // Envoy's.
    max_header_list_size: 60 * 1024,
    max_send_buffer_size: 256 * 1024,
    // No stream before the peer said how many.
    initial_max_streams: 0,
};

/// Four fifths of the streams that the peer allows, of 100 at most.
fn soft_limit(max: usize) -> usize {
    (max.min(MAX_STREAMS) * 4 / 5).max(1)
}

/// Counts a connection under way.
struct Connecting(Rc<Endpoint>);

impl Connecting {
    fn new(endpoint: &Rc<Endpoint>) -> Connecting {
        let count = &endpoint.h2.connecting;
        count.set(count.get() + 1);
        Connecting(endpoint.clone())
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        let count = &self.0.h2.connecting;
        count.set(count.get() - 1);
    }
}

/// Somebody who came for a stream leaves, with or without one.
struct Leave<'a> {
    endpoint: &'a Rc<Endpoint>,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        // What was opened for the last request of a retired endpoint has no other who would close it.
        if self.endpoint.is_retired() && self.endpoint.h2.waiters.is_empty() {
            self.endpoint.h2.drain();
        }
    }
}

/// Streams on one connection that are not worth another connection yet.
const MAX_STREAMS: usize = 100;

/// After a spare connection could not be opened.
const SPARE_PAUSE: Duration = Duration::from_secs(1);
