use crate::house::*;
use fairlead_ir as ir;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

fn house(to: &[SocketAddr], change: impl FnOnce(&mut ir::Route)) -> House {
    let mut rule = route(ir::RouteKind::Tcp, "r", 1, &["l"], &[], &[("c", 1)]);
    change(&mut rule);
    let mut all = cluster("c", ir::Protocol::Tcp, None, to);
    all.push(rule.into());
    all.push(listener("l", ir::ListenerProtocol::Tcp, None, None));
    House::start(TCP, 1, all)
}

#[test]
fn bytes_pass_both_ways_and_each_side_ends_by_itself() {
    let house = house(&[tcp_backend("one")], |_| {});
    let mut stream = house.connect();
    assert_eq!(read_name(&mut stream), "one", "a server may speak first");
    let sent: Vec<u8> = (0..4_000_000u32).map(|i| (i ^ (i >> 9)) as u8).collect();
    let mut writer = stream.try_clone().unwrap();
    let copy = sent.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&copy).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    writing.join().unwrap();
    assert!(received == sent, "{} of {} bytes came back", received.len(), sent.len());
    let line = &house.log(1)[0];
    assert_eq!(line["bytes_received"], 4_000_000);
    assert_eq!(line["bytes_sent"], 4_000_004);
    assert_eq!((&line["route_name"], &line["upstream_cluster"]), (&"tcproute/default/r/0".into(), &"c".into()));
    assert_eq!((&line["response_flags"], &line["method"], &line["protocol"]), (&"-".into(), &().into(), &().into()));
    assert!(line["upstream_local_address"].is_string() && line["upstream_host"].is_string());
    assert_eq!(house.metric("fairlead_listener_connections_total{listener=\"l\",gateway=\"default/gw\"}"), 1.0);
    assert_eq!(house.metric("fairlead_listener_connections_active{listener=\"l\",gateway=\"default/gw\"}"), 0.0);
    assert_eq!(house.metric("fairlead_cluster_bytes_sent_total{cluster=\"c\"}"), 4_000_000.0);
    assert_eq!(house.metric("fairlead_cluster_connections_active{cluster=\"c\"}"), 0.0);
}

/// A client that does not read stops the backend, and the proxy keeps little of what is on the way.
#[test]
fn a_slow_reader_holds_the_sender_back() {
    let backend = TcpListener::bind("127.0.0.1:0").unwrap();
    let house = house(&[backend.local_addr().unwrap()], |_| {});
    let mut client = house.connect();
    let (mut server, _) = backend.accept().unwrap();
    server.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let block = vec![1; 1 << 20];
    let mut sent = 0;
    while let Ok(n) = server.write(&block) {
        sent += n;
        assert!(sent < 64 << 20, "nothing holds the sender back");
    }
    server.set_write_timeout(None).unwrap();
    assert!(pipes() > 0, "what waits for the client was not copied");
    drop(server);
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert_eq!(received.len(), sent);
    drop(client);
    let line = &house.log(1)[0];
    assert_eq!((&line["bytes_sent"], &line["response_flags"]), (&sent.into(), &"-".into()));
    assert_eq!(house.metric("fairlead_cluster_bytes_received_total{cluster=\"c\"}"), sent as f64);
}

/// Pipes both ends of which this process has.
fn pipes() -> usize {
    let mut ends = std::collections::BTreeMap::<String, usize>::new();
    for fd in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let target = std::fs::read_link(fd.path()).unwrap_or_default().display().to_string();
        if target.starts_with("pipe:") {
            *ends.entry(target).or_default() += 1;
        }
    }
    ends.values().filter(|count| **count == 2).count()
}

/// Bytes that are moved uncopied are still movement, and their absence idleness.
#[test]
fn bulk_that_stops_is_idle() {
    let backend = TcpListener::bind("127.0.0.1:0").unwrap();
    let house = house(&[backend.local_addr().unwrap()], |route| route.timeouts.idle = Some(ir::Millis(600)));
    let mut client = house.connect();
    let (mut server, _) = backend.accept().unwrap();
    let block = vec![1; 1 << 20];
    let mut taken = vec![0; 1 << 20];
    // Longer than the limit, but never still.
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1200) {
        server.write_all(&block).unwrap();
        client.read_exact(&mut taken).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    server.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    while server.write(&block).is_ok() {}
    let line = &house.log(1)[0];
    assert_eq!(line["connection_termination_details"], "idle_timeout");
    server.set_write_timeout(None).unwrap();
    assert!(server.write_all(&block).is_err(), "the upstream is reset");
    // What the client had not read yet went with the reset, or it has it.
    let read = std::iter::from_fn(|| client.read(&mut taken).ok().filter(|n| *n > 0)).sum::<usize>() as u64;
    assert!(line["bytes_sent"].as_u64().unwrap() > read);
}

#[test]
fn resets_amid_bulk_are_those_of_their_side() {
    for (who, flags) in [("client", "DC"), ("server", "UC")] {
        let backend = TcpListener::bind("127.0.0.1:0").unwrap();
        let house = house(&[backend.local_addr().unwrap()], |_| {});
        let mut client = house.connect();
        // Not read by the server: closing it is a reset.
        client.write_all(b"please").unwrap();
        let (mut server, _) = backend.accept().unwrap();
        let writing = std::thread::spawn(move || {
            let block = vec![1; 1 << 20];
            for _ in 0..16 {
                if server.write_all(&block).is_err() {
                    break;
                }
            }
            server
        });
        let mut taken = vec![0; 4 << 20];
        client.read_exact(&mut taken).unwrap();
        if who == "client" {
            // With bytes that nobody read, closing is a reset.
            drop(client);
            drop(writing.join().unwrap());
        } else {
            let reading = std::thread::spawn(move || {
                std::iter::from_fn(|| client.read(&mut taken).ok().filter(|n| *n > 0)).sum::<usize>()
            });
            drop(writing.join().unwrap());
            let rest = reading.join().unwrap();
            assert!(rest <= 12 << 20, "{rest}");
        }
        assert_eq!(house.log(1)[0]["response_flags"], flags, "{who}");
    }
}

#[test]
fn another_endpoint_is_tried_when_one_refuses() {
    let house = house(&[nobody(), tcp_backend("two")], |_| {});
    for _ in 0..8 {
        assert_eq!(house.who(), "two");
    }
    assert!(house.metric("fairlead_cluster_connect_failures_total{cluster=\"c\"}") >= 3.0);
}

/// What can't be passed on is reset: no byte, no orderly end.
#[test]
fn what_leads_nowhere_is_reset_and_logged() {
    type Change = fn(&mut ir::Route);
    let dead: Vec<SocketAddr> = (0..5).map(|_| nobody()).collect();
    let cases: [(&[SocketAddr], Change, &str, &str); 5] = [
        (&dead, |_| {}, "UF,URX", "upstream_reset_before_response_started{remote_connection_failure}"),
        (&[], |_| {}, "UH", "no_healthy_upstream"),
        (
            &dead,
            |route| route.backends[0].target = ir::BackendTarget::Invalid("x".into()),
            "NC",
            "unresolved_reference",
        ),
        (&dead, |route| route.backends[0].weight = 0, "NC", "no_backend"),
        (&dead, |route| route.listeners.clear(), "NR", "route_not_found"),
    ];
    for (to, change, flags, details) in cases {
        let house = house(to, change);
        let error = house.connect().read(&mut [0; 16]).expect_err(flags);
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{flags}");
        let line = &house.log(1)[0];
        assert_eq!((&line["response_flags"], &line["response_code_details"]), (&flags.into(), &details.into()));
    }
}

#[test]
fn weights_are_shares_of_connections() {
    let mut all = cluster("a", ir::Protocol::Tcp, None, &[tcp_backend("a")]);
    all.extend(cluster("b", ir::Protocol::Tcp, None, &[tcp_backend("b")]));
    all.extend(cluster("c", ir::Protocol::Tcp, None, &[tcp_backend("c")]));
    all.push(route(ir::RouteKind::Tcp, "r", 1, &["l"], &[], &[("a", 70), ("b", 20), ("c", 0), ("!", 10)]).into());
    all.push(listener("l", ir::ListenerProtocol::Tcp, None, None));
    let house = House::start(TCP, 2, all);
    let mut counts = std::collections::BTreeMap::<String, i32>::new();
    for _ in 0..500 {
        *counts.entry(house.who()).or_default() += 1;
    }
    // Five standard deviations.
    for (who, expected, slack) in [("a", 350, 52), ("b", 100, 45), ("c", 0, 0), ("", 50, 34)] {
        let count = counts.get(who).copied().unwrap_or_default();
        assert!((count - expected).abs() <= slack, "{counts:?}");
    }
}

#[test]
fn the_oldest_route_serves_and_the_next_one_when_it_goes() {
    let mut all = cluster("a", ir::Protocol::Tcp, None, &[tcp_backend("a")]);
    all.extend(cluster("b", ir::Protocol::Tcp, None, &[tcp_backend("b")]));
    all.push(route(ir::RouteKind::Tcp, "a-newer", 2, &["l"], &[], &[("a", 1)]).into());
    all.push(route(ir::RouteKind::Tcp, "older", 1, &["l"], &[], &[("b", 1)]).into());
    all.push(listener("l", ir::ListenerProtocol::Tcp, None, None));
    let house = House::start(TCP, 1, all);
    assert!((0..20).all(|_| house.who() == "b"));
    let mut kept = house.connect();
    assert_eq!(read_name(&mut kept), "b");
    house.push(vec![], vec![ir::ResourceId::Route("tcproute/default/older/0".into())]);
    assert!((0..20).all(|_| house.who() == "a"));
    kept.write_all(b"still here\n").unwrap();
    assert_eq!(read_name(&mut kept), "still here", "a connection outlives its route");
    house.close();
    kept.write_all(b"and its listener\n").unwrap();
    assert_eq!(read_name(&mut kept), "and its listener");
}

#[test]
fn nothing_moves_for_too_long() {
    let house = house(&[tcp_backend("one")], |route| route.timeouts.idle = Some(ir::Millis(1200)));
    let mut stream = house.connect();
    read_name(&mut stream);
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(400));
        stream.write_all(b"x\n").unwrap();
        assert_eq!(read_name(&mut stream), "x", "what moves is no idleness");
    }
    let start = Instant::now();
    assert_eq!(stream.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(start.elapsed() >= Duration::from_millis(600), "{:?}", start.elapsed());
    assert_eq!(house.log(1)[0]["connection_termination_details"], "idle_timeout");
}

#[test]
fn what_an_upstream_sent_before_it_failed_arrives() {
    let backend = TcpListener::bind("127.0.0.1:0").unwrap();
    let house = house(&[backend.local_addr().unwrap()], |_| {});
    let mut client = house.connect();
    client.write_all(b"not read").unwrap();
    let (mut server, _) = backend.accept().unwrap();
    server.write_all(b"the last words").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    // With bytes that nobody read, closing is a reset.
    drop(server);
    let mut received = Vec::new();
    client.read_to_end(&mut received).unwrap();
    assert_eq!(received, b"the last words");
    drop(client);
    assert_eq!(house.log(1)[0]["response_flags"], "UC");
}

#[test]
fn a_client_that_resets_resets_the_upstream() {
    let backend = TcpListener::bind("127.0.0.1:0").unwrap();
    let house = house(&[backend.local_addr().unwrap()], |_| {});
    let client = house.connect();
    let (mut server, _) = backend.accept().unwrap();
    server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    server.write_all(b"not read").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    drop(client);
    assert_eq!(server.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(house.log(1)[0]["response_flags"], "DC");
}

#[test]
fn a_drain_waits_for_connections() {
    let house = house(&[tcp_backend("one")], |_| {});
    let mut stream = house.connect();
    read_name(&mut stream);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(!runtime.block_on(house.workers.drain(Duration::from_millis(300))), "one is open");
    stream.write_all(b"x\n").unwrap();
    assert_eq!(read_name(&mut stream), "x");
    drop(stream);
    assert!(runtime.block_on(house.workers.drain(Duration::from_secs(5))));
    assert!(std::net::TcpStream::connect(house.address).is_err());
}
