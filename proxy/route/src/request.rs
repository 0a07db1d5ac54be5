//! What routing reads of a request.

/// What routing reads of a request. Implemented over the proxy's request head, and by [`Probe`].
pub trait Request {
    /// Host name: lower-case, without port and trailing dot. Empty when there is none.
    fn host(&self) -> &[u8];
    /// Path without query, normalised.
    fn path(&self) -> &[u8];
    /// What follows the `?`, undecoded.
    fn query(&self) -> Option<&[u8]>;
    /// Method, as sent.
    fn method(&self) -> &[u8];
    /// The values of all fields of a name, in the order in which they came. The name is lower-case.
    fn header(&self, name: &[u8]) -> impl Iterator<Item = &[u8]>;
    /// The port that the client connected to: the listener's, not a mapped one.
    fn port(&self) -> u16;
}

/// A connection of which at most the host name is known (SNI): for the tables of TLS, TCP and UDP listeners, whose routes ask for
/// nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection<'a> {
    /// Lower-case; empty when there is none.
    pub host: &'a str,
}

impl Request for Connection<'_> {
    fn host(&self) -> &[u8] {
        self.host.as_bytes()
    }

    fn path(&self) -> &[u8] {
        b"/"
    }

    fn query(&self) -> Option<&[u8]> {
        None
    }

    fn method(&self) -> &[u8] {
        b""
    }

    fn header(&self, _: &[u8]) -> impl Iterator<Item = &[u8]> {
        std::iter::empty()
    }

    fn port(&self) -> u16 {
        0
    }
}

/// A request as plain data: for `explain`, tests and measurements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// See [`Request::host`].
    pub host: String,
    /// See [`Request::path`].
    pub path: String,
    /// See [`Request::query`].
    pub query: Option<String>,
    /// See [`Request::method`].
    pub method: String,
    /// Lower-case names and their values.
    pub headers: Vec<(String, String)>,
    /// See [`Request::port`].
    pub port: u16,
}

impl Request for Probe {
    fn host(&self) -> &[u8] {
        self.host.as_bytes()
    }

    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }

    fn query(&self) -> Option<&[u8]> {
        self.query.as_deref().map(str::as_bytes)
    }

    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }

    fn header(&self, name: &[u8]) -> impl Iterator<Item = &[u8]> {
        self.headers.iter().filter(move |(n, _)| n.as_bytes() == name).map(|(_, v)| v.as_bytes())
    }

    fn port(&self) -> u16 {
        self.port
    }
}
