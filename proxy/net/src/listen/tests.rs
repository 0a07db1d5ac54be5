#![allow(clippy::unwrap_used)]

use std::io;
use std::net::{SocketAddr, TcpStream};

use super::{ListenError, ListenErrorKind, ListenOptions, listen_tcp, listen_tcp_group};

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[test]
fn a_port_in_use_is_named_with_a_way_out() {
    let options = ListenOptions::default();
    let taken = listen_tcp(loopback(0), &options).unwrap();
    let addr = taken.local_addr().unwrap();
    let e = listen_tcp(addr, &options).unwrap_err();
    assert_eq!(e.kind, ListenErrorKind::InUse);
    let message = e.to_string();
    assert!(message.starts_with(&format!("cannot listen on {addr}: another process listens on port {}", addr.port())));
    assert!(message.contains("use another port"), "{message}");
}

#[test]
fn a_group_shares_one_port() {
    let group = listen_tcp_group(loopback(0), 4, &ListenOptions::default()).unwrap();
    assert_eq!(group.len(), 4);
    let addr = group[0].local_addr().unwrap();
    assert!(group.iter().all(|l| l.local_addr().unwrap() == addr), "port 0 is resolved once");
    let clients: Vec<_> = (0..200).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let counts: Vec<usize> = group.iter().map(|l| std::iter::from_fn(|| l.accept().ok()).count()).collect();
    assert_eq!(counts.iter().sum::<usize>(), clients.len());
    assert!(counts.iter().all(|n| *n > 0), "the kernel spreads connections over all sockets: {counts:?}");
}

#[test]
fn a_group_does_not_share_silently_with_a_stranger() {
    let options = ListenOptions { reuse_port: true, ..ListenOptions::default() };
    let stranger = listen_tcp(loopback(0), &options).unwrap();
    let addr = stranger.local_addr().unwrap();
    assert!(listen_tcp(addr, &options).is_ok(), "this is the trap: the kernel lets both have it");
    let e = listen_tcp_group(addr, 2, &options).unwrap_err();
    assert_eq!(e.kind, ListenErrorKind::InUse);
}

#[test]
fn a_port_is_free_again_at_once() {
    let options = ListenOptions::default();
    let group = listen_tcp_group(loopback(0), 2, &options).unwrap();
    let addr = group[0].local_addr().unwrap();
    let client = TcpStream::connect(addr).unwrap();
    let served: Vec<_> = group.iter().filter_map(|l| l.accept().ok()).collect();
    assert_eq!(served.len(), 1);
    // Closing first leaves the server's end in TIME_WAIT.
    drop(served);
    drop(client);
    drop(group);
    listen_tcp_group(addr, 2, &options).unwrap();
}

#[test]
fn unspecified_ipv6_takes_ipv4_too() {
    let listener = listen_tcp("[::]:0".parse().unwrap(), &ListenOptions::default()).unwrap();
    let port = listener.local_addr().unwrap().port();
    let _client = TcpStream::connect(loopback(port)).unwrap();
    assert!(std::iter::repeat_with(|| listener.accept()).take(1000).any(|a| a.is_ok()));
    let e = listen_tcp(SocketAddr::from(([0, 0, 0, 0], port)), &ListenOptions::default()).unwrap_err();
    assert_eq!(e.kind, ListenErrorKind::InUse, "the same port of IPv4 is taken by it");
}

#[test]
fn the_other_errors_say_what_to_do() {
    // TEST-NET-1 (RFC 5737) is nobody's address.
    let e = listen_tcp("192.0.2.1:0".parse().unwrap(), &ListenOptions::default()).unwrap_err();
    assert_eq!(e.kind, ListenErrorKind::AddressNotAvailable);
    assert!(e.to_string().contains("no network interface here has the address 192.0.2.1"), "{e}");

    let e = ListenError::new(loopback(80), io::Error::from_raw_os_error(libc::EACCES));
    assert_eq!(e.kind, ListenErrorKind::PermissionDenied);
    assert!(e.to_string().contains("CAP_NET_BIND_SERVICE"), "{e}");
}
