//! Listening sockets.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// How to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// Connections that may wait to be accepted, per socket; the kernel caps it at `net.core.somaxconn`. 4096.
    pub backlog: u32,
    /// Share the port with other sockets of this user that set it too (`SO_REUSEPORT`). Off.
    ///
    /// Any process of the same user may then take a part of the connections unnoticed; [`listen_tcp_group`] avoids that.
    pub reuse_port: bool,
    /// Send small writes at once (`TCP_NODELAY`). Accepted sockets inherit it, which saves a system call each. On.
    pub nodelay: bool,
}

impl Default for ListenOptions {
    fn default() -> Self {
        ListenOptions { backlog: 4096, reuse_port: false, nodelay: true }
    }
}

/// Listens on `addr`. Port 0 takes a free one.
///
/// `[::]` takes IPv6 and IPv4; on a machine without IPv6 it becomes `0.0.0.0`. The socket does not block.
pub fn listen_tcp(addr: SocketAddr, options: &ListenOptions) -> Result<TcpListener, ListenError> {
    bind_tcp(addr, options).and_then(|socket| listen(socket, addr, options))
}

/// Listens on `addr` with `count` sockets, one per worker, among which the kernel spreads new connections.
///
/// The port must be free: the first socket is bound without `SO_REUSEPORT`, so that a port which any other process listens
/// on, even one that would share it, is reported as in use. With port 0 all sockets get the same free port. A `count` of 0
/// is taken for 1.
pub fn listen_tcp_group(
    addr: SocketAddr,
    count: usize,
    options: &ListenOptions,
) -> Result<Vec<TcpListener>, ListenError> {
    let first = bind_tcp(addr, &ListenOptions { reuse_port: false, ..*options })?;
    let failed = |e| ListenError::new(addr, e);
    // The kernel compares the flags that sockets have when a later one is bound, so it may be set after the fact.
    first.set_reuse_port(true).map_err(failed)?;
    let bound = first.local_addr().map_err(failed)?.as_socket().unwrap_or(addr);
    let options = ListenOptions { reuse_port: true, ..*options };
    let mut group = vec![listen(first, addr, &options)?];
    while group.len() < count {
        group.push(listen_tcp(bound, &options)?);
    }
    Ok(group)
}

/// Binds, with the fall back from `[::]` to `0.0.0.0`.
fn bind_tcp(addr: SocketAddr, options: &ListenOptions) -> Result<Socket, ListenError> {
    let bound = match bind_exactly(addr, options) {
        Err(e) if addr.ip().is_unspecified() && addr.is_ipv6() && lacks_ipv6(&e) => {
            bind_exactly(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), addr.port()), options)
        }
        bound => bound,
    };
    bound.map_err(|e| ListenError::new(addr, e))
}

fn bind_exactly(addr: SocketAddr, options: &ListenOptions) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(!addr.ip().is_unspecified())?;
    }
    // A restart must not wait for connections of the previous run in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    if options.nodelay {
        socket.set_tcp_nodelay(true)?;
    }
    socket.bind(&addr.into())?;
    Ok(socket)
}

fn listen(socket: Socket, addr: SocketAddr, options: &ListenOptions) -> Result<TcpListener, ListenError> {
    let backlog = i32::try_from(options.backlog).unwrap_or(i32::MAX);
    socket.listen(backlog).map_err(|e| ListenError::new(addr, e))?;
    Ok(socket.into())
}

/// No IPv6 in the kernel, or switched off (`net.ipv6.conf.all.disable_ipv6`, which leaves the family but no address).
pub(crate) fn lacks_ipv6(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT | libc::EADDRNOTAVAIL))
}

/// Why an address cannot be listened on, and what to do about it.
#[derive(Debug)]
pub struct ListenError {
    /// The address asked for.
    pub addr: SocketAddr,
    /// What kind of problem it is.
    pub kind: ListenErrorKind,
    /// The system's error.
    pub source: io::Error,
}

/// What kind of problem keeps an address from being listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenErrorKind {
    /// Another process, or another listener of this one, has the port.
    InUse,
    /// A port below 1024 without the privilege.
    PermissionDenied,
    /// No interface of this machine has the address.
    AddressNotAvailable,
    /// Anything else; see the source.
    Other,
}

impl ListenError {
    pub(crate) fn new(addr: SocketAddr, source: io::Error) -> ListenError {
        let kind = match source.kind() {
            io::ErrorKind::AddrInUse => ListenErrorKind::InUse,
            io::ErrorKind::PermissionDenied => ListenErrorKind::PermissionDenied,
            io::ErrorKind::AddrNotAvailable => ListenErrorKind::AddressNotAvailable,
            _ => ListenErrorKind::Other,
        };
        ListenError { addr, kind, source }
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (addr, port) = (self.addr, self.addr.port());
        match self.kind {
            ListenErrorKind::InUse => write!(
                f,
                "cannot listen on {addr}: another process listens on port {port}; stop it (`ss -ltnp 'sport = :{port}'` shows it) or use another port"
            ),
            ListenErrorKind::PermissionDenied => write!(
                f,
                "cannot listen on {addr}: no permission for port {port}; use a port from 1024 up, or grant CAP_NET_BIND_SERVICE, or lower net.ipv4.ip_unprivileged_port_start"
            ),
            ListenErrorKind::AddressNotAvailable => write!(
                f,
                "cannot listen on {addr}: no network interface here has the address {}; use one of this machine's, or [::] for all",
                self.addr.ip()
            ),
            ListenErrorKind::Other => write!(f, "cannot listen on {addr}: {}", self.source),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests;
