//! A backend of fixed answers, so that all the work that is counted is the proxy's.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// An answer as nginx gives it: five headers and a body of 128 bytes.
pub const SMALL: &[&str] = &[
    "Server: backend",
    "Date: Sat, 21 Nov 2026 10:00:00 GMT",
    "Content-Type: text/plain",
    "Content-Length: 128",
    "Connection: keep-alive",
];

/// The same with nine headers that applications send.
pub const FAT: &[&str] = &[
    "Server: backend",
    "Date: Sat, 21 Nov 2026 10:00:00 GMT",
    "Content-Type: text/plain",
    "Content-Length: 128",
    "Connection: keep-alive",
    "Cache-Control: public, max-age=600",
    "ETag: \"33a64df551425fcc55e4d42a148795d9f25f89d4\"",
    "Vary: Accept-Encoding, Origin",
    "Strict-Transport-Security: max-age=31536000; includeSubDomains",
    "X-Content-Type-Options: nosniff",
    "Set-Cookie: session=0123456789abcdef; Path=/; HttpOnly; Secure; SameSite=Lax",
    "X-Request-Id: 7f3c2c1e-9c0e-4f43-9a3e-0b0c5b1f5a11",
    "Content-Security-Policy: default-src 'self'; img-src *",
    "Server-Timing: db;dur=53",
];

/// Answers every request with the same bytes until the test ends.
pub struct Backend {
    /// Where it listens.
    pub address: SocketAddr,
    gate: Arc<Gate>,
}

impl Backend {
    /// On a free port, with these response headers; one of them is `Content-Length: 128`.
    pub fn start(headers: &[&str]) -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let answer = format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n{}", headers.join("\r\n"), "x".repeat(128));
        let gate = Arc::new(Gate::default());
        let shared = gate.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answer, gate) = (answer.clone(), shared.clone());
                std::thread::spawn(move || serve(stream, answer.as_bytes(), &gate));
            }
        });
        Backend { address, gate }
    }

    /// The next `count` requests are answered only when all of them are here: the proxy then has as many connections open.
    pub fn gather(&self, count: usize) {
        *self.gate.awaited.lock().expect("no panic while locked") = count;
    }
}

/// Holds answers back while more requests are awaited.
#[derive(Default)]
struct Gate {
    awaited: Mutex<usize>,
    open: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut awaited = self.awaited.lock().expect("no panic while locked");
        *awaited = awaited.saturating_sub(1);
        self.open.notify_all();
        let passed = self.open.wait_while(awaited, |awaited| *awaited > 0);
        drop(passed);
    }
}

/// One request at a time, which is how a proxy uses a connection to a backend.
fn serve(mut stream: TcpStream, answer: &[u8], gate: &Gate) {
    let _ = stream.set_nodelay(true);
    let mut buffer = [0; 8192];
    let mut filled = 0;
    while let Ok(n) = stream.read(&mut buffer[filled..]) {
        if n == 0 {
            return;
        }
        filled += n;
        if buffer[..filled].ends_with(b"\r\n\r\n") {
            filled = 0;
            gate.pass();
            if stream.write_all(answer).is_err() {
                return;
            }
        }
    }
}
