//! One lazily armed timer per connection.
//!
//! Deadlines move with every request, the armed timer seldom does: it is moved only when it would fire too late, and what
//! fires too early is armed again. A keep-alive connection so touches the timer wheel once per timeout, not once per request.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::{Instant, Sleep, sleep_until};

/// See the module.
#[derive(Default)]
pub struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    deadline: Option<Instant>,
    /// Address of the task that `sleep` wakes when it fires. `sleep` keeps that task's memory until then, so nobody else is there.
    registered: usize,
}

impl Timer {
    /// Sets the deadline; `None` waits for ever.
    pub fn set(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Ready once the deadline has passed; registers the task otherwise.
    pub fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
            self.registered = 0;
        }
        // Armed for this task already: asking again would tell nothing new.
        if self.registered == address(cx) && !sleep.is_elapsed() {
            return Poll::Pending;
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
        self.registered = address(cx);
        Poll::Pending
    }
}

/// Tells tasks apart.
fn address(cx: &Context<'_>) -> usize {
    cx.waker().data().addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn an_early_timer_is_armed_again() {
        let start = Instant::now();
        let mut timer = Timer::default();
        timer.set(Some(start + Duration::from_secs(1)));
        assert!(poll_fn(|cx| Poll::Ready(timer.poll_expired(cx).is_pending())).await);
        timer.set(Some(start + Duration::from_secs(5)));
        poll_fn(|cx| timer.poll_expired(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 5);
        timer.set(Some(start + Duration::from_secs(60)));
        assert!(poll_fn(|cx| Poll::Ready(timer.poll_expired(cx).is_pending())).await);
        timer.set(Some(start + Duration::from_secs(7)));
        poll_fn(|cx| timer.poll_expired(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 7);
    }
}
