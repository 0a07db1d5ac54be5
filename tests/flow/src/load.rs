//! A client that asks again and again while something changes.

use fairlead_testkit::{Ask, Client, End, Version};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A client that asks until it is stopped, on one keep-alive connection as long as that lasts.
pub struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Tally>,
}

/// What a [`Load`] saw.
#[derive(Debug, Default)]
pub struct Tally {
    /// Answers by who gave them, as [`crate::pod`] tells it.
    pub answers: BTreeMap<String, u32>,
    /// Requests without a whole answer, and refused connections.
    pub broken: Vec<String>,
    /// Connections that were used.
    pub connections: u32,
}

/// A load that nobody stops ends after this time.
const LONGEST: Duration = Duration::from_secs(60);

impl Load {
    /// Starts to ask.
    pub fn start(version: Version, address: SocketAddr, ask: Ask) -> Load {
        let stop = Arc::<AtomicBool>::default();
        let told = stop.clone();
        let thread = std::thread::spawn(move || run(version, address, &ask, &told));
        Load { stop, thread }
    }

    /// Stops it.
    pub fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic")
    }
}

fn run(version: Version, address: SocketAddr, ask: &Ask, stop: &AtomicBool) -> Tally {
    let mut tally = Tally::default();
    let mut client: Option<Client> = None;
    let start = Instant::now();
    while !stop.load(Ordering::Relaxed) && start.elapsed() < LONGEST {
        if client.is_none() {
            if let Err(error) = TcpStream::connect(address) {
                tally.broken.push(format!("connect: {error}"));
                break;
            }
            tally.connections += 1;
            client = Some(Client::connect(version, address));
        }
        let Some(connection) = &mut client else { break };
        let reply = connection.ask(ask);
        if reply.end != End::Complete {
            tally.broken.push(format!("{:?} after {:?}", reply.end, reply.answer));
            client = None;
            continue;
        }
        *tally.answers.entry(crate::pod(&reply.answer)).or_default() += 1;
        if reply.answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            client = None;
        }
    }
    tally
}
