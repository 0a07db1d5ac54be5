//! The stream of one proxy: says what it lacks, one push at a time, and hears what it serves.

use super::history::{Cursor, Gateway, Lack};
use super::identity::Peer;
use super::proxies::{Connected, progress};
use super::push::redirect;
use super::warnings::plain;
use super::{Role, Shared};
use fairlead_wire::proto::{self, from_controller, from_proxy};
use fairlead_wire::{encode, encode_name};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Status, Streaming};

/// Bytes of a chunk, if its resources are not larger.
const CHUNK: usize = 256 << 10;
/// Names of a chunk.
const NAMES: usize = 4096;
/// Bytes of a program's version that are kept.
const PROGRAM: usize = 64;
/// The last message has so long to be sent.
const FAREWELL: Duration = Duration::from_secs(2);

type Outbound = mpsc::Sender<Result<proto::FromController, Status>>;

/// What the server knows of a proxy.
pub(super) struct Session {
    shared: Arc<Shared>,
    peer: Peer,
    gateway: Arc<Gateway>,
    changed: watch::Receiver<()>,
    connected: Connected,
    program: String,
    /// What it was told.
    told: Cursor,
    /// What it serves. While that is less it is told nothing more: changes add up to one push.
    serves: Cursor,
}

/// Why a stream ends.
enum End {
    Gone,
    Redirect(SocketAddr),
    Status(Status),
}

impl Session {
    pub fn new(shared: Arc<Shared>, peer: Peer, hello: proto::Hello) -> Session {
        let program = plain(&hello.program, PROGRAM);
        let gateway = shared.gateway(&peer.identity.gateway);
        let changed = gateway.follow();
        let told = gateway.place(Cursor { epoch: hello.epoch, version: hello.version });
        let serving = hello.serving.unwrap_or_default();
        let serves = place(&serving, told).unwrap_or(told);
        let first = progress(&serving, serves.version, &program, &shared.warnings);
        let connected = Connected::new(shared.clone(), peer.identity.clone(), first);
        Session { shared, peer, gateway, changed, connected, program, told, serves }
    }

    pub async fn run(mut self, mut inbound: Streaming<proto::FromProxy>, outbound: Outbound) {
        let (gateway, pod) = (self.peer.identity.gateway.clone(), self.peer.identity.pod.clone());
        tracing::info!(gateway = &*gateway, pod = &*pod, program = self.program, "a proxy is connected");
        let end = self.follow(&mut inbound, &outbound).await;
        let why = match &end {
            End::Gone => "it is gone",
            End::Redirect(_) => "another controller leads",
            End::Status(status) => status.message(),
        };
        tracing::info!(gateway = &*gateway, pod = &*pod, why, "a proxy is not connected any more");
        let last = match end {
            End::Gone => None,
            End::Redirect(to) => Some(Ok(redirect(to))),
            End::Status(status) => Some(Err(status)),
        };
        let shared = self.shared.clone();
        drop(self);
        shared.tidy(&gateway);
        if let Some(last) = last {
            // One that does not read is not told.
            let _ = timeout(FAREWELL, outbound.send(last)).await;
        }
    }

    async fn follow(&mut self, inbound: &mut Streaming<proto::FromProxy>, outbound: &Outbound) -> End {
        let mut complete = self.shared.complete.subscribe();
        let mut end = pin!(self.end());
        loop {
            self.changed.mark_unchanged();
            let ready = *complete.borrow_and_update() || self.gateway.is_published();
            if ready
                && self.told == self.serves
                && let Some(lack) = self.gateway.lack(self.told)
            {
                self.told = lack.to;
                // One that does not read what it is told must not hold it for ever.
                tokio::select! {
                    biased;
                    end = &mut end => return end,
                    sent = send(lack, outbound) => if sent.is_none() { return End::Gone },
                }
            }
            tokio::select! {
                end = &mut end => return end,
                message = inbound.message() => match message {
                    Ok(Some(message)) => self.hear(message),
                    Ok(None) | Err(_) => return End::Gone,
                },
                () = change(&mut self.changed) => {}
                () = change(&mut complete) => {}
                () = outbound.closed() => return End::Gone,
            }
        }
    }

    /// Why the stream ends, whatever the proxy does.
    fn end(&self) -> impl Future<Output = End> + use<> {
        let mut role = self.shared.role.clone();
        let mut stopped = self.shared.stopped.clone();
        let mut replaced = self.connected.replaced.clone();
        let left = self.peer.not_after.duration_since(self.shared.clock.now()).unwrap_or(Duration::ZERO);
        let expires = Instant::now() + left;
        async move {
            let why = tokio::select! {
                to = elsewhere(&mut role) => return End::Redirect(to),
                _ = stopped.wait_for(|stopped| *stopped) => Status::unavailable("the controller is stopping"),
                _ = replaced.wait_for(|replaced| *replaced) => Status::aborted("another stream of this pod was opened"),
                () = sleep_until(expires) => Status::unavailable("the certificate that opened this stream has ended"),
            };
            End::Status(why)
        }
    }

    fn hear(&mut self, message: proto::FromProxy) {
        let Some(from_proxy::Message::Ack(ack)) = message.message else { return };
        let serves = place(&ack, self.told);
        self.serves = serves.unwrap_or(self.serves);
        let version = serves.map_or(0, |serves| serves.version);
        self.connected.update(progress(&ack, version, &self.program, &self.shared.warnings));
    }
}

/// What an ack says, if it is about what the proxy was told last, and not what it was told by another controller.
fn place(ack: &proto::Ack, told: Cursor) -> Option<Cursor> {
    let known = told != Cursor::default() && told.epoch == ack.epoch;
    known.then_some(Cursor { epoch: ack.epoch, version: ack.version })
}

/// Where the controller is that leads, when that is another one.
async fn elsewhere(role: &mut watch::Receiver<Role>) -> SocketAddr {
    loop {
        if let Role::Redirect(to) = &*role.borrow_and_update() {
            return *to;
        }
        change(role).await;
    }
}

/// As it changes; never when it can't any more.
async fn change<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending().await
    }
}

/// Sends a push in parts; each is made when the one before is on its way. None: the stream has ended.
async fn send(lack: Lack, outbound: &Outbound) -> Option<()> {
    let Lack { to, complete, upserts, removals } = lack;
    let empty = || proto::Chunk { epoch: to.epoch, version: to.version, complete, ..Default::default() };
    let (mut chunk, mut size) = (empty(), 0);
    for resource in &upserts {
        match encode(resource) {
            Ok(sealed) => {
                size += sealed.payload.len() + sealed.id.len() + 32;
                chunk.upserts.push(sealed);
            }
            Err(error) => tracing::error!(id = ?resource.id(), %error, "a resource can't be encoded"),
        }
        if size >= CHUNK {
            put(std::mem::replace(&mut chunk, empty()), outbound).await?;
            size = 0;
        }
    }
    for ids in removals.chunks(NAMES) {
        if !chunk.removals.is_empty() {
            put(std::mem::replace(&mut chunk, empty()), outbound).await?;
        }
        chunk.removals = ids.iter().map(encode_name).collect();
    }
    put(proto::Chunk { last: true, ..chunk }, outbound).await
}

async fn put(chunk: proto::Chunk, outbound: &Outbound) -> Option<()> {
    let message = proto::FromController { message: Some(from_controller::Message::Chunk(chunk)) };
    outbound.send(Ok(message)).await.ok()
}
