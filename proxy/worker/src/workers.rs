//! The workers as the control side sees them: threads, and what they are told.

use crate::tracing::exporter;
use crate::worker::{self, Seed};
use fairlead_ir::{Bind, Transport};
use fairlead_net::{Accepted, ListenError, ListenOptions, bind_udp_group, lift_descriptor_limit, listen_tcp_group};
use fairlead_snapshot::Cell;
use fairlead_telemetry::{AccessLog, LogWriter, Registry};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// What all workers have in common.
pub struct Settings {
    /// Number of workers, at least 1.
    pub workers: usize,
    /// What they serve.
    pub snapshots: Arc<Cell>,
    /// How a line of the access log looks and where it goes; `None` writes none.
    pub access_log: Option<(AccessLog, Arc<LogWriter>)>,
    /// Where workers count; made for at least as many.
    pub registry: Arc<Registry>,
}

/// The running workers. Dropping it leaves them running until the process ends; see [`Workers::drain`].
pub struct Workers {
    commands: Vec<mpsc::UnboundedSender<Command>>,
    threads: Vec<JoinHandle<()>>,
}

/// What a worker is told.
pub(crate) enum Command {
    /// Accept connections.
    Listen { bind: Bind, socket: std::net::TcpListener },
    /// Serve datagrams.
    ListenUdp { bind: Bind, socket: std::net::UdpSocket },
    /// Stop accepting on a bind, and let its connections finish.
    Close { bind: Bind },
    /// Serve a connection that another worker accepted.
    Serve { bind: Bind, accepted: Accepted },
    /// Tell clients of the end, and go on.
    Announce,
    /// Stop accepting, let all connections finish, then say so.
    Drain { done: oneshot::Sender<()> },
}

/// Open connections per worker, each on a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
pub(crate) struct Load(AtomicUsize);

impl Load {
    pub(crate) fn set(&self, open: usize) {
        self.0.store(open, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Workers {
    /// Starts the threads, named `worker-0` and so on, and lifts the limit of file descriptors.
    ///
    /// # Errors
    /// When a thread or its event loop can't be made.
    pub fn start(settings: &Settings) -> std::io::Result<Workers> {
        let count = settings.workers.max(1);
        let (commands, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| mpsc::unbounded_channel()).unzip();
        let loads: Arc<[Load]> = (0..count).map(|_| Load::default()).collect();
        let (exporter, exporting) = exporter::start(settings.snapshots.clone(), settings.registry.clone())?;
        let descriptors = lift_descriptor_limit();
        let mut threads = Vec::with_capacity(count + 1);
        for (index, receiver) in receivers.into_iter().enumerate() {
            let seed = Seed {
                index,
                snapshots: settings.snapshots.clone(),
                access_log: settings.access_log.clone(),
                peers: commands.clone(),
                loads: loads.clone(),
                metrics: settings.registry.worker(index),
                exporter: exporter.clone(),
                descriptors,
            };
            let thread = std::thread::Builder::new().name(format!("worker-{index}"));
            threads.push(thread.spawn(move || worker::run(seed, receiver))?);
        }
        // Ends after the workers: it has their last spans.
        threads.push(exporting);
        Ok(Workers { commands, threads })
    }

    /// Listens on an address with one socket per worker, and accepts from then on. Answers the address, with the port that was
    /// taken when 0 was asked for.
    ///
    /// # Errors
    /// When the address can't be taken; the error says why and what to do.
    pub fn listen(&self, bind: Bind, address: SocketAddr) -> Result<SocketAddr, ListenError> {
        if bind.transport == Transport::Udp {
            return self.listen_udp(bind, address);
        }
        let sockets = listen_tcp_group(address, self.commands.len(), &ListenOptions::default())?;
        let local = sockets.first().and_then(|s| s.local_addr().ok()).unwrap_or(address);
        for (command, socket) in self.commands.iter().zip(sockets) {
            let _ = command.send(Command::Listen { bind, socket });
        }
        Ok(local)
    }

    fn listen_udp(&self, bind: Bind, address: SocketAddr) -> Result<SocketAddr, ListenError> {
        let sockets = bind_udp_group(address, self.commands.len())?;
        let local = sockets.first().and_then(|s| s.local_addr().ok()).unwrap_or(address);
        for (command, socket) in self.commands.iter().zip(sockets) {
            let _ = command.send(Command::ListenUdp { bind, socket });
        }
        Ok(local)
    }

    /// Stops accepting on a bind; its connections finish what they do.
    pub fn close(&self, bind: Bind) {
        for command in &self.commands {
            let _ = command.send(Command::Close { bind });
        }
    }

    /// Tells clients that use their connections to take others (`Connection: close`, GOAWAY), and goes on accepting and serving: for the
    /// time that those in front need to send no more. A connection that is idle is left until [`Workers::drain`].
    pub fn announce_end(&self) {
        for command in &self.commands {
            let _ = command.send(Command::Announce);
        }
    }

    /// Stops accepting, lets connections finish, at most for `timeout`. True when all of them did.
    pub async fn drain(&self, timeout: Duration) -> bool {
        let waits: Vec<_> = self
            .commands
            .iter()
            .map(|command| {
                let (done, wait) = oneshot::channel();
                let _ = command.send(Command::Drain { done });
                wait
            })
            .collect();
        let all = async {
            for wait in waits {
                let _ = wait.await;
            }
        };
        tokio::time::timeout(timeout, all).await.is_ok()
    }

    /// Ends the threads at once, with what they still serve.
    pub fn stop(self) {
        drop(self.commands);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}
