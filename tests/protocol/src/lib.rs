//! The protocol tests: each case over {HTTP/1.1, HTTP/2} to the client × {HTTP/1.1, HTTP/2} to the backend, direct and proxied.
//!
//! Files in `tests/` are named by RFC. A case that fails directly is the client's or the backend's fault, one that fails
//! proxied is the proxy's.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::fmt;
use std::net::SocketAddr;

use fairlead_testkit::{Ask, Client, Echo, Manifests, Proxy, Reply, Version};

/// How a request reaches the echo server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// What the client speaks.
    pub down: Version,
    /// What the proxy speaks to the backend; `None` without a proxy.
    pub up: Option<Version>,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.up {
            Some(up) => write!(f, "{:?}→{up:?}", self.down),
            None => write!(f, "{:?} direct", self.down),
        }
    }
}

/// A proxy with an echo server behind it.
pub struct House {
    /// Its Gateway listens on port 80; the host chooses the backend: see [`House::host`].
    pub proxy: Proxy,
    /// What answers.
    pub echo: Echo,
}

impl House {
    /// Starts both.
    pub fn start() -> House {
        let echo = Echo::start("one");
        let proxy = Proxy::serve(&manifests(echo.port()), &[80]);
        House { proxy, echo }
    }

    /// All ways to the echo server.
    pub fn ways() -> Vec<Way> {
        let ups = [None, Some(Version::H1), Some(Version::H2)];
        let downs = [Version::H1, Version::H2];
        ups.into_iter().flat_map(|up| downs.map(|down| Way { down, up })).collect()
    }

    /// The ways through the proxy.
    pub fn proxied() -> Vec<Way> {
        House::ways().into_iter().filter(|way| way.up.is_some()).collect()
    }

    /// The host whose route takes the way.
    pub fn host(way: Way) -> &'static str {
        match way.up {
            Some(Version::H2) => "h2.test",
            _ => "h1.test",
        }
    }

    /// Where a way starts.
    pub fn address(&self, way: Way) -> SocketAddr {
        match way.up {
            Some(_) => self.proxy.address(80),
            None => self.echo.address,
        }
    }

    /// A connection.
    pub fn connect(&self, way: Way) -> Client {
        Client::connect(way.down, self.address(way))
    }

    /// One request on a new connection.
    pub fn ask(&self, way: Way, ask: Ask) -> Reply {
        self.connect(way).ask(&ask.host(House::host(way)))
    }
}

fn manifests(port: u16) -> String {
    Manifests::new().backend("h1.test", port, Version::H1, "").backend("h2.test", port, Version::H2, "").text()
}

/// Bytes that differ by place.
pub fn pattern(n: usize) -> bytes::Bytes {
    (0..n).map(|i| (i.wrapping_mul(31) ^ (i >> 8)) as u8).collect()
}
