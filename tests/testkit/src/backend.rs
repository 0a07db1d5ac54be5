//! An HTTP/1.1 backend that does exactly what its script says, and records what it gets with a suspicious eye.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// See the module. Ends with the test's process.
pub struct Backend {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

/// What came.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Complete and well-formed requests, on whatever connection.
    pub requests: Vec<Request>,
    /// What was neither; nothing more is read from such a connection.
    pub malformed: Vec<String>,
    /// Requests that were cut off with their connection.
    pub partial: Vec<String>,
    /// Connections that were accepted.
    pub connections: usize,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// As it came, with its empty line.
    pub head: String,
    /// Decoded.
    pub body: Vec<u8>,
    /// All bytes.
    pub bytes: Vec<u8>,
}

/// What to do about a request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Send this and wait for the next request.
    Answer(Vec<u8>),
    /// Send this and end the connection.
    Close(Vec<u8>),
    /// Send this and reset the connection.
    Reset(Vec<u8>),
    /// Send this and nothing more, ever.
    Hold(Vec<u8>),
}

impl Act {
    /// A whole answer with status 200.
    pub fn ok(body: &str) -> Act {
        Act::Answer(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes())
    }
}

impl Request {
    /// Method.
    pub fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or_default()
    }

    /// The target.
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// All values of a header; `name` in lower case.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()).collect()
    }
}

impl Backend {
    /// Starts one; `act` is asked for each request once all of it is there.
    pub fn start(act: impl Fn(&Request) -> Act + Send + Sync + 'static) -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("address");
        let seen = Arc::<Mutex<Seen>>::default();
        let (shared, act) = (seen.clone(), Arc::new(act));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, act) = (shared.clone(), act.clone());
                seen.lock().expect("seen").connections += 1;
                std::thread::spawn(move || serve(stream, &seen, &*act));
            }
        });
        Backend { address, seen }
    }

    /// One that answers 200 to whatever it gets.
    pub fn answering() -> Backend {
        Backend::start(|request| match request.method() {
            "HEAD" => Act::Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n".to_vec()),
            _ => Act::ok("ok"),
        })
    }

    /// What came so far.
    pub fn seen(&self) -> Seen {
        self.seen.lock().expect("seen").clone()
    }

    /// What came since the last time.
    pub fn take(&self) -> Seen {
        std::mem::take(&mut *self.seen.lock().expect("seen"))
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Seen>, act: &dyn Fn(&Request) -> Act) {
    let mut ahead = Vec::new();
    loop {
        match parse(&ahead) {
            Err(why) => {
                let text = format!("{why}: {}", ahead.escape_ascii());
                seen.lock().expect("seen").malformed.push(text);
                return;
            }
            Ok(None) => {
                let mut buf = [0; 64 * 1024];
                match stream.read(&mut buf) {
                    Ok(n) if n > 0 => ahead.extend_from_slice(&buf[..n]),
                    _ => {
                        if !ahead.is_empty() {
                            seen.lock().expect("seen").partial.push(ahead.escape_ascii().to_string());
                        }
                        return;
                    }
                }
            }
            Ok(Some(request)) => {
                ahead.drain(..request.bytes.len());
                seen.lock().expect("seen").requests.push(request.clone());
                let next = match act(&request) {
                    Act::Answer(bytes) => stream.write_all(&bytes).is_ok(),
                    Act::Close(bytes) => {
                        let _ = stream.write_all(&bytes);
                        let _ = stream.shutdown(Shutdown::Write);
                        // Until the other side has read it: closing with unread input would reset the connection.
                        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                        while stream.read(&mut [0; 1024]).is_ok_and(|n| n > 0) {}
                        false
                    }
                    Act::Reset(bytes) => {
                        let _ = stream.write_all(&bytes);
                        // A reset takes with it what the other side has not read yet.
                        std::thread::sleep(Duration::from_millis(if bytes.is_empty() { 50 } else { 300 }));
                        reset(stream);
                        return;
                    }
                    Act::Hold(bytes) => {
                        let _ = stream.write_all(&bytes);
                        while stream.read(&mut [0; 1024]).is_ok_and(|n| n > 0) {}
                        false
                    }
                };
                if !next {
                    return;
                }
            }
        }
    }
}

/// Closes with a reset.
pub fn reset(stream: TcpStream) {
    let stream = tokio::net::TcpSocket::from_std_stream(stream);
    let _ = stream.set_zero_linger();
}

/// Takes one request off the front, as strictly as RFC 9112 allows; the error says what is wrong.
fn parse(bytes: &[u8]) -> Result<Option<Request>, String> {
    let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
        return if bytes.len() > 128 * 1024 { Err("no end of the head".into()) } else { Ok(None) };
    };
    let head = String::from_utf8_lossy(&bytes[..end + 4]).into_owned();
    let lines: Vec<&str> = head.trim_end_matches("\r\n").split("\r\n").collect();
    if lines.iter().any(|line| line.contains(['\r', '\n', '\0'])) {
        return Err("CR, LF or NUL within a line".into());
    }
    let words: Vec<&str> = lines[0].split(' ').collect();
    let [method, target, "HTTP/1.1"] = words[..] else { return Err("a bad request line".into()) };
    if method.is_empty() || !method.bytes().all(is_token) || target.is_empty() {
        return Err("a bad request line".into());
    }
    let (mut lengths, mut codings, mut hosts) = (Vec::new(), Vec::new(), 0);
    for line in &lines[1..] {
        let (name, value) = line.split_once(':').ok_or("a line without a colon")?;
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(format!("a bad field name {name:?}"));
        }
        match name.to_ascii_lowercase().as_str() {
            "content-length" => lengths.push(value.trim()),
            "transfer-encoding" => codings.push(value.trim()),
            "host" => hosts += 1,
            _ => {}
        }
    }
    let at = end + 4;
    let (body, used) = match (&lengths[..], &codings[..]) {
        _ if hosts != 1 => return Err(format!("{hosts} Host fields")),
        ([], []) => (Vec::new(), 0),
        ([length], []) if length.bytes().all(|b| b.is_ascii_digit()) => {
            let n: usize = length.parse().map_err(|_| "a bad content-length")?;
            match bytes.get(at..at + n) {
                Some(body) => (body.to_vec(), n),
                None => return Ok(None),
            }
        }
        ([], ["chunked"]) => match chunks(&bytes[at..])? {
            Some(body) => body,
            None => return Ok(None),
        },
        other => return Err(format!("ambiguous framing {other:?}")),
    };
    Ok(Some(Request { head, body, bytes: bytes[..at + used].to_vec() }))
}

fn chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let (mut body, mut at) = (Vec::new(), 0);
    let line = |at: usize| bytes[at..].windows(2).position(|w| w == b"\r\n").map(|n| &bytes[at..at + n]);
    loop {
        let Some(size) = line(at) else { return Ok(None) };
        let text = str::from_utf8(size).map_err(|_| "a bad chunk size")?;
        if text.is_empty() || text.len() > 8 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!("a bad chunk size {text:?}"));
        }
        let n = usize::from_str_radix(text, 16).map_err(|e| e.to_string())?;
        at += size.len() + 2;
        if n == 0 {
            break;
        }
        let Some(data) = bytes.get(at..at + n + 2) else { return Ok(None) };
        if !data.ends_with(b"\r\n") {
            return Err("a chunk without its line end".into());
        }
        body.extend(&data[..n]);
        at += n + 2;
    }
    loop {
        let Some(trailer) = line(at) else { return Ok(None) };
        at += trailer.len() + 2;
        if trailer.is_empty() {
            return Ok(Some((body, at)));
        }
    }
}

fn is_token(c: u8) -> bool {
    c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_strictly() {
        let ok = parse(b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET")
            .unwrap()
            .unwrap();
        assert_eq!((ok.path(), &ok.body[..], ok.headers("host")), ("/a", &b"abc"[..], vec!["x"]));
        assert!(ok.bytes.ends_with(b"0\r\n\r\n"));
        assert_eq!(parse(b"GET / HTTP/1.1\r\nhost: x\r\n").unwrap(), None);
        assert_eq!(parse(b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\na").unwrap(), None);
        for bad in [
            "GET / HTTP/1.0\r\nhost: x\r\n\r\n",
            "GET  / HTTP/1.1\r\nhost: x\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\nhost: y\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\na b: c\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\na",
            "GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0;x\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
