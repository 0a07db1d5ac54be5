use crate::house::*;
use fairlead_ir as ir;
use fairlead_testkit::Answer;
use std::collections::HashMap;
use std::net::SocketAddr;

fn cookie(name: &str) -> ir::Session {
    let carrier = ir::SessionCarrier::Cookie { name: name.into(), path: "/".into(), permanent: false };
    ir::Session { seed: "HTTPRoute/5d2c6f0e".into(), carrier, absolute_timeout: None }
}

fn header(name: &str) -> ir::Session {
    ir::Session { carrier: ir::SessionCarrier::Header { name: name.into() }, ..cookie("") }
}

fn proxy(workers: usize, session: ir::Session, backends: &[SocketAddr]) -> Proxy {
    let mut all = cluster("c", backends, None);
    all.extend([route(vec![backend("c", 1, Some(session))], None), listener()]);
    Proxy::start(workers, all)
}

fn servers(count: usize) -> Vec<SocketAddr> {
    (0..count).map(|_| server(200, "").0).collect()
}

/// `name=value` of the cookie that an answer sets.
fn set(answer: &Answer, name: &str) -> Option<String> {
    let prefix = format!("{name}=");
    let line = answer.headers_named("set-cookie").into_iter().find(|line| line.starts_with(&prefix))?;
    Some(line.split(';').next().unwrap().to_owned())
}

#[test]
fn clients_stay_where_they_were_on_every_worker_and_proxy() {
    let backends = servers(4);
    let first = proxy(3, cookie("stay"), &backends);
    let second = proxy(1, cookie("stay"), &[backends[2], backends[1], backends[3], backends[0]]);
    let mut seen = HashMap::new();
    for _ in 0..8 {
        let answer = first.ask("");
        assert_eq!(answer.status, 200);
        let cookie = set(&answer, "stay").expect("a cookie");
        for _ in 0..20 {
            for proxy in [&first, &second] {
                let again = proxy.ask(&format!("cookie: theme=dark; {cookie}; x=y\r\n"));
                assert_eq!(again.text(), answer.text());
                assert!(again.header("set-cookie").is_none(), "it has one");
                assert_eq!(again.header("seen"), Some(&*format!("cookie: theme=dark; {cookie}; x=y")));
            }
        }
        seen.insert(answer.text(), cookie);
    }
    assert!(seen.len() > 1, "new clients are spread: {seen:?}");
}

#[test]
fn cookies_say_what_the_gep_wants_and_nothing_of_the_endpoint() {
    let backends = servers(1);
    let answer = proxy(1, cookie("stay"), &backends).ask("");
    let line = answer.header("set-cookie").unwrap();
    let (pair, attributes) = line.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Strict", "no Max-Age, no Expires, and no Secure without TLS");
    assert_eq!(pair.len(), "stay=".len() + 16);
    let permanent = ir::Session {
        carrier: ir::SessionCarrier::Cookie { name: "stay".into(), path: "/app".into(), permanent: true },
        absolute_timeout: Some(ir::Millis(300_000)),
        ..cookie("")
    };
    let proxy = proxy(1, permanent, &backends);
    let answer = proxy.ask("");
    let line = answer.header("set-cookie").unwrap();
    assert!(line.ends_with("; Path=/app; Max-Age=300; HttpOnly; SameSite=Strict"), "{line}");
    assert!(!line.contains("127"), "{line}");
    assert!(proxy.ask(&format!("cookie: {}\r\n", set(&answer, "stay").unwrap())).header("set-cookie").is_none());
}

#[test]
fn sessions_end_after_their_time() {
    let session = ir::Session { absolute_timeout: Some(ir::Millis(1000)), ..cookie("stay") };
    let proxy = proxy(1, session, &servers(3));
    let cookie = set(&proxy.ask(""), "stay").unwrap();
    let mut renewed = None;
    for _ in 0..40 {
        std::thread::sleep(std::time::Duration::from_millis(100));
        renewed = set(&proxy.ask(&format!("cookie: {cookie}\r\n")), "stay");
        if renewed.is_some() {
            break;
        }
    }
    assert_ne!(renewed.expect("a new session"), cookie);
}

#[test]
fn values_that_are_not_ours_are_ignored() {
    let backends = servers(2);
    let proxy = proxy(1, cookie("stay"), &backends);
    let foreign = Proxy::start(1, {
        let mut all = cluster("c", &backends, None);
        let session = ir::Session { seed: "HTTPRoute/another".into(), ..cookie("stay") };
        all.extend([route(vec![backend("c", 1, Some(session))], None), listener()]);
        all
    });
    let theirs = set(&foreign.ask(""), "stay").unwrap();
    let long = format!("stay={}", "A".repeat(6000));
    for value in ["stay=", "stay=AAAAAAAAAAAAAAAA", "stay=127.0.0.1:80", "stay=\"%00\"", "stay=....", &theirs, &long] {
        let answer = proxy.ask(&format!("cookie: {value}\r\n"));
        assert_eq!(answer.status, 200, "{value}");
        let cookie = set(&answer, "stay").unwrap_or_else(|| panic!("{value} is honoured"));
        assert!(cookie.len() < 200, "{cookie}");
        let again = proxy.ask(&format!("cookie: {cookie}\r\n"));
        assert_eq!(again.text(), answer.text(), "what is carried along does no harm");
        assert!(again.header("set-cookie").is_none());
    }
}

#[test]
fn an_endpoint_that_is_gone_is_replaced_by_another() {
    let backends = servers(2);
    let proxy = proxy(2, cookie("stay"), &backends);
    let answer = proxy.ask("");
    let cookie = set(&answer, "stay").unwrap();
    let left: Vec<_> = backends.iter().copied().filter(|a| a.to_string() != answer.text()).collect();
    proxy.push(vec![endpoints("c", &left)]);
    let moved = proxy.ask(&format!("cookie: {cookie}\r\n"));
    assert_eq!((moved.status, moved.text()), (200, left[0].to_string()));
    let second = set(&moved, "stay").expect("a new session");
    proxy.push(vec![endpoints("c", &backends)]);
    for _ in 0..10 {
        assert_eq!(proxy.ask(&format!("cookie: {second}\r\n")).text(), moved.text(), "the newest session counts");
    }
}

#[test]
fn an_endpoint_that_does_not_answer_is_replaced_by_another() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let alive = server(200, "").0;
    let retry = ir::Retry { attempts: 1, ..ir::Retry::default() };
    let mut all = cluster("c", &[dead], None);
    all.extend([route(vec![backend("c", 1, Some(header("x-session")))], Some(retry)), listener()]);
    let proxy = Proxy::start(1, all);
    // A token for the endpoint while it lived: the same seed gives the same token.
    proxy.push(vec![endpoints("c", &[dead, alive])]);
    let token = |answer: &Answer| answer.header("x-session").map(str::to_owned);
    let mut answers = (0..4).map(|_| proxy.ask(""));
    let first = answers.find_map(|answer| token(&answer)).unwrap();
    for _ in 0..6 {
        let answer = proxy.ask(&format!("x-session: {first}\r\n"));
        assert_eq!((answer.status, answer.text()), (200, alive.to_string()));
        assert_eq!(token(&answer), None);
    }
}

#[test]
fn headers_carry_tokens_as_well() {
    let proxy = proxy(2, header("x-session"), &servers(4));
    let answer = proxy.ask("");
    let token = answer.header("x-session").expect("a token").to_owned();
    assert!(answer.header("set-cookie").is_none());
    for _ in 0..50 {
        let again = proxy.ask(&format!("X-Session: {token}\r\n"));
        assert_eq!((again.text(), again.header("x-session")), (answer.text(), None));
    }
}

/// GEP-1619: "Session persistence MUST NOT override which backend is selected during traffic splitting."
#[test]
fn weights_decide_first_and_each_backend_has_a_session_of_its_own() {
    let (a, b) = (servers(3), servers(3));
    let mut all = cluster("a", &a, None);
    all.extend(cluster("b", &b, None));
    let backends = vec![backend("a", 70, Some(cookie("stay"))), backend("b", 30, Some(cookie("stay")))];
    all.extend([route(backends, None), listener()]);
    let proxy = Proxy::start(1, all);
    let is_a = |answer: &Answer| a.iter().any(|address| address.to_string() == answer.text());
    let mut jar = set(&proxy.ask(""), "stay").unwrap();
    let mut where_to: HashMap<bool, String> = HashMap::new();
    let mut in_a = 0;
    for n in 0..400 {
        let answer = proxy.ask(&format!("cookie: {jar}\r\n"));
        if let Some(next) = set(&answer, "stay") {
            assert!(where_to.len() < 2, "request {n} got another session");
            jar = next;
        }
        let place = where_to.entry(is_a(&answer)).or_insert_with(|| answer.text());
        assert_eq!(*place, answer.text(), "a session per backend");
        in_a += usize::from(is_a(&answer));
    }
    assert!((220..=340).contains(&in_a), "{in_a} of 400 went to the backend of 70 %");
}

#[test]
fn a_backend_that_sets_the_cookie_itself_is_not_overruled() {
    let own = server(200, "set-cookie: stay=mine; Path=/\r\nset-cookie: other=1\r\n").0;
    let answer = proxy(1, cookie("stay"), &[own]).ask("");
    assert_eq!(answer.headers_named("set-cookie"), ["stay=mine; Path=/", "other=1"]);
    let other = server(200, "set-cookie: stayed=1\r\n").0;
    assert_eq!(proxy(1, cookie("stay"), &[other]).ask("").headers_named("set-cookie").len(), 2);
}
