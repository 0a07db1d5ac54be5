//! Requests that wait for something of this worker: a connection under way, a stream or a connection to come free.

use crate::ConnectError;
use crate::endpoint::EndpointId;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A queue, first come first served. Being woken is a hint to try again; who fails then waits again, at the front.
#[derive(Default)]
pub(crate) struct Waiters {
    queue: RefCell<VecDeque<Rc<Waiter>>>,
}

struct Waiter {
    key: EndpointId,
    state: RefCell<State>,
}

enum State {
    Waiting(Option<Waker>),
    Woken(Result<(), ConnectError>),
    Done,
}

impl Waiters {
    pub(crate) fn len(&self) -> usize {
        self.queue.borrow().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    /// Waits to be woken. `first` puts it before all others.
    pub(crate) fn wait(&self, key: EndpointId, first: bool) -> Wait<'_> {
        let waiter = Rc::new(Waiter { key, state: RefCell::new(State::Waiting(None)) });
        let mut queue = self.queue.borrow_mut();
        if first {
            queue.push_front(waiter.clone());
        } else {
            queue.push_back(waiter.clone());
        }
        Wait { waiters: self, waiter }
    }

    /// Wakes the first.
    pub(crate) fn wake_one(&self) {
        let first = self.queue.borrow_mut().pop_front();
        if let Some(waiter) = first {
            waiter.wake(Ok(()));
        }
    }

    /// Wakes the first that waits for this endpoint; `false` when there is none.
    pub(crate) fn wake_for(&self, key: EndpointId) -> bool {
        let mut queue = self.queue.borrow_mut();
        let place = queue.iter().position(|w| w.key == key);
        let waiter = place.and_then(|i| queue.remove(i));
        drop(queue);
        let found = waiter.is_some();
        if let Some(waiter) = waiter {
            waiter.wake(Ok(()));
        }
        found
    }

    /// Wakes all with an error.
    pub(crate) fn fail_all(&self, error: &ConnectError) {
        let all = std::mem::take(&mut *self.queue.borrow_mut());
        for waiter in all {
            waiter.wake(Err(error.clone()));
        }
    }
}

impl Waiter {
    fn wake(&self, result: Result<(), ConnectError>) {
        if let State::Waiting(Some(waker)) = self.state.replace(State::Woken(result)) {
            waker.wake();
        }
    }
}

/// See [`Waiters::wait`]. Dropped after it was woken but before it could act, it wakes the next.
pub(crate) struct Wait<'a> {
    waiters: &'a Waiters,
    waiter: Rc<Waiter>,
}

impl Future for Wait<'_> {
    type Output = Result<(), ConnectError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.waiter.state.borrow_mut();
        match std::mem::replace(&mut *state, State::Done) {
            State::Woken(result) => Poll::Ready(result),
            State::Waiting(_) => {
                *state = State::Waiting(Some(cx.waker().clone()));
                Poll::Pending
            }
            State::Done => Poll::Pending,
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        match self.waiter.state.replace(State::Done) {
            State::Waiting(_) => self.waiters.queue.borrow_mut().retain(|w| !Rc::ptr_eq(w, &self.waiter)),
            State::Woken(Ok(())) => {
                if !self.waiters.wake_for(self.waiter.key) {
                    self.waiters.wake_one();
                }
            }
            State::Woken(Err(_)) | State::Done => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ConnectErrorKind;

    fn poll(wait: &mut Wait<'_>) -> Poll<Result<(), ConnectError>> {
        Pin::new(wait).poll(&mut Context::from_waker(Waker::noop()))
    }

    const A: EndpointId = EndpointId(1);
    const B: EndpointId = EndpointId(2);

    #[test]
    fn wakes_in_order_and_by_key() {
        let waiters = Waiters::default();
        let mut first = waiters.wait(A, false);
        let mut second = waiters.wait(B, false);
        let mut zeroth = waiters.wait(A, true);
        assert!(poll(&mut first).is_pending());
        waiters.wake_for(B);
        assert!(poll(&mut second).is_ready());
        waiters.wake_one();
        assert!(poll(&mut first).is_pending());
        assert!(poll(&mut zeroth).is_ready());
        assert_eq!(waiters.len(), 1);
    }

    #[test]
    fn who_gives_up_leaves_the_queue_and_passes_the_turn_on() {
        let waiters = Waiters::default();
        let first = waiters.wait(A, false);
        let mut second = waiters.wait(A, false);
        let third = waiters.wait(A, false);
        waiters.wake_one();
        drop(first);
        assert!(poll(&mut second).is_ready(), "the turn of the first");
        drop(third);
        assert!(waiters.is_empty());
    }

    #[test]
    fn all_fail_together() {
        let waiters = Waiters::default();
        let mut waits = [waiters.wait(A, false), waiters.wait(B, false)];
        waiters.fail_all(&ConnectError::new(ConnectErrorKind::Refused));
        for wait in &mut waits {
            assert!(matches!(poll(wait), Poll::Ready(Err(e)) if e.kind == ConnectErrorKind::Refused));
        }
    }
}
