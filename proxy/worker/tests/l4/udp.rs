use crate::house::*;
use fairlead_ir as ir;
use std::collections::{BTreeMap, HashSet};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

fn house(workers: usize, to: &[SocketAddr], idle: Option<u64>) -> House {
    let mut rule = route(ir::RouteKind::Udp, "r", 1, &["l"], &[], &[("c", 1)]);
    rule.timeouts.idle = idle.map(ir::Millis);
    let mut all = cluster("c", ir::Protocol::Udp, None, to);
    all.push(rule.into());
    all.push(listener("l", ir::ListenerProtocol::Udp, None, None));
    House::start(UDP, workers, all)
}

fn ask(client: &UdpSocket, text: &str) -> String {
    client.send(text.as_bytes()).unwrap();
    let mut buf = [0; 65536];
    let n = client.recv(&mut buf).unwrap_or_else(|error| panic!("no answer to {text}: {error}"));
    String::from_utf8(buf[..n].to_vec()).unwrap()
}

/// Whether a datagram is answered within a second.
fn answered(client: &UdpSocket) -> bool {
    client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    client.send(b"?").is_ok() && client.recv(&mut [0; 64]).is_ok()
}

/// Each client has one socket towards the backend for all its datagrams, whichever worker it is on.
#[test]
fn sessions_are_by_address_pair() {
    let (backend, seen) = udp_backend("one");
    let house = house(4, &[backend], None);
    let clients: Vec<UdpSocket> = (0..50).map(|_| house.datagrams()).collect();
    for round in 0..5 {
        for (i, client) in clients.iter().enumerate() {
            assert_eq!(ask(client, &format!("{round}/{i}")), format!("one {round}/{i}"));
        }
    }
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 250);
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 50);
    assert_eq!(house.metric("fairlead_listener_connections_total{listener=\"l\",gateway=\"default/gw\"}"), 50.0);
    assert_eq!(house.metric("fairlead_cluster_connections_active{cluster=\"c\"}"), 50.0);
}

/// A backend that answers with its name, the port that it was asked from, and the datagram.
fn telling(name: &'static str) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buf = [0; 64];
        while let Ok((n, peer)) = socket.recv_from(&mut buf) {
            let _ = socket.send_to(&[format!("{name}:{} ", peer.port()).as_bytes(), &buf[..n]].concat(), peer);
        }
    });
    address
}

/// A client stays with its backend and the socket towards it, whatever else is configured meanwhile.
#[test]
fn sessions_stay_while_other_things_change() {
    let backends = [telling("one"), telling("two"), telling("three")];
    let house = house(4, &backends[..2], None);
    let clients: Vec<UdpSocket> = (0..50).map(|_| house.datagrams()).collect();
    let round = |number: usize| -> Vec<String> {
        let answers = clients.iter().enumerate().map(|(i, client)| {
            let answer = ask(client, &format!("{number}/{i}"));
            let (place, datagram) = answer.split_once(' ').unwrap();
            assert_eq!(datagram, format!("{number}/{i}"), "an answer to another client");
            place.to_owned()
        });
        let places = answers.collect();
        std::thread::sleep(Duration::from_millis(50));
        places
    };
    let first = round(0);
    assert_eq!(first.iter().collect::<HashSet<_>>().len(), 50, "a socket each");
    assert!(["one:", "two:"].iter().all(|name| first.iter().any(|place| place.starts_with(name))), "{first:?}");
    assert_eq!((round(1), round(2)), (first.clone(), first.clone()));
    // Another cluster, another route of another listener, another port.
    let mut others = cluster("d", ir::Protocol::Udp, None, &backends[2..]);
    others.push(route(ir::RouteKind::Tcp, "other", 1, &["tcp"], &[], &[("d", 1)]).into());
    others.push(listener("tcp", ir::ListenerProtocol::Tcp, None, None));
    house.push(others, vec![]);
    assert_eq!(round(3), first);
    let other = ir::Bind::udp(None, 9001);
    house.workers.listen(other, "127.0.0.1:0".parse().unwrap()).unwrap();
    assert_eq!(round(4), first);
    house.workers.close(other);
    assert_eq!(round(5), first);
    // Another endpoint, which new clients find.
    house.push(vec![endpoints("c", &backends)], vec![]);
    assert_eq!((round(6), round(7)), (first.clone(), first.clone()));
    assert!((0..40).any(|_| ask(&house.datagrams(), "new").starts_with("three:")));
    // Another backend of the same route, by weight.
    let both = [("c", 1), ("d", 1)];
    house.push(vec![route(ir::RouteKind::Udp, "r", 1, &["l"], &[], &both).into()], vec![]);
    assert_eq!((round(8), round(9)), (first.clone(), first));
}

#[test]
fn large_datagrams_pass() {
    let (backend, _) = udp_backend("one");
    let house = house(1, &[backend], None);
    let text = "x".repeat(60_000);
    assert_eq!(ask(&house.datagrams(), &text), format!("one {text}"));
}

#[test]
fn weights_are_shares_of_sessions() {
    let mut all = cluster("a", ir::Protocol::Udp, None, &[udp_backend("a").0]);
    all.extend(cluster("b", ir::Protocol::Udp, None, &[udp_backend("b").0]));
    all.extend(cluster("c", ir::Protocol::Udp, None, &[udp_backend("c").0]));
    all.push(route(ir::RouteKind::Udp, "r", 1, &["l"], &[], &[("a", 70), ("b", 30), ("c", 0)]).into());
    all.push(listener("l", ir::ListenerProtocol::Udp, None, None));
    let house = House::start(UDP, 2, all);
    let mut counts = BTreeMap::<String, i32>::new();
    for _ in 0..500 {
        let client = house.datagrams();
        let answer = ask(&client, "1");
        assert_eq!(ask(&client, "1"), answer, "a session stays where it is");
        *counts.entry(answer).or_default() += 1;
    }
    let a = counts["a 1"];
    assert!((a - 350).abs() <= 52 && counts["b 1"] == 500 - a, "{counts:?}");
}

#[test]
fn an_idle_session_ends_and_is_logged() {
    let (backend, seen) = udp_backend("one");
    let house = house(1, &[backend], Some(1000));
    let client = house.datagrams();
    for _ in 0..3 {
        assert_eq!(ask(&client, "12345"), "one 12345");
        std::thread::sleep(Duration::from_millis(400));
    }
    let line = &house.log(1)[0];
    assert_eq!((&line["bytes_received"], &line["bytes_sent"]), (&15.into(), &27.into()));
    assert_eq!(
        (&line["connection_termination_details"], &line["route_name"]),
        (&"idle_timeout".into(), &"udproute/default/r/0".into())
    );
    assert_eq!(line["downstream_remote_address"], client.local_addr().unwrap().to_string());
    assert_eq!(line["downstream_local_address"], house.address.to_string());
    assert_eq!(house.metric("fairlead_cluster_connections_active{cluster=\"c\"}"), 0.0);
    assert_eq!(ask(&client, "again"), "one again");
    assert_eq!(seen.lock().unwrap().iter().collect::<HashSet<_>>().len(), 2, "a new session");
}

/// The machine of an endpoint that is gone says so by ICMP; the datagram that learns of it goes to another one.
#[test]
fn a_refused_session_moves() {
    let (backend, _) = udp_backend("two");
    let dead = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let house = house(1, &[dead, backend], None);
    for _ in 0..6 {
        let client = house.datagrams();
        client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        client.send(b"first").unwrap();
        let answered = client.recv(&mut [0; 64]).is_ok();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(ask(&client, "second"), "two second", "first answered: {answered}");
    }
    assert!(house.log(2).iter().any(|line| line["response_flags"] == "UF"));
}

#[test]
fn sessions_follow_endpoints_and_routes() {
    let ((one, _), (two, _), (three, _)) = (udp_backend("one"), udp_backend("two"), udp_backend("three"));
    let house = house(1, &[one], None);
    let client = house.datagrams();
    assert_eq!(ask(&client, "x"), "one x");
    house.push(vec![endpoints("c", &[one, two])], vec![]);
    assert_eq!(ask(&client, "x"), "one x", "another endpoint is no reason to move");
    house.push(vec![endpoints("c", &[two])], vec![]);
    assert_eq!(ask(&client, "x"), "two x");
    house.push(cluster("d", ir::Protocol::Udp, None, &[three]), vec![]);
    assert_eq!(ask(&client, "x"), "two x");
    house.push(vec![route(ir::RouteKind::Udp, "r", 1, &["l"], &[], &[("d", 1)]).into()], vec![]);
    assert_eq!(ask(&client, "x"), "three x");
    house.push(vec![], vec![ir::ResourceId::Route("udproute/default/r/0".into())]);
    assert!(!answered(&client), "no route, no answer");
    assert!(
        house.metric("fairlead_listener_rejects_total{listener=\"l\",gateway=\"default/gw\",reason=\"other\"}") >= 1.0
    );
}

#[test]
fn a_closed_listener_frees_its_port() {
    let house = house(2, &[udp_backend("one").0], None);
    let client = house.datagrams();
    assert_eq!(ask(&client, "x"), "one x");
    house.close();
    let start = Instant::now();
    while UdpSocket::bind(house.address).is_err() {
        assert!(start.elapsed() < Duration::from_secs(5), "the port is still taken");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(house.log(1)[0]["connection_termination_details"], "listener_removed");
}

#[test]
fn a_drain_ends_idle_sessions_and_serves_others() {
    let house = house(1, &[udp_backend("one").0], None);
    let client = house.datagrams();
    assert_eq!(ask(&client, "x"), "one x");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(!runtime.block_on(house.workers.drain(Duration::from_millis(300))));
    assert_eq!(ask(&client, "y"), "one y");
    let start = Instant::now();
    std::thread::sleep(Duration::from_secs(3));
    house.log(1);
    assert!(start.elapsed() > Duration::from_secs(4), "five seconds of idleness, not the route's minute");
}

/// All clients have one address but different ports, and one client may ask several of our addresses.
#[test]
fn wildcards_answer_from_the_address_asked() {
    let house = house(2, &[udp_backend("one").0], None);
    let bind = ir::Bind::udp(None, 9000);
    house.close();
    let address = house.workers.listen(bind, "0.0.0.0:0".parse().unwrap()).unwrap();
    for ip in [[127, 0, 0, 1], [127, 0, 0, 2], [127, 0, 0, 3]] {
        let client = house.datagrams();
        client.connect(SocketAddr::from((ip, address.port()))).unwrap();
        assert_eq!(ask(&client, "x"), "one x");
    }
}
