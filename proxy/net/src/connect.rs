//! Connecting to upstreams.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use tokio::net::{TcpSocket, UnixStream};

use crate::Stream;

/// How to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Our own address; `None` leaves it to the kernel.
    pub bind: Option<IpAddr>,
    /// Send small writes at once (`TCP_NODELAY`). On.
    pub nodelay: bool,
    /// Let the kernel probe silent peers (`SO_KEEPALIVE`, with the system's times). Off.
    pub keepalive: bool,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions { bind: None, nodelay: true, keepalive: false }
    }
}

/// Opens a TCP connection to `addr`. Has no time limit of its own beyond the kernel's; the caller sets one.
pub async fn connect_tcp(addr: SocketAddr, options: &ConnectOptions) -> io::Result<Stream> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if options.nodelay {
        socket.set_nodelay(true)?;
    }
    if options.keepalive {
        socket.set_keepalive(true)?;
    }
    if let Some(ip) = options.bind {
        socket.bind(SocketAddr::new(ip, 0))?;
    }
    socket.connect(addr).await.map(Stream::Tcp)
}

/// Opens a connection to a unix domain socket. A path that begins with `@` names an abstract socket, as in Envoy's
/// `Pipe`.
pub async fn connect_unix(path: &Path) -> io::Result<Stream> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let Some(name) = bytes.strip_prefix(b"@") else {
        return UnixStream::connect(path).await.map(Stream::Unix);
    };
    let mut abstract_path = Vec::with_capacity(bytes.len());
    abstract_path.push(0);
    abstract_path.extend_from_slice(name);
    UnixStream::connect(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&abstract_path))
        .await
        .map(Stream::Unix)
}

#[cfg(test)]
mod tests;
