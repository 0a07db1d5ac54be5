//! A client that sends exactly the bytes it is told and reads what comes back.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Reads give up after this time.
const LIMIT: Duration = Duration::from_secs(10);

/// A connection.
pub struct Wire {
    stream: TcpStream,
    ahead: Vec<u8>,
}

/// A response.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Names lower-case, in order.
    pub headers: Vec<(String, String)>,
    /// Decoded body.
    pub body: Vec<u8>,
    /// Trailers of a chunked body, names lower-case.
    pub trailers: Vec<(String, String)>,
}

impl Answer {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// All values of a header.
    pub fn headers_named(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect()
    }

    /// The first value of a trailer.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

impl Wire {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Wire {
        Wire::try_connect(address).expect("connect")
    }

    fn try_connect(address: SocketAddr) -> std::io::Result<Wire> {
        let stream = TcpStream::connect_timeout(&address, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Wire { stream, ahead: Vec::new() })
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends bytes. An error means that the other side closed already; reading tells why.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Wire {
        let _ = self.stream.write_all(bytes.as_ref());
        self
    }

    /// Ends our direction.
    pub fn finish(&mut self) -> &mut Wire {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        self
    }

    /// All bytes until the other side closes; `None` when it did not within `limit`.
    pub fn read_to_end(&mut self, limit: Duration) -> Option<Vec<u8>> {
        let _ = self.stream.set_read_timeout(Some(limit));
        let mut all = std::mem::take(&mut self.ahead);
        match self.stream.read_to_end(&mut all) {
            Ok(_) => Some(all),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(_) => Some(all),
        }
    }

    /// Whether the other side closes within `limit` without sending anything more.
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        self.read_to_end(limit).is_some_and(|rest| rest.is_empty())
    }

    /// The next response; `None` when the connection ended before one.
    pub fn response(&mut self, to_head: bool) -> Option<Answer> {
        read_response(&mut self.stream, &mut self.ahead, to_head)
    }

    /// Sends a GET and reads the response.
    pub fn get(&mut self, host: &str, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        self.response(false).expect("a response")
    }
}

/// Sends bytes on a new connection and reads one response.
pub fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Option<Answer> {
    Wire::connect(address).send(bytes).response(false)
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Answer {
    try_get(address, path).expect("a response")
}

pub(crate) fn try_get(address: SocketAddr, path: &str) -> Option<Answer> {
    let mut wire = Wire::try_connect(address).ok()?;
    wire.send(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"));
    wire.response(false)
}

/// Reads one response; what follows it stays in `ahead`. Interim responses are returned as responses of their own.
pub fn read_response(stream: &mut impl Read, ahead: &mut Vec<u8>, to_head: bool) -> Option<Answer> {
    let mut source = Source { stream, ahead };
    let mut answer = head(&source.until(b"\r\n\r\n")?)?;
    if to_head || answer.status < 200 || answer.status == 204 || answer.status == 304 {
        return Some(answer);
    }
    if answer.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        loop {
            let line = source.until(b"\r\n")?;
            let size = String::from_utf8_lossy(&line);
            let size = usize::from_str_radix(size.trim().split(';').next()?, 16).ok()?;
            if size == 0 {
                break;
            }
            answer.body.extend(source.exactly(size)?);
            source.exactly(2)?;
        }
        let mut lines = Vec::new();
        loop {
            let line = source.until(b"\r\n")?;
            if line == b"\r\n" {
                break;
            }
            lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        answer.trailers = fields(lines.iter().map(String::as_str));
    } else if let Some(length) = answer.header("content-length") {
        answer.body = source.exactly(length.parse().ok()?)?;
    } else {
        answer.body = source.rest();
    }
    Some(answer)
}

/// Parses the head of a response.
pub(crate) fn head(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, headers: fields(lines), ..Answer::default() })
}

fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    lines.filter_map(field).collect()
}

/// Parses a line `name: value`.
pub(crate) fn field(line: &str) -> Option<(String, String)> {
    line.split_once(':').map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()))
}

struct Source<'a, R> {
    stream: &'a mut R,
    ahead: &'a mut Vec<u8>,
}

impl<R: Read> Source<'_, R> {
    fn more(&mut self) -> Option<()> {
        let mut buf = [0; 16 * 1024];
        let n = self.stream.read(&mut buf).ok().filter(|n| *n > 0)?;
        self.ahead.extend_from_slice(&buf[..n]);
        Some(())
    }

    fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.ahead.windows(end.len()).position(|w| w == end) {
                return Some(self.ahead.drain(..at + end.len()).collect());
            }
            self.more()?;
        }
    }

    fn exactly(&mut self, n: usize) -> Option<Vec<u8>> {
        while self.ahead.len() < n {
            self.more()?;
        }
        Some(self.ahead.drain(..n).collect())
    }

    fn rest(&mut self) -> Vec<u8> {
        while self.more().is_some() {}
        std::mem::take(self.ahead)
    }
}
