use super::lookup::Prepared;
use super::*;
use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Mutex;
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

const A: u16 = 1;
const AAAA: u16 = 28;

/// What the server says to a name and record type.
#[derive(Clone)]
enum Reply {
    Addresses(Vec<IpAddr>, u32),
    Code(u8),
    Silence,
}

#[derive(Default)]
struct Zone {
    replies: HashMap<(String, u16), Reply>,
    queries: Vec<(String, u16)>,
}

/// A name server on loopback, over UDP. Names it does not know don't exist.
struct Server {
    zone: Arc<Mutex<Zone>>,
    address: SocketAddr,
    task: tokio::task::AbortHandle,
}

impl Server {
    async fn start() -> Server {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let zone = Arc::new(Mutex::new(Zone::default()));
        let shared = zone.clone();
        let task = tokio::spawn(async move {
            let mut buf = [0; 1500];
            loop {
                let (n, from) = socket.recv_from(&mut buf).await.unwrap();
                if let Some(reply) = answer(&buf[..n], &shared) {
                    socket.send_to(&reply, from).await.unwrap();
                }
            }
        });
        Server { zone, address, task: task.abort_handle() }
    }

    fn set(&self, name: &str, family: u16, reply: Reply) {
        self.zone.lock().unwrap().replies.insert((name.into(), family), reply);
    }

    fn set_v4(&self, name: &str, last_bytes: &[u8], ttl: u32) {
        self.set(name, A, Reply::Addresses(last_bytes.iter().map(|&b| v4(b)).collect(), ttl));
        self.set(name, AAAA, Reply::Addresses(Vec::new(), ttl));
    }

    fn queries(&self, name: &str) -> usize {
        self.zone.lock().unwrap().queries.iter().filter(|(n, family)| n == name && *family == A).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn v4(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

fn v6(last: u16) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into()
}

fn answer(query: &[u8], zone: &Mutex<Zone>) -> Option<Vec<u8>> {
    let mut at = 12;
    let mut name = String::new();
    while query[at] != 0 {
        let len = usize::from(query[at]);
        name.push_str(&String::from_utf8_lossy(&query[at + 1..at + 1 + len]).to_lowercase());
        name.push('.');
        at += 1 + len;
    }
    let family = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let question = &query[12..at + 5];
    let mut zone = zone.lock().unwrap();
    let key = (name, family);
    zone.queries.push(key.clone());
    let reply = zone.replies.get(&key).cloned().unwrap_or(Reply::Code(3));
    drop(zone);
    let (code, addresses, ttl) = match reply {
        Reply::Addresses(addresses, ttl) => (0, addresses, ttl),
        Reply::Code(code) => (code, Vec::new(), 0),
        Reply::Silence => return None,
    };
    let negative = addresses.is_empty() && matches!(code, 0 | 3);
    let mut out = query[..2].to_vec();
    out.extend([0x81, 0x80 | code, 0, 1, 0, addresses.len() as u8, 0, u8::from(negative), 0, 0]);
    out.extend(question);
    for address in addresses {
        let data = match address {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        out.extend([0xc0, 12]);
        out.extend(family.to_be_bytes());
        out.extend([0, 1]);
        out.extend(ttl.to_be_bytes());
        out.extend((data.len() as u16).to_be_bytes());
        out.extend(data);
    }
    if negative {
        // SOA of the root with a negative TTL of one second.
        out.extend([0, 0, 6, 0, 1, 0, 0, 0, 1, 0, 22, 0, 0]);
        for value in [1u32, 1, 1, 1, 1] {
            out.extend(value.to_be_bytes());
        }
    }
    Some(out)
}

type Changes = UnboundedReceiver<(String, Vec<IpAddr>)>;

fn resolver(servers: NameServers) -> (Resolver, Changes) {
    let (tx, rx) = unbounded_channel();
    let resolver = Resolver::start(servers, move |host, addresses| {
        let _ = tx.send((host.to_owned(), addresses.to_vec()));
    });
    (resolver, rx)
}

fn hosts(names: &[&str]) -> BTreeSet<Arc<str>> {
    names.iter().map(|&n| n.into()).collect()
}

async fn change(changes: &mut Changes) -> (String, Vec<IpAddr>) {
    timeout(Duration::from_secs(15), changes.recv()).await.expect("a change in time").unwrap()
}

async fn nothing(changes: &mut Changes, time: Duration) {
    if let Ok(change) = timeout(time, changes.recv()).await {
        panic!("unexpected {change:?}");
    }
}

#[tokio::test]
async fn follows_changes_at_the_ttl_and_reports_nothing_else() {
    let server = Server::start().await;
    server.set_v4("a.example.", &[2, 1], 1);
    let (resolver, mut changes) = resolver(NameServers::Only(vec![server.address]));
    resolver.watch(hosts(&["a.example"]));
    assert_eq!(change(&mut changes).await, ("a.example".into(), vec![v4(1), v4(2)]));
    server.set_v4("a.example.", &[1, 2], 1);
    nothing(&mut changes, Duration::from_millis(2500)).await;
    assert!((2..=4).contains(&server.queries("a.example.")), "{}", server.queries("a.example."));
    server.set_v4("a.example.", &[3, 3], 60);
    assert_eq!(change(&mut changes).await.1, [v4(3)]);
}

#[tokio::test]
async fn a_ttl_of_zero_does_not_hammer_the_server() {
    let server = Server::start().await;
    server.set_v4("z.example.", &[1], 0);
    let (resolver, mut changes) = resolver(NameServers::Only(vec![server.address]));
    resolver.watch(hosts(&["z.example"]));
    change(&mut changes).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!((1..=3).contains(&server.queries("z.example.")), "{}", server.queries("z.example."));
}

#[tokio::test]
async fn a_long_ttl_is_cut_to_half_a_minute() {
    let mut driver = Driver {
        lookup: Lookup::new(NameServers::Only(Vec::new())),
        watched: BTreeMap::new(),
        running: JoinSet::new(),
        on_change: |_: &str, _: &[IpAddr]| {},
        next_serial: 0,
    };
    driver.replace(&hosts(&["a.example"]));
    let host: Arc<str> = "a.example".into();
    for (ttl, expected) in [(0, 1), (7, 7), (86_400, 30)] {
        driver.finish(&host, 0, Answer::Addresses { addresses: vec![v4(1)], ttl: Duration::from_secs(ttl) });
        let wait = driver.next_due().unwrap() - Instant::now();
        assert_eq!(wait.as_secs_f64().round() as u64, expected);
    }
    for expected in [1, 2, 4, 8, 16, 30, 30] {
        driver.finish(&host, 0, Answer::Failed("x".into()));
        let wait = driver.next_due().unwrap() - Instant::now();
        assert_eq!(wait.as_secs_f64().round() as u64, expected);
    }
    assert_eq!(driver.watched[&host].addresses, Some(vec![v4(1)]), "failures keep what is known");
}

#[tokio::test]
async fn failures_keep_the_last_good_addresses_and_absence_empties() {
    let server = Server::start().await;
    server.set_v4("f.example.", &[1], 1);
    let (resolver, mut changes) = resolver(NameServers::Only(vec![server.address]));
    resolver.watch(hosts(&["f.example"]));
    assert_eq!(change(&mut changes).await.1, [v4(1)]);
    server.set("f.example.", A, Reply::Code(2));
    server.set("f.example.", AAAA, Reply::Addresses(vec![v6(1)], 1));
    nothing(&mut changes, Duration::from_millis(2600)).await;
    assert!(server.queries("f.example.") >= 3, "it goes on trying");
    server.set_v4("f.example.", &[2], 1);
    assert_eq!(change(&mut changes).await.1, [v4(2)]);
    server.set("f.example.", A, Reply::Code(3));
    server.set("f.example.", AAAA, Reply::Code(3));
    assert_eq!(change(&mut changes).await.1, Vec::<IpAddr>::new(), "NXDOMAIN");
    server.set_v4("f.example.", &[3], 1);
    assert_eq!(change(&mut changes).await.1, [v4(3)]);
    server.set_v4("f.example.", &[], 1);
    assert_eq!(change(&mut changes).await.1, Vec::<IpAddr>::new(), "no records");
}

#[tokio::test]
async fn a_server_that_is_silent_is_a_failure() {
    let server = Server::start().await;
    server.set("s.example.", A, Reply::Silence);
    server.set("s.example.", AAAA, Reply::Addresses(vec![v6(1)], 1));
    let mut prepared = Lookup::new(NameServers::Only(vec![server.address]));
    let answer = timeout(Duration::from_secs(40), prepared.prepare().run("s.example")).await.unwrap();
    assert!(matches!(answer, Answer::Failed(_)), "{answer:?}");
}

#[tokio::test]
async fn takes_ipv6_when_there_is_no_ipv4() {
    let server = Server::start().await;
    server.set("six.example.", A, Reply::Addresses(Vec::new(), 1));
    server.set("six.example.", AAAA, Reply::Addresses(vec![v6(2), v6(1)], 1));
    server.set("both.example.", A, Reply::Addresses(vec![v4(9)], 1));
    server.set("both.example.", AAAA, Reply::Addresses(vec![v6(9)], 1));
    let (resolver, mut changes) = resolver(NameServers::Only(vec![server.address]));
    resolver.watch(hosts(&["six.example", "both.example"]));
    let mut seen = [change(&mut changes).await, change(&mut changes).await];
    seen.sort();
    assert_eq!(seen, [("both.example".into(), vec![v4(9)]), ("six.example".into(), vec![v6(1), v6(2)])]);
}

#[tokio::test]
async fn some_hosts_need_no_server() {
    let (resolver, mut changes) = resolver(NameServers::Only(Vec::new()));
    resolver.watch(hosts(&["192.0.2.7", "::1", "[2001:db8::1]", "localhost", "app.localhost"]));
    let mut seen = BTreeMap::new();
    for _ in 0..5 {
        let (host, addresses) = change(&mut changes).await;
        seen.insert(host, addresses);
    }
    let loopback: IpAddr = Ipv4Addr::LOCALHOST.into();
    assert_eq!(seen["192.0.2.7"], [v4(7)]);
    assert_eq!(seen["::1"], [IpAddr::from(Ipv6Addr::LOCALHOST)]);
    assert_eq!(seen["[2001:db8::1]"], [v6(1)]);
    assert!(seen["localhost"].contains(&loopback), "{seen:?}");
    assert_eq!(seen["app.localhost"], [loopback]);
}

#[tokio::test]
async fn removed_hosts_are_asked_for_no_more() {
    let server = Server::start().await;
    server.set_v4("a.example.", &[1], 1);
    server.set_v4("b.example.", &[2], 1);
    let (resolver, mut changes) = resolver(NameServers::Only(vec![server.address]));
    resolver.watch(hosts(&["a.example", "b.example"]));
    change(&mut changes).await;
    change(&mut changes).await;
    resolver.watch(hosts(&["b.example"]));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (asked_a, asked_b) = (server.queries("a.example."), server.queries("b.example."));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(server.queries("a.example."), asked_a);
    assert!(server.queries("b.example.") > asked_b);
    resolver.watch(hosts(&["a.example", "b.example"]));
    assert_eq!(change(&mut changes).await, ("a.example".into(), vec![v4(1)]), "known again");
    drop(resolver);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = server.queries("b.example.");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(server.queries("b.example."), asked, "nothing goes on without the resolver");
}

#[tokio::test]
async fn many_hosts_resolve_side_by_side() {
    let server = Server::start().await;
    let names: Vec<String> = (0..100).map(|i| format!("h{i}.example")).collect();
    for name in &names {
        server.set_v4(&format!("{name}."), &[1], 60);
    }
    // One that never answers does not hold the others up.
    server.set("silent.example.", A, Reply::Silence);
    let (resolver, mut changes) = resolver(NameServers::Only(vec![server.address]));
    let all = names.iter().map(String::as_str).chain(["silent.example"]).collect::<Vec<_>>();
    resolver.watch(hosts(&all));
    let mut seen = BTreeSet::new();
    while seen.len() < 100 {
        seen.insert(change(&mut changes).await.0);
    }
    assert!(!seen.contains("silent.example"));
}

#[tokio::test]
async fn search_domains_come_after_the_name_itself() {
    let server = Server::start().await;
    server.set_v4("db.shop.", &[1], 1);
    server.set_v4("cache.shop.svc.cluster.test.", &[2], 1);
    server.set("down.shop.", A, Reply::Code(2));
    server.set_v4("down.shop.svc.cluster.test.", &[3], 1);
    let mut prepared = Prepared::build(&NameServers::Only(vec![server.address]));
    prepared.search = vec!["nowhere.test.".parse().unwrap(), "svc.cluster.test.".parse().unwrap()];
    let found = async |host: &str| match prepared.run(host).await {
        Answer::Addresses { addresses, .. } => Ok(addresses),
        Answer::Failed(reason) => Err(reason),
    };
    assert_eq!(found("db.shop").await, Ok(vec![v4(1)]));
    assert_eq!(found("cache.shop").await, Ok(vec![v4(2)]));
    assert_eq!(found("cache.shop.").await, Ok(vec![]), "a final dot means no search");
    assert!(found("down.shop").await.is_err(), "a name that can't be asked for is not absent");
    assert!(found("not a name").await.is_err() || found("not a name").await == Ok(vec![]));
    assert!(found(&"x".repeat(80)).await.is_err(), "labels have at most 63 octets");
}

#[tokio::test]
async fn answers_for_an_earlier_watch_of_the_same_host_do_not_count() {
    let mut driver = Driver {
        lookup: Lookup::new(NameServers::Only(Vec::new())),
        watched: BTreeMap::new(),
        running: JoinSet::new(),
        on_change: |_: &str, _: &[IpAddr]| {},
        next_serial: 0,
    };
    driver.replace(&hosts(&["a.example"]));
    driver.replace(&hosts(&[]));
    driver.replace(&hosts(&["a.example"]));
    let host: Arc<str> = "a.example".into();
    driver.finish(&host, 0, Answer::Addresses { addresses: vec![v4(1)], ttl: MIN_REFRESH });
    assert_eq!(driver.watched[&host].addresses, None);
}
