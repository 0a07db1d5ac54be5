//! SIGTERM: not ready any more, what is in progress is finished, then the end.

use fairlead_test_flow::{Setup, Stage};
use fairlead_testkit::{Ask, Client, End, Version, Wire, ask, exchange, wait_until};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn stage(args: &[&str]) -> Stage {
    Setup::example("quickstart").args(args).echo(3000, "one").start()
}

fn is_ready(stage: &Stage) -> Option<bool> {
    TcpStream::connect(stage.proxy.admin()).ok()?;
    let head = format!("GET /ready HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", stage.proxy.admin());
    Some(exchange(stage.proxy.admin(), head)?.status == 200)
}

#[test]
fn sigterm_finishes_what_is_in_progress() {
    let mut stage = stage(&[]);
    let address = stage.proxy.address(8080);
    let mut idle = Wire::connect(address);
    assert_eq!(idle.get("a.test", "/").status, 200);
    let mut slow = Wire::connect(address);
    slow.send("GET /?delay=3s HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let h2 = std::thread::spawn(move || {
        let mut client = Client::connect(Version::H2, address);
        client.ask(&Ask::get("/?delay=3s").host("a.test"))
    });
    let mut upload = Wire::connect(address);
    upload.send("POST /sink HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nhello");
    std::thread::sleep(Duration::from_millis(500));
    let start = Instant::now();
    stage.proxy.process.signal("TERM");
    wait_until(Duration::from_secs(3), "not to be ready", || (is_ready(&stage) == Some(false)).then_some(()));
    assert!(idle.is_closed_within(Duration::from_secs(2)), "an idle connection ends at once");
    upload.send("world");
    let answer = upload.response(false).expect("an answer");
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "{answer:?}");
    assert!(answer.text().contains("10"), "all of it was passed on: {answer:?}");
    let answer = slow.response(false).expect("an answer");
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(slow.is_closed_within(Duration::from_secs(2)));
    let reply = h2.join().expect("a reply");
    assert_eq!((reply.end, reply.answer.status), (End::Complete, 200), "{reply:?}");
    assert_eq!(stage.proxy.process.wait(Duration::from_secs(5)), Some(0));
    assert!(start.elapsed() < Duration::from_secs(8), "it does not wait for its timeout");
    let output = stage.proxy.process.output();
    assert!(output.contains("draining") && output.contains("drained"), "{output}");
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn the_drain_timeout_bounds_it() {
    let mut stage = stage(&["--drain-timeout", "700ms"]);
    let mut hanging = Wire::connect(stage.proxy.address(8080));
    hanging.send("GET /?hang=true HTTP/1.1\r\nHost: a.test\r\n\r\n");
    std::thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    stage.proxy.process.signal("TERM");
    assert_eq!(stage.proxy.process.wait(Duration::from_secs(5)), Some(0));
    let took = start.elapsed();
    assert!((600..3000).contains(&took.as_millis()), "{took:?}");
    assert!(stage.proxy.process.output().contains("did not end within the drain timeout"));
}

/// The time that a load balancer needs: not ready at once, but whoever still comes is served, and told to go elsewhere.
#[test]
fn the_lead_serves_those_who_do_not_know_yet() {
    let lead = Duration::from_millis(1500);
    let mut stage = stage(&["--drain-lead", "1500ms", "--drain-timeout", "5s"]);
    let address = stage.proxy.address(8080);
    let mut idle = Wire::connect(address);
    assert_eq!(idle.get("a.test", "/").header("connection"), None);
    let start = Instant::now();
    stage.proxy.process.signal("TERM");
    wait_until(Duration::from_secs(1), "not to be ready", || (is_ready(&stage) == Some(false)).then_some(()));
    let mut served = 0;
    while start.elapsed() < lead - Duration::from_millis(300) {
        for version in [Version::H1, Version::H2] {
            let answer = ask(version, address, &Ask::get("/").host("a.test")).whole();
            let told = (version == Version::H1).then_some("close");
            assert_eq!((answer.status, answer.header("connection")), (200, told), "{version:?} {:?}", start.elapsed());
        }
        served += 1;
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(served > 3, "{served}");
    assert!(stage.proxy.process.is_running());
    // A connection that was idle may be used once more, and is told with the answer.
    let answer = idle.get("a.test", "/");
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(stage.proxy.process.wait(Duration::from_secs(5)), Some(0));
    let took = start.elapsed();
    assert!(took >= lead && took < lead + Duration::from_secs(3), "{took:?}");
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut stage = stage(&[]);
    let mut hanging = Wire::connect(stage.proxy.address(8080));
    hanging.send("GET /?hang=true HTTP/1.1\r\nHost: a.test\r\n\r\n");
    std::thread::sleep(Duration::from_millis(300));
    stage.proxy.process.signal("INT");
    wait_until(Duration::from_secs(3), "the drain", || stage.proxy.process.output().contains("draining").then_some(()));
    assert!(stage.proxy.process.is_running());
    stage.proxy.process.signal("TERM");
    assert_eq!(stage.proxy.process.wait(Duration::from_secs(3)), Some(1));
}

/// Who is used to `kill -HUP` for a reload must not lose the service by it.
#[test]
fn a_hangup_without_a_terminal_is_ignored() {
    let mut stage = stage(&[]);
    stage.proxy.process.signal("HUP");
    let said = || stage.proxy.process.output().contains("SIGHUP is ignored").then_some(());
    wait_until(Duration::from_secs(3), "a word about it", said);
    assert_eq!((is_ready(&stage), stage.get(8080, "a.test", "/").status), (Some(true), 200));
    stage.proxy.process.signal("TERM");
    assert_eq!(stage.proxy.process.wait(Duration::from_secs(5)), Some(0));
}

#[test]
fn the_admin_interface_can_ask_for_it() {
    let mut stage = stage(&[]);
    let head = format!("POST /drain HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", stage.proxy.admin());
    let answer = exchange(stage.proxy.admin(), head).expect("an answer");
    assert!(answer.status / 100 == 2, "{answer:?}");
    assert_eq!(stage.proxy.process.wait(Duration::from_secs(5)), Some(0));
    // A GET must not do it.
    let stage = self::stage(&[]);
    assert!(!stage.proxy.admin_get("/drain").is_empty());
    assert_eq!(is_ready(&stage), Some(true));
}
