use super::*;
use std::collections::HashSet;
use std::future::poll_fn;
use std::time::Duration;

async fn recv(socket: &Datagrams) -> (Vec<u8>, Path) {
    let mut buf = vec![0; MAX_DATAGRAM];
    let (n, path) = poll_fn(|cx| socket.poll_recv(cx, &mut buf)).await.unwrap();
    (buf[..n].to_vec(), path)
}

fn client(server: SocketAddr) -> UdpSocket {
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { "[::]:0".parse().unwrap() };
    let socket = UdpSocket::bind(any).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.connect(server).unwrap();
    socket
}

/// A connected socket takes replies from the very address that it sent to, and from no other.
async fn answers_from_the_address_asked(bind: &str, to: &[&str]) {
    let server = Datagrams::new(bind_udp_group(bind.parse().unwrap(), 1).unwrap().remove(0)).unwrap();
    for ip in to {
        let ip: IpAddr = ip.parse().unwrap();
        let client = client(SocketAddr::new(ip, server.local_addr().port()));
        client.send(b"question").unwrap();
        let (data, path) = recv(&server).await;
        assert_eq!((&data[..], path.local), (&b"question"[..], ip));
        assert_eq!(path.peer.port(), client.local_addr().unwrap().port());
        server.send(b"answer", path).unwrap();
        let mut buf = [0; 16];
        let n = client.recv(&mut buf).unwrap();
        assert_eq!(&buf[..n], b"answer");
    }
}

#[tokio::test]
async fn wildcards_answer_from_the_address_asked() {
    answers_from_the_address_asked("0.0.0.0:0", &["127.0.0.1", "127.0.0.2", "127.1.2.3"]).await;
}

#[tokio::test]
async fn dual_stack_wildcards_answer_both_families() {
    let v6 = UdpSocket::bind("[::1]:0").is_ok();
    let to: &[&str] = if v6 { &["127.0.0.1", "127.0.0.2", "::1"] } else { &["127.0.0.1", "127.0.0.2"] };
    answers_from_the_address_asked("[::]:0", to).await;
}

#[tokio::test]
async fn one_address_needs_no_asking() {
    answers_from_the_address_asked("127.0.0.3:0", &["127.0.0.3"]).await;
}

#[tokio::test]
async fn the_largest_and_the_empty_datagram_pass() {
    let server = Datagrams::new(bind_udp_group(([127, 0, 0, 1], 0).into(), 1).unwrap().remove(0)).unwrap();
    let link = connect_udp(server.local_addr()).unwrap();
    for size in [0, 1, 65_507] {
        link.send(&vec![7; size]).unwrap();
        let (data, path) = recv(&server).await;
        assert_eq!((data.len(), path.peer), (size, link.local_addr()));
        server.send(&data, path).unwrap();
        let mut buf = vec![0; MAX_DATAGRAM];
        assert_eq!(poll_fn(|cx| link.poll_recv(cx, &mut buf)).await.unwrap(), size);
    }
}

#[tokio::test]
async fn a_link_hears_that_nobody_listens() {
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let link = connect_udp(nobody).unwrap();
    link.send(b"lost").unwrap();
    // Loopback answers before `send` returns.
    assert_eq!(link.send(b"not sent").unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    link.send(b"lost").unwrap();
}

/// All datagrams of one client come to one socket of the group, and clients spread over all.
#[tokio::test]
async fn a_group_shares_by_address_pair() {
    let group = bind_udp_group(([127, 0, 0, 1], 0).into(), 4).unwrap();
    let addr = group[0].local_addr().unwrap();
    assert!(group.iter().all(|socket| socket.local_addr().unwrap() == addr));
    let clients: Vec<_> = (0..64).map(|_| client(addr)).collect();
    for round in 0..3 {
        for client in &clients {
            client.send(&[round]).unwrap();
        }
    }
    let (mut seen, mut busy, mut all) = (HashSet::new(), 0, 0);
    for socket in &group {
        socket.set_nonblocking(true).unwrap();
        let mut own = HashSet::new();
        while let Ok((_, peer)) = socket.recv_from(&mut [0; 8]) {
            own.insert(peer);
            all += 1;
        }
        busy += usize::from(!own.is_empty());
        assert!(own.is_disjoint(&seen), "a client's datagrams came to two sockets");
        seen.extend(own);
    }
    assert_eq!((seen.len(), all), (64, 192));
    assert!(busy >= 3, "{busy} of 4 sockets got anything");
}

#[test]
fn a_taken_port_is_reported() {
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = other.local_addr().unwrap();
    let error = bind_udp_group(addr, 2).unwrap_err();
    assert_eq!(error.kind, crate::ListenErrorKind::InUse);
    let shared = bind_udp_group(([127, 0, 0, 1], 0).into(), 2).unwrap();
    let taken = shared[0].local_addr().unwrap();
    assert_eq!(
        bind_udp_group(taken, 1).unwrap_err().kind,
        crate::ListenErrorKind::InUse,
        "not even by one that shares"
    );
}

/// Clients that send while the sockets are made: each has all of its datagrams at one of them.
#[test]
fn a_group_receives_when_all_of_it_stands() {
    let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let clients: Vec<UdpSocket> = (0..8).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let group = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for client in &clients {
                    // Nobody listens at first.
                    let _ = client.send_to(b"x", address);
                }
            }
        });
        std::thread::sleep(Duration::from_millis(20));
        let group = bind_udp_group(address, 64).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        group
    });
    let mut places = std::collections::HashMap::<SocketAddr, HashSet<usize>>::new();
    for (place, socket) in group.iter().enumerate() {
        while let Ok((_, peer)) = socket.recv_from(&mut [0; 16]) {
            places.entry(peer).or_default().insert(place);
        }
    }
    assert_eq!(places.len(), clients.len(), "all are heard");
    assert!(places.values().all(|places| places.len() == 1), "{places:?}");
}
