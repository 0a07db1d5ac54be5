//! The task behind a client: one loop over connection, answers, cache and certificate.

use super::backoff::Backoff;
use super::held::Held;
use super::identity::{Enrolment, Identity};
use super::stream::{Open, Tried, try_stream};
use super::{Failure, Link, Order, Received, Settings};
use crate::connect::Target;
use crate::proto::{self, from_controller};
use crate::{cache, payload};
use fairlead_ir::Push;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tonic::Status;

/// A change waits so long for others before it is written to the cache; longer when writing takes long.
const SAVE_AFTER: Duration = Duration::from_secs(1);
/// Writing takes one part in so many of the time.
const SAVE_SHARE: u32 = 20;
/// When renewing a certificate failed.
const RENEW_AGAIN: Duration = Duration::from_secs(30);
/// A stream that lived so long went well.
const SETTLED: Duration = Duration::from_secs(5);
/// The same problem is told again after this time.
const TELL_AGAIN: Duration = Duration::from_secs(60);
/// Redirects in a row that are followed at once.
const REDIRECTS: u32 = 3;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Runs until the client is dropped or closed.
pub(super) async fn run(
    settings: Settings,
    target: Target,
    give: mpsc::Sender<Received>,
    orders: mpsc::UnboundedReceiver<Order>,
    link: watch::Sender<Link>,
) {
    let mut session = Session::new(settings, target, give, orders, link);
    session.load().await;
    while session.step().await.is_some() {}
    session.finish().await;
}

struct Session {
    settings: Settings,
    enrolment: Enrolment,
    held: Held,
    give: mpsc::Sender<Received>,
    orders: mpsc::UnboundedReceiver<Order>,
    link: watch::Sender<Link>,
    phase: Phase,
    backoff: Backoff,
    /// Where a redirect led, and how many there were in a row.
    away: Option<std::net::SocketAddr>,
    redirects: u32,
    identity: Option<Arc<Identity>>,
    renew_at: Instant,
    renewal: Option<Boxed<Result<Identity, Failure>>>,
    /// What the cache had, until it is taken or of no use, and when it is taken.
    cached: Option<(proto::Saved, Vec<proto::Resource>)>,
    cached_at: Instant,
    save_at: Option<Instant>,
    saving: Option<JoinHandle<Duration>>,
    told: Option<(String, Instant)>,
}

enum Phase {
    Trying(Boxed<Tried>),
    Open { stream: Box<Open>, since: Instant, fed: bool },
    Pausing(Pin<Box<Sleep>>),
}

enum Event {
    Order(Option<Order>),
    Phase(Progress),
    TakeCache,
    Save,
    Saved(Duration),
    Renew,
    Renewed(Result<Identity, Failure>),
}

enum Progress {
    Tried(Tried),
    Message(Result<Option<proto::FromController>, Status>),
    Paused,
}

impl Phase {
    /// Can be dropped and called again at any time.
    async fn next(&mut self) -> Progress {
        match self {
            Phase::Trying(attempt) => Progress::Tried(attempt.await),
            Phase::Open { stream, .. } => Progress::Message(stream.inbound.message().await),
            Phase::Pausing(pause) => {
                pause.await;
                Progress::Paused
            }
        }
    }
}

impl Session {
    fn new(
        settings: Settings,
        target: Target,
        give: mpsc::Sender<Received>,
        orders: mpsc::UnboundedReceiver<Order>,
        link: watch::Sender<Link>,
    ) -> Session {
        let enrolment = Enrolment {
            target,
            ca_file: Arc::new(settings.ca_file.clone()),
            token_file: Arc::new(settings.token_file.clone()),
            clock: settings.clock.clone(),
        };
        Session {
            cached_at: Instant::now() + settings.patience,
            settings,
            enrolment,
            held: Held::default(),
            give,
            orders,
            link,
            phase: Phase::Pausing(Box::pin(sleep(Duration::ZERO))),
            backoff: Backoff::default(),
            away: None,
            redirects: 0,
            identity: None,
            renew_at: Instant::now(),
            renewal: None,
            cached: None,
            save_at: None,
            saving: None,
            told: None,
        }
    }

    /// Waits for what comes next, and takes it in. None: the client is gone.
    async fn step(&mut self) -> Option<()> {
        match self.event().await {
            Event::Order(None | Some(Order::Close)) => return None,
            Event::Order(Some(order)) => self.order(order),
            Event::Phase(Progress::Paused) => self.attempt(),
            Event::Phase(Progress::Tried(tried)) => self.tried(tried),
            Event::Phase(Progress::Message(message)) => return self.message(message).await,
            Event::TakeCache => return self.take_cache().await,
            Event::Save => self.save(),
            Event::Saved(took) => self.saved(took),
            Event::Renew => {
                let enrolment = self.enrolment.clone();
                self.renewal = Some(Box::pin(async move { enrolment.enroll().await }));
            }
            Event::Renewed(renewed) => self.renewed(renewed),
        }
        Some(())
    }

    async fn event(&mut self) -> Event {
        // A proxy that works on a push gets no other; the connection is kept alive by a task of its own.
        let listen = !(self.held.is_outstanding() && matches!(self.phase, Phase::Open { .. }));
        let take = self.cached.is_some() && !self.held.is_arriving();
        let save = self.save_at.filter(|_| self.saving.is_none());
        let renew = self.identity.is_some() && self.renewal.is_none();
        tokio::select! {
            order = self.orders.recv() => Event::Order(order),
            progress = self.phase.next(), if listen => Event::Phase(progress),
            () = sleep_until(self.cached_at), if take => Event::TakeCache,
            () = sleep_until(save.unwrap_or_else(Instant::now)), if save.is_some() => Event::Save,
            took = finished(&mut self.saving), if self.saving.is_some() => Event::Saved(took),
            () = sleep_until(self.renew_at), if renew => Event::Renew,
            renewed = pending(&mut self.renewal), if self.renewal.is_some() => Event::Renewed(renewed),
        }
    }

    fn attempt(&mut self) {
        let hello = proto::Hello {
            gateway: self.settings.gateway.to_string(),
            pod: self.settings.pod.to_string(),
            program: self.settings.program.clone(),
            ..self.held.hello()
        };
        let target = Target { address: self.away, ..self.enrolment.target.clone() };
        let attempt = try_stream(self.enrolment.clone(), self.identity.clone(), target, hello);
        self.phase = Phase::Trying(Box::pin(attempt));
    }

    fn tried(&mut self, tried: Tried) {
        if let Some(identity) = tried.enrolled {
            self.renew_at = identity.renew;
            self.identity = Some(identity);
            self.link.send_modify(|link| link.certificates += 1);
        }
        match tried.outcome {
            Ok(stream) => {
                let peer = stream.peer;
                // The proxy may have answered a push since the hello was written.
                stream.say(self.held.ack());
                self.phase = Phase::Open { stream, since: Instant::now(), fed: false };
                let now = self.settings.clock.now();
                self.link.send_modify(|link| {
                    (link.peer, link.since, link.problem) = (Some(peer), Some(now), None);
                    link.streams += 1;
                });
                tracing::info!(%peer, "connected to the controller");
                self.told = None;
            }
            Err(failure) => self.fail(failure),
        }
    }

    /// Tries again after a while.
    fn fail(&mut self, failure: Failure) {
        if failure.identity {
            self.identity = None;
        }
        self.away = None;
        let pause = self.backoff.next();
        self.phase = Phase::Pausing(Box::pin(sleep(pause)));
        let new = self.told.as_ref().is_none_or(|(text, at)| *text != failure.text || at.elapsed() > TELL_AGAIN);
        if new {
            tracing::warn!(problem = failure.text, "no connection to the controller");
            self.told = Some((failure.text.clone(), Instant::now()));
        }
        self.link.send_modify(|link| (link.peer, link.since, link.problem) = (None, None, Some(failure.text)));
    }

    async fn message(&mut self, message: Result<Option<proto::FromController>, Status>) -> Option<()> {
        match message {
            Ok(Some(proto::FromController { message: Some(from_controller::Message::Chunk(chunk)) })) => {
                if let Phase::Open { fed, .. } = &mut self.phase {
                    *fed = true;
                }
                self.redirects = 0;
                return self.chunk(chunk).await;
            }
            Ok(Some(proto::FromController { message: Some(from_controller::Message::Redirect(to)) })) => {
                self.redirect(&to.address);
            }
            // Of a newer controller.
            Ok(Some(proto::FromController { message: None })) => {}
            Ok(None) => self.ended(Failure::of("the controller ended the stream".into())),
            Err(status) => self.ended(Failure::status("the stream ended", &status)),
        }
        Some(())
    }

    fn ended(&mut self, failure: Failure) {
        if let Phase::Open { since, fed, .. } = &self.phase
            && (*fed || since.elapsed() >= SETTLED)
        {
            self.backoff.reset();
        }
        self.fail(failure);
    }

    fn redirect(&mut self, address: &str) {
        self.redirects += 1;
        match address.parse() {
            Ok(to) if self.redirects <= REDIRECTS => {
                tracing::debug!(%to, "the controller that leads is elsewhere");
                self.away = Some(to);
                self.attempt();
            }
            Ok(to) => {
                self.fail(Failure::of(format!("controllers send this proxy from one to the other, now to {to}")));
                self.redirects = 0;
            }
            Err(_) => self.fail(Failure::of(format!("the controller leads to {address:?}, which is no address"))),
        }
    }

    async fn chunk(&mut self, chunk: proto::Chunk) -> Option<()> {
        match self.held.chunk(chunk) {
            Ok(None) => {}
            Ok(Some(push)) => {
                self.cached = None;
                return self.give(Received::Push(push)).await;
            }
            Err(unrelated) => {
                self.held.forget_history();
                self.fail(Failure::of(unrelated.to_string()));
            }
        }
        Some(())
    }

    async fn give(&mut self, received: Received) -> Option<()> {
        let (Received::Push(Push { version, upserts, removals })
        | Received::Cached(Push { version, upserts, removals })) = &received;
        tracing::debug!(version, upserts = upserts.len(), removals = removals.len(), "configuration");
        self.give.send(received).await.ok()
    }

    fn order(&mut self, order: Order) {
        let changed = match order {
            Order::Ack { version, rejected, unbound } => {
                let taken = self.held.answer(version, rejected, unbound);
                if taken {
                    self.want_save();
                } else {
                    tracing::warn!(version, "an answer to a push that was not given");
                }
                taken
            }
            Order::Unbound(unbound) => self.held.unbound(unbound),
            Order::Close => false,
        };
        if changed && let Phase::Open { stream, .. } = &self.phase {
            stream.say(self.held.ack());
        }
    }

    fn renewed(&mut self, renewed: Result<Identity, Failure>) {
        match renewed {
            Ok(identity) => {
                self.renew_at = identity.renew;
                self.identity = Some(Arc::new(identity));
                self.link.send_modify(|link| link.certificates += 1);
                tracing::debug!("renewed the client certificate");
            }
            Err(failure) => {
                tracing::warn!(problem = failure.text, "cannot renew the client certificate");
                self.renew_at = Instant::now() + RENEW_AGAIN.mul_f64(1.0 + fastrand::f64());
            }
        }
    }
}

/// The cache.
impl Session {
    async fn load(&mut self) {
        let Some(directory) = self.settings.cache.clone() else { return };
        let gateway = self.settings.gateway.clone();
        let shown = directory.display().to_string();
        match tokio::task::spawn_blocking(move || cache::load(&directory, &gateway)).await {
            Ok(Ok(cached)) => self.cached = cached,
            Ok(Err(error)) => tracing::warn!(directory = shown, %error, "the cached configuration is of no use"),
            Err(error) => tracing::error!(directory = shown, %error, "reading the cached configuration failed"),
        }
    }

    async fn take_cache(&mut self) -> Option<()> {
        let Some((saved, resources)) = self.cached.take() else { return Some(()) };
        if !self.held.is_empty() {
            return Some(());
        }
        tracing::warn!(resources = resources.len(), "no configuration from the controller yet: taking the cached one");
        let push = self.held.restore(&saved, &resources);
        self.give(Received::Cached(push)).await
    }

    fn want_save(&mut self) {
        if self.settings.cache.is_some() && self.save_at.is_none() {
            self.save_at = Some(Instant::now() + SAVE_AFTER);
        }
    }

    fn save(&mut self) {
        self.save_at = None;
        let Some(directory) = self.settings.cache.clone() else { return };
        let (saved, resources) = self.held.saved(&self.settings.gateway);
        self.saving = Some(tokio::task::spawn_blocking(move || {
            let start = Instant::now();
            let sealed = resources.iter().filter_map(|resource| payload::encode(resource).ok());
            if let Err(error) = cache::store(&directory, &saved, sealed) {
                tracing::warn!(directory = %directory.display(), %error, "cannot write the configuration to the cache");
            }
            start.elapsed()
        }));
    }

    fn saved(&mut self, took: Duration) {
        let earliest = Instant::now() + took * SAVE_SHARE;
        self.save_at = self.save_at.map(|at| at.max(earliest));
    }

    /// Writes what is not written yet.
    async fn finish(&mut self) {
        if self.saving.is_some() {
            finished(&mut self.saving).await;
        }
        if self.save_at.is_some() {
            self.save();
            finished(&mut self.saving).await;
        }
    }
}

/// Of what is there; the slot is empty then.
async fn pending<T>(slot: &mut Option<Boxed<T>>) -> T {
    match slot {
        Some(future) => {
            let value = future.await;
            *slot = None;
            value
        }
        None => std::future::pending().await,
    }
}

async fn finished(slot: &mut Option<JoinHandle<Duration>>) -> Duration {
    let Some(handle) = slot else { return std::future::pending().await };
    let took = handle.await.unwrap_or_default();
    *slot = None;
    took
}
