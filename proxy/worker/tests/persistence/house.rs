//! A proxy whose configuration can be changed, and backends that say who they are.

use fairlead_ir as ir;
use fairlead_testkit::{Answer, House, config};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A proxy with one listener and one rule.
pub struct Proxy(House);

impl Deref for Proxy {
    type Target = House;

    fn deref(&self) -> &House {
        &self.0
    }
}

impl Proxy {
    pub fn start(workers: usize, resources: Vec<ir::Resource>) -> Proxy {
        Proxy(House::of(config::HTTP, workers, resources))
    }

    pub fn push(&self, upserts: Vec<ir::Resource>) {
        self.0.push(upserts, vec![]);
    }

    /// A request on a connection of its own, so that any worker may take it.
    pub fn ask(&self, headers: &str) -> Answer {
        let mut wire = self.wire();
        wire.send(format!("GET / HTTP/1.1\r\nhost: example.com\r\n{headers}\r\n"));
        wire.response(false).expect("an answer")
    }
}

pub fn listener() -> ir::Resource {
    config::listener("l").into()
}

pub fn cluster(id: &str, backends: &[SocketAddr], retry_budget: Option<ir::RetryBudget>) -> Vec<ir::Resource> {
    vec![endpoints(id, backends), ir::Cluster { retry_budget, ..config::cluster(id) }.into()]
}

pub fn endpoints(id: &str, backends: &[SocketAddr]) -> ir::Resource {
    config::endpoints(id, backends).into()
}

pub fn backend(cluster: &str, weight: u32, session: Option<ir::Session>) -> ir::Backend {
    ir::Backend { session: session.map(Box::new), ..config::backend(cluster, weight) }
}

pub fn route(backends: Vec<ir::Backend>, retry: Option<ir::Retry>) -> ir::Resource {
    ir::Route { backends, retry, ..config::route("r", &[]) }.into()
}

/// A backend that answers every request with a status, more header lines, and its own address as the body. Counts requests.
pub fn server(status: u16, headers: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let counter = counter.clone();
            std::thread::spawn(move || answer(stream, address, status, headers, &counter));
        }
    });
    (address, count)
}

fn answer(mut stream: TcpStream, own: SocketAddr, status: u16, headers: &str, count: &AtomicUsize) {
    let mut ahead = Vec::new();
    let mut buf = [0; 4096];
    loop {
        while let Some(end) = ahead.windows(4).position(|w| w == b"\r\n\r\n") {
            let request = String::from_utf8_lossy(&ahead[..end]).into_owned();
            ahead.drain(..end + 4);
            count.fetch_add(1, Ordering::SeqCst);
            let cookies = request.lines().filter(|line| line.starts_with("cookie: ")).collect::<Vec<_>>().join("; ");
            let own = own.to_string();
            let text = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nseen: {cookies}\r\n{headers}\r\n{own}",
                own.len()
            );
            if stream.write_all(text.as_bytes()).is_err() {
                return;
            }
        }
        match stream.read(&mut buf) {
            Ok(n) if n > 0 => ahead.extend_from_slice(&buf[..n]),
            _ => return,
        }
    }
}
