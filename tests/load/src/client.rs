//! A client that keeps some connections busy, one request at a time on each.

use fairlead_testkit::Wire;
use std::net::SocketAddr;

/// A request that is sent again and again.
#[derive(Clone)]
pub struct Request(Vec<u8>);

impl Request {
    /// A GET with two headers.
    pub fn small(host: &str, path: &str) -> Request {
        Request::with(host, path, &["User-Agent: load/1"])
    }

    /// A GET with fourteen headers, 1.2 KB, as a browser behind a tracing gateway sends it.
    pub fn fat(host: &str, path: &str) -> Request {
        Request::with(
            host,
            path,
            &[
                "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0",
                "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
                "Accept-Language: en-US,en;q=0.5",
                "Accept-Encoding: gzip, deflate, br, zstd",
                "Referer: https://example.com/some/page/that/links/here",
                "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes; ab=variant-3; _ga=GA1.2.1234567890.1700000000",
                "Sec-Fetch-Dest: document",
                "Sec-Fetch-Mode: navigate",
                "Sec-Fetch-Site: same-origin",
                "Priority: u=0, i",
                "X-Request-Id: 7f3c2c1e-9c0e-4f43-9a3e-0b0c5b1f5a11",
                "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                "Authorization: Bearer eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4ifQ.c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJl",
            ],
        )
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn with(host: &str, path: &str, headers: &[&str]) -> Request {
        Request(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{}\r\n\r\n", headers.join("\r\n")).into_bytes())
    }
}

/// Opens connections and makes one request on each.
pub fn open(address: SocketAddr, connections: usize, request: &Request) -> Vec<Wire> {
    let mut wires: Vec<Wire> = (0..connections).map(|_| Wire::connect(address)).collect();
    wires.iter_mut().for_each(|wire| exchange(wire, request));
    wires
}

/// Makes `each` requests on every one of these connections, all at the same time. Every answer has to be 200.
pub fn drive(wires: &mut [Wire], each: usize, request: &Request) {
    std::thread::scope(|scope| {
        for wire in wires {
            scope.spawn(move || (0..each).for_each(|_| exchange(wire, request)));
        }
    });
}

fn exchange(wire: &mut Wire, request: &Request) {
    let answer = wire.send(&request.0).response(false).expect("a response");
    assert_eq!(answer.status, 200, "{}", answer.text());
}
