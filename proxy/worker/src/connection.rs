//! Facts of a downstream connection, and the registry through which a drain reaches all of them.

use fairlead_http::Leg;
use fairlead_net::tls::TlsInfo;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Waker};

/// What is known of a connection before its first request.
pub struct ConnInfo {
    /// The client's address.
    pub peer: SocketAddr,
    /// Our address.
    pub local: SocketAddr,
    /// The client's IP as text, for `x-forwarded-for`.
    pub peer_ip: Box<str>,
    /// The bind's index in the snapshot's key space.
    pub bind: fairlead_ir::Bind,
    /// Present on TLS connections.
    pub tls: Option<TlsInfo>,
    /// Number of the connection on this worker.
    pub id: u64,
    /// All of its listening socket.
    pub siblings: Rc<Connections>,
}

impl ConnInfo {
    /// The host that the client named in its TLS handshake.
    pub fn server_name(&self) -> Option<&str> {
        self.tls.as_ref()?.sni.as_deref()
    }

    /// Lets the response that comes next say `Connection: close` when the end is near.
    pub fn announce_end(&self, down: &mut Leg) {
        if self.siblings.phase.get() != Phase::Open {
            down.set_close(true);
        }
    }
}

/// How near the end of a listening socket's connections is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// They may stay.
    #[default]
    Open,
    /// Those that are used are told of the end; new ones still come, and idle ones stay, so that no request crosses a close.
    Announced,
    /// They finish what they do and close.
    Draining,
}

/// The connections of one listening socket of one worker.
#[derive(Default)]
pub struct Connections {
    phase: Cell<Phase>,
    open: Cell<usize>,
    wakers: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<u32>>,
    idle: RefCell<Option<Waker>>,
}

/// One registered connection; leaves on drop.
pub struct Registered {
    all: Rc<Connections>,
    slot: u32,
}

impl Connections {
    /// Registers a connection. Costs one slot of 16 bytes.
    pub fn register(self: &Rc<Self>) -> Registered {
        self.open.set(self.open.get() + 1);
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            let mut wakers = self.wakers.borrow_mut();
            wakers.push(None);
            (wakers.len() - 1) as u32
        });
        Registered { all: self.clone(), slot }
    }

    /// Lets every connection that is used say that the end is near.
    pub fn announce(&self) {
        self.enter(Phase::Announced);
    }

    /// Asks every connection to finish what it does and close.
    pub fn drain(&self) {
        self.enter(Phase::Draining);
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase.max(self.phase.get()));
        let wakers: Vec<Waker> = self.wakers.borrow_mut().iter_mut().filter_map(Option::take).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.open.get()
    }

    /// Ready when no connection is open.
    pub fn poll_idle(&self, cx: &mut Context<'_>) -> std::task::Poll<()> {
        if self.open() == 0 {
            return std::task::Poll::Ready(());
        }
        *self.idle.borrow_mut() = Some(cx.waker().clone());
        std::task::Poll::Pending
    }
}

impl Registered {
    /// How near the connection's end is; what changes that later wakes this task.
    pub fn phase(&self, cx: &mut Context<'_>) -> Phase {
        let phase = self.all.phase.get();
        if phase == Phase::Draining {
            return phase;
        }
        let mut wakers = self.all.wakers.borrow_mut();
        if let Some(slot) = wakers.get_mut(self.slot as usize) {
            match slot {
                Some(waker) if waker.will_wake(cx.waker()) => {}
                _ => *slot = Some(cx.waker().clone()),
            }
        }
        phase
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(slot) = self.all.wakers.borrow_mut().get_mut(self.slot as usize) {
            *slot = None;
        }
        self.all.free.borrow_mut().push(self.slot);
        self.all.open.set(self.all.open.get() - 1);
        if self.all.open.get() == 0
            && let Some(waker) = self.all.idle.borrow_mut().take()
        {
            waker.wake();
        }
    }
}
