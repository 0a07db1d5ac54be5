//! Copies of requests to other clusters. Their responses are read and dropped; nothing they do touches the original.

use crate::exchange::Exchange;
use crate::worker::{Current, Worker};
use fairlead_http::{Framing, Incoming, Leg, Limits, RequestHead, ResponseHead};
use fairlead_snapshot::{Backend, Route};
use fairlead_upstream::{Cluster, Upstream};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The most of a body that waits for a slow mirror: 1 MiB. A mirror that falls further behind is given up.
const BACKLOG: usize = 1024 * 1024;

/// A mirror that takes longer than this is given up.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Where the request's body is copied to.
pub struct Tee(Vec<Rc<RefCell<Copy>>>);

#[derive(Default)]
struct Copy {
    waiting: VecDeque<Box<[u8]>>,
    bytes: usize,
    ended: bool,
    given_up: bool,
    reader: Option<Waker>,
}

impl Tee {
    /// The next bytes of the body.
    pub fn data(&mut self, data: &[u8]) {
        for copy in &self.0 {
            let mut copy = copy.borrow_mut();
            if copy.bytes + data.len() > BACKLOG {
                copy.given_up = true;
                copy.waiting.clear();
            } else if !copy.given_up {
                copy.bytes += data.len();
                copy.waiting.push_back(data.into());
            }
            copy.wake();
        }
    }

    /// The body is complete.
    pub fn end(&mut self) {
        for copy in &self.0 {
            let mut copy = copy.borrow_mut();
            copy.ended = true;
            copy.wake();
        }
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        for copy in &self.0 {
            let mut copy = copy.borrow_mut();
            copy.given_up |= !copy.ended;
            copy.wake();
        }
    }
}

impl Copy {
    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// Starts the mirrors of a rule and of the backend that was drawn.
#[inline]
pub fn start(worker: &Rc<Worker>, current: &Current, route: &Arc<Route>, backend: &Backend, ex: &mut Exchange) {
    if !route.mirrors.is_empty() || !backend.mirrors.is_empty() {
        start_all(worker, current, route, backend, ex);
    }
}

fn start_all(worker: &Rc<Worker>, current: &Current, route: &Arc<Route>, backend: &Backend, ex: &mut Exchange) {
    let mut copies = Vec::new();
    let of_rule = route.chain.mirrors().iter().zip(&route.mirrors);
    let of_backend = backend.chain.mirrors().iter().zip(&backend.mirrors);
    for (mirror, slot) in of_rule.chain(of_backend) {
        if !mirror.draws(fastrand::u64(..)) {
            continue;
        }
        let Some(cluster) = current.cluster(*slot) else { continue };
        let framing = ex.body.framing();
        let copy = Rc::new(RefCell::new(Copy { ended: framing == Framing::Empty, ..Copy::default() }));
        if framing != Framing::Empty {
            copies.push(copy.clone());
        }
        let mut head = RequestHead::new();
        head.copy_from(&ex.request);
        head.upgrade = None;
        let (worker, route, cluster) = (worker.clone(), route.clone(), cluster.clone());
        tokio::task::spawn_local(async move {
            let cells = route.metrics.at(worker.index);
            cells.mirrored.inc();
            let sent = tokio::time::timeout(TIMEOUT, Box::pin(send(&cluster, &head, framing, &copy))).await;
            if !matches!(sent, Ok(Some(()))) {
                cells.mirror_failures.inc();
            }
        });
    }
    if !copies.is_empty() {
        let mut tee = Tee(copies);
        let (collected, ended) = ex.body.collected();
        if !collected.is_empty() {
            tee.data(collected);
        }
        if ended {
            tee.end();
        }
        ex.tee = Some(tee);
    }
}

async fn send(cluster: &Rc<Cluster>, head: &RequestHead, framing: Framing, copy: &RefCell<Copy>) -> Option<()> {
    let pick = cluster.pick(&[])?;
    let want = cluster.config().protocol;
    let mut up = cluster.acquire(&pick, want).await.ok()?;
    up.leg().send_request(head, framing).ok()?;
    poll_fn(|cx| poll_body(cx, copy, up.leg())).await?;
    drain(up).await
}

fn poll_body(cx: &mut Context<'_>, copy: &RefCell<Copy>, up: &mut Leg) -> Poll<Option<()>> {
    let mut copy = copy.borrow_mut();
    loop {
        if copy.given_up {
            return Poll::Ready(None);
        }
        let Some(front) = copy.waiting.front_mut() else {
            if copy.ended {
                return up.poll_finish(cx, None).map(Result::ok);
            }
            copy.reader = Some(cx.waker().clone());
            let _ = up.poll_flush(cx);
            return Poll::Pending;
        };
        match up.poll_write(cx, front) {
            Poll::Ready(Ok(n)) if n == front.len() => {
                copy.waiting.pop_front();
                copy.bytes -= n;
            }
            Poll::Ready(Ok(n)) => {
                *front = front.get(n..).unwrap_or_default().into();
                copy.bytes -= n;
            }
            Poll::Ready(Err(_)) => return Poll::Ready(None),
            Poll::Pending => {
                copy.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
    }
}

/// Reads the response to its end so that the connection can be used again.
async fn drain(mut up: Upstream) -> Option<()> {
    let mut head = ResponseHead::default();
    loop {
        match poll_fn(|cx| up.leg().poll_response(cx, &mut head, &Limits::default())).await.ok()? {
            Incoming::Interim => {}
            Incoming::Upgraded => return None,
            Incoming::Final(_) => break,
        }
    }
    let done = poll_fn(|cx| {
        loop {
            match std::task::ready!(up.leg().poll_data(cx)) {
                Ok(fairlead_http::Event::Data) => {
                    let n = up.leg().data().len();
                    up.leg().consume(n);
                }
                Ok(fairlead_http::Event::End) => return Poll::Ready(Some(())),
                Ok(fairlead_http::Event::Trailers) => {}
                Err(_) => return Poll::Ready(None),
            }
        }
    })
    .await;
    up.finish();
    done
}
