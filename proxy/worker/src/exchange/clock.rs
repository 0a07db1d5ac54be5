//! The deadlines of an exchange: one timer, whichever comes first.

use crate::timer::Timer;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// Which deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Of the whole exchange.
    Request,
    /// Of the attempt.
    Attempt,
    /// Nothing moved.
    Idle,
}

/// The deadlines of an exchange.
#[derive(Default)]
pub struct Deadlines {
    timer: Timer,
    request: Option<Instant>,
    /// Starts when the request was received whole.
    response: Option<Duration>,
    attempt: Option<Instant>,
    idle: Option<Duration>,
    progress: Option<Instant>,
    /// The clock was read just now.
    fresh: bool,
}

impl Deadlines {
    /// Takes the timer of a connection that needs none meanwhile, or gives it back: it is armed for that connection's task already.
    pub fn swap_timer(&mut self, timer: &mut Timer) {
        std::mem::swap(&mut self.timer, timer);
    }

    /// For a new request. All deadlines are forgotten; the armed timer stays as it is.
    pub fn begin(&mut self, now: Instant, idle_limit: Option<Duration>) {
        // Each field is named, so that none outlives its request.
        let Deadlines { timer: _, request, response, attempt, idle, progress, fresh } = self;
        (*request, *response, *attempt, *fresh) = (None, None, None, false);
        (*idle, *progress) = (idle_limit, Some(now));
    }

    /// When the exchange must be over.
    pub fn set_request(&mut self, deadline: Option<Instant>) {
        self.request = deadline;
    }

    /// How long the response may take once the request was received whole.
    pub fn set_response(&mut self, limit: Duration) {
        self.response = Some(limit);
    }

    /// The request was received whole.
    pub fn received(&mut self) {
        if let Some(limit) = self.response.take() {
            self.request = Some(Instant::now() + limit);
        }
    }

    /// When the attempt must be over.
    pub fn set_attempt(&mut self, deadline: Option<Instant>) {
        self.attempt = deadline;
    }

    /// What moves first moves now: the clock need not be read again.
    pub fn begin_attempt(&mut self, now: Instant) {
        (self.progress, self.fresh) = (Some(now), true);
    }

    /// Bytes moved: the idle time starts anew.
    pub fn progress(&mut self, moved: bool) {
        let fresh = std::mem::take(&mut self.fresh);
        if moved && !fresh && self.idle.is_some() {
            self.progress = Some(Instant::now());
        }
    }

    /// Ready with the deadline that passed; registers the task otherwise.
    pub fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Expired> {
        let mut first = self.request.map(|at| (at, Expired::Request));
        let idle = self.progress.zip(self.idle).map(|(at, idle)| at + idle);
        for (at, which) in [(self.attempt, Expired::Attempt), (idle, Expired::Idle)] {
            if let Some(at) = at
                && first.is_none_or(|(sooner, _)| at < sooner)
            {
                first = Some((at, which));
            }
        }
        let Some((at, which)) = first else { return Poll::Pending };
        self.timer.set(Some(at));
        self.timer.poll_expired(cx).map(|()| which)
    }
}
