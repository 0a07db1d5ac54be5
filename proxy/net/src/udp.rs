//! UDP: listening sockets that know to which of our addresses a datagram came, and sockets towards one upstream.
//!
//! A reply must leave from the address that the client sent to, or the client won't know it. A socket on all addresses therefore
//! asks the kernel for that address with every datagram (`IP_PKTINFO`, `IPV6_RECVPKTINFO`) and names it with every reply.
//!
//! Nothing here waits to send: a datagram that the kernel has no room for is lost, as UDP has it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll, ready};

use socket2::{Domain, Protocol, SockAddr, SockFilter, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::listen::{ListenError, lacks_ipv6};

/// The largest payload that a datagram can have.
pub const MAX_DATAGRAM: usize = 65_535;

/// What waits to be read, per socket; the kernel caps it at `net.core.rmem_max`. The default holds some hundred datagrams only.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Binds `addr` with `count` sockets, one per worker. The kernel gives all datagrams of a pair of addresses to the same one, as
/// long as the group stays as it is: nothing is received before all of it stands. Port 0 takes a free one; a `count` of 0 is taken for 1.
///
/// As for TCP the port must be free, and `[::]` takes IPv6 and IPv4.
pub fn bind_udp_group(addr: SocketAddr, count: usize) -> Result<Vec<UdpSocket>, ListenError> {
    let failed = |e| ListenError::new(addr, e);
    let first = bind(addr, false)?;
    // The kernel compares the flags that sockets have when a later one is bound, so it may be set after the fact.
    first.set_reuse_port(true).map_err(failed)?;
    let bound = first.local_addr().map_err(failed)?.as_socket().unwrap_or(addr);
    let mut group = vec![first];
    while group.len() < count {
        group.push(bind(bound, true)?);
    }
    group.iter().for_each(open);
    Ok(group.into_iter().map(UdpSocket::from).collect())
}

/// Drops what comes until [`open`]. With each socket that joins a group the kernel gives other pairs of addresses to other sockets: what a
/// client sends meanwhile would begin a session on one worker, and what it sends later another one on another.
fn shut(socket: &Socket) {
    let nothing = SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0);
    // Where there are no filters, it is a matter of microseconds.
    let _ = socket.attach_filter(&[nothing]);
}

fn open(socket: &Socket) {
    // An error means that there is no filter.
    let _ = socket.detach_filter();
}

fn bind(addr: SocketAddr, reuse_port: bool) -> Result<Socket, ListenError> {
    let bound = match bind_exactly(addr, reuse_port) {
        Err(e) if addr.ip().is_unspecified() && addr.is_ipv6() && lacks_ipv6(&e) => {
            bind_exactly(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), addr.port()), reuse_port)
        }
        bound => bound,
    };
    bound.map_err(|e| ListenError::new(addr, e))
}

fn bind_exactly(addr: SocketAddr, reuse_port: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(!addr.ip().is_unspecified())?;
    }
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    // Less is no failure.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    shut(&socket);
    socket.bind(&addr.into())?;
    Ok(socket)
}

/// A bound socket of one worker.
#[derive(Debug)]
pub struct Datagrams {
    socket: AsyncFd<UdpSocket>,
    local: SocketAddr,
    /// Bound to all addresses, so that each datagram says to which it came.
    wildcard: bool,
}

/// Where a datagram came from, and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// The client.
    pub peer: SocketAddr,
    /// Our address.
    pub local: IpAddr,
}

impl Datagrams {
    /// Registers a socket with the current runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O, as all of tokio's sockets.
    pub fn new(socket: UdpSocket) -> io::Result<Datagrams> {
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?;
        let wildcard = local.ip().is_unspecified();
        if wildcard {
            ask_for_addresses(&socket, local.is_ipv6())?;
        }
        Ok(Datagrams { socket: register(socket)?, local, wildcard })
    }

    /// The address it is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The next datagram: its length and path. What does not fit into `buf` is cut off; [`MAX_DATAGRAM`] bytes take all.
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<(usize, Path)>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            match ready.try_io(|socket| self.recv(socket.get_ref(), buf)) {
                // ICMP errors about earlier replies: they say nothing about this socket.
                Ok(Err(e)) if is_of_a_peer(&e) => {}
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }

    /// Sends a reply along a path. [`io::ErrorKind::WouldBlock`]: it is lost.
    pub fn send(&self, buf: &[u8], path: Path) -> io::Result<()> {
        // An IPv6 socket speaks to IPv4 clients by their mapped addresses.
        let peer = if self.local.is_ipv6() { mapped(path.peer) } else { path.peer };
        if !self.wildcard {
            return self.socket.get_ref().send_to(buf, peer).map(drop);
        }
        send_from(self.socket.get_ref(), buf, &peer.into(), path.local, self.local.is_ipv6())
    }

    fn recv(&self, socket: &UdpSocket, buf: &mut [u8]) -> io::Result<(usize, Path)> {
        let (n, peer, local) = if self.wildcard {
            let (n, peer, local) = recv_with_address(socket, buf)?;
            (n, peer, local.unwrap_or(self.local.ip()))
        } else {
            let (n, peer) = socket.recv_from(buf)?;
            (n, peer, self.local.ip())
        };
        Ok((n, Path { peer: canonical(peer), local: local.to_canonical() }))
    }
}

/// A socket of one session towards one upstream.
#[derive(Debug)]
pub struct UdpLink {
    socket: AsyncFd<UdpSocket>,
    local: SocketAddr,
}

/// Makes a socket that speaks to `addr` only.
///
/// # Panics
/// Outside of a tokio runtime with I/O.
pub fn connect_udp(addr: SocketAddr) -> io::Result<UdpLink> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    socket.connect(&addr.into())?;
    let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    Ok(UdpLink { socket: register(socket.into())?, local })
}

impl UdpLink {
    /// Our address.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Sends a datagram. [`io::ErrorKind::ConnectionRefused`] and the like are about an earlier one, which the upstream's machine
    /// refused by ICMP; this one is not sent then. (Nobody is woken for such an error: who only listens does not hear of it.)
    pub fn send(&self, buf: &[u8]) -> io::Result<()> {
        SockRef::from(self.socket.get_ref()).send(buf).map(drop)
    }

    /// The next datagram. Errors are as those of [`UdpLink::send`].
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            if let Ok(result) = ready.try_io(|socket| socket.get_ref().recv(buf)) {
                return Poll::Ready(result);
            }
        }
    }
}

fn register(socket: UdpSocket) -> io::Result<AsyncFd<UdpSocket>> {
    // SAFETY: the `UdpSocket` owns one open descriptor, moves into the `AsyncFd`, and is only lent out by reference, so the
    // descriptor stays open and the same until it is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?)
}

fn is_of_a_peer(e: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(e.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable | Interrupted)
}

/// IPv4-mapped IPv6 addresses as the IPv4 addresses they are.
fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr {
        // The scope of a link-local address is needed to answer it.
        SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_none() => addr,
        _ => SocketAddr::new(addr.ip().to_canonical(), addr.port()),
    }
}

fn mapped(addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), addr.port()),
        IpAddr::V6(_) => addr,
    }
}

fn ask_for_addresses(socket: &UdpSocket, v6: bool) -> io::Result<()> {
    let (level, option) =
        if v6 { (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO) } else { (libc::IPPROTO_IP, libc::IP_PKTINFO) };
    let on: libc::c_int = 1;
    // SAFETY: the socket is open for the time of the call, and `on` is valid for reads of its size.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Room for one control message with an address, aligned as the kernel wants it.
#[repr(C)]
union Control {
    bytes: [u8; 64],
    _align: libc::cmsghdr,
}

/// `recvmsg`, with the address that the datagram was sent to.
fn recv_with_address(socket: &UdpSocket, buf: &mut [u8]) -> io::Result<(usize, SocketAddr, Option<IpAddr>)> {
    let mut control = Control { bytes: [0; 64] };
    let mut local = None;
    let mut n = 0;
    let receive = |storage: *mut socket2::SockAddrStorage, len: *mut libc::socklen_t| {
        let mut iov = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
        // SAFETY: all zeroes are a valid `msghdr`: null pointers with lengths of 0.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_name = storage.cast();
        // SAFETY: `len` comes from `SockAddr::try_init` and is valid for reads and writes.
        message.msg_namelen = unsafe { *len };
        message.msg_iov = &raw mut iov;
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut control).cast();
        message.msg_controllen = size_of::<Control>() as _;
        // SAFETY: the socket is open for the time of the call; name, iov and control point to live memory of the given sizes.
        let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
        n = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        // SAFETY: the kernel has just filled the message in, and its buffers are still there.
        local = unsafe { address_of(&message) };
        // SAFETY: as above.
        unsafe { *len = message.msg_namelen };
        Ok(())
    };
    // SAFETY: on success the kernel has written an address and its length to the two pointers.
    let ((), peer) = unsafe { SockAddr::try_init(receive) }?;
    Ok((n, peer.as_socket().ok_or(io::ErrorKind::InvalidData)?, local))
}

/// The address in a message's control data.
///
/// # Safety
/// `message` was filled in by `recvmsg`, and what it points to is alive.
unsafe fn address_of(message: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR stay within the control data that the kernel wrote; data is read as the type that
    // level and kind say, without a claim to alignment.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while !header.is_null() {
            match ((*header).cmsg_level, (*header).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info: libc::in_pktinfo = libc::CMSG_DATA(header).cast::<libc::in_pktinfo>().read_unaligned();
                    return Some(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr)).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info: libc::in6_pktinfo = libc::CMSG_DATA(header).cast::<libc::in6_pktinfo>().read_unaligned();
                    return Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                }
                _ => header = libc::CMSG_NXTHDR(message, header),
            }
        }
        None
    }
}

/// `sendmsg` from one of our addresses.
fn send_from(socket: &UdpSocket, buf: &[u8], peer: &SockAddr, local: IpAddr, v6: bool) -> io::Result<()> {
    let mut control = Control { bytes: [0; 64] };
    let mut iov = libc::iovec { iov_base: buf.as_ptr().cast_mut().cast(), iov_len: buf.len() };
    // SAFETY: all zeroes are a valid `msghdr`: null pointers with lengths of 0.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = peer.as_ptr().cast_mut().cast();
    message.msg_namelen = peer.len();
    message.msg_iov = &raw mut iov;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    // SAFETY: `control` is large and aligned enough for one control message of either type (32 and 40 bytes with its header), so
    // CMSG_FIRSTHDR and CMSG_DATA point into it; the kernel only reads what name and iov point to.
    let sent = unsafe {
        match local {
            IpAddr::V4(ip) if !v6 => {
                let mut info: libc::in_pktinfo = std::mem::zeroed();
                info.ipi_spec_dst.s_addr = u32::from(ip).to_be();
                put(&mut message, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            ip => {
                let ip = match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                    IpAddr::V6(ip) => ip,
                };
                let mut info: libc::in6_pktinfo = std::mem::zeroed();
                info.ipi6_addr.s6_addr = ip.octets();
                put(&mut message, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
        }
        libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Writes the only control message of a message.
///
/// # Safety
/// `msg_control` points to room for it.
unsafe fn put<T>(message: &mut libc::msghdr, level: libc::c_int, kind: libc::c_int, data: T) {
    let size = size_of::<T>() as libc::c_uint;
    // SAFETY: the caller gives the room; CMSG_SPACE and CMSG_LEN only compute.
    unsafe {
        message.msg_controllen = libc::CMSG_SPACE(size) as _;
        let header = libc::CMSG_FIRSTHDR(message);
        if header.is_null() {
            return;
        }
        (*header).cmsg_level = level;
        (*header).cmsg_type = kind;
        (*header).cmsg_len = libc::CMSG_LEN(size) as _;
        libc::CMSG_DATA(header).cast::<T>().write_unaligned(data);
    }
}

#[cfg(test)]
mod tests;
