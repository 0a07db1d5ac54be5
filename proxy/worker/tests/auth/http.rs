//! Services that speak HTTP.

use crate::house::{Guarded, answer, house, http};
use fairlead_ir as ir;
use fairlead_testkit::{Act, Ask, Backend, Client, Content, Version, Wire};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

fn with(auth: &[SocketAddr], filter: ir::ExternalAuth) -> Guarded {
    house(auth, |routes, _| routes[0].filters = vec![ir::Filter::ExternalAuth(filter)])
}

#[test]
fn a_service_is_asked_before_the_backend_and_its_fields_go_there() {
    let service = Backend::start(|_| answer(200, "x-user: ann\nx-other: no", "hello"));
    let house = with(&[service.address], http("/check", &["cookie"], &["x-user", "x-groups"]));
    let mut wire = house.wire();
    for n in 1..=3 {
        wire.send("POST /a?b=c HTTP/1.1\r\nHost: shop.example.com\r\nAuthorization: Bearer t\r\nCookie: a=b\r\nX-User: forged\r\nX-Groups: admin\r\nX-Mine: 1\r\nContent-Length: 4\r\n\r\nbody");
        let text = wire.response(false).unwrap().text();
        assert!(text.starts_with("POST /a?b=c HTTP/1.1\r\n") && text.ends_with("\nbody"), "{text}");
        assert!(text.contains("x-user: ann\r\n") && text.contains("x-mine: 1\r\n"), "{text}");
        assert!(!text.contains("forged") && !text.contains("admin") && !text.contains("x-other"), "{text}");
        let asked = service.seen().requests;
        assert_eq!(asked.len(), n);
        let asked = &asked[n - 1];
        assert_eq!((asked.method(), asked.path()), ("POST", "/check/a?b=c"));
        assert_eq!(asked.headers("host"), ["shop.example.com"]);
        assert_eq!(asked.headers("content-length"), ["0"], "{}", asked.head);
        assert_eq!((asked.headers("authorization"), asked.headers("cookie")), (vec!["Bearer t"], vec!["a=b"]));
        assert!(asked.headers("x-user").is_empty() && asked.headers("x-forwarded-for").is_empty(), "{}", asked.head);
    }
    assert_eq!(service.seen().connections, 1, "the service's connection is used again");
    assert_eq!(house.metric("fairlead_cluster_auth_total{cluster=\"auth\",result=\"allowed\"}"), 3.0);
    assert_eq!(house.metric("fairlead_cluster_requests_total{cluster=\"auth\",class=\"2xx\"}"), 3.0);
}

#[test]
fn a_refusal_is_the_clients_answer() {
    let service = Backend::start(|request| match request.path() {
        "/login" => answer(302, "location: https://login.example.com/\nset-cookie: a=1\nset-cookie: b=2", ""),
        "/empty" => Act::Answer(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
        _ => answer(
            401,
            "www-authenticate: Basic\ncontent-type: text/plain\nconnection: x-hop\nx-hop: 1",
            "who are you?",
        ),
    });
    let house = with(&[service.address], http("", &[], &[]));
    let mut wire = house.wire();
    let refused = wire.get("a", "/");
    assert_eq!((refused.status, refused.text().as_str()), (401, "who are you?"));
    assert_eq!(
        (refused.header("www-authenticate"), refused.header("content-type")),
        (Some("Basic"), Some("text/plain"))
    );
    assert_eq!((refused.header("x-hop"), refused.header("server")), (None, Some("fairlead")));
    let login = wire.get("a", "/login");
    assert_eq!((login.status, login.header("location")), (302, Some("https://login.example.com/")));
    assert_eq!(login.headers_named("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(wire.get("a", "/empty").status, 204, "all but 200 is a refusal");
    // A head is answered without a body, and the connection stays in step.
    wire.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(wire.response(true).unwrap().status, 401);
    assert_eq!(wire.get("a", "/").text(), "who are you?");
    assert_eq!(house.through(), 0);
    assert_eq!(house.metric("fairlead_cluster_auth_total{cluster=\"auth\",result=\"denied\"}"), 5.0);
}

#[test]
fn refusals_of_grpc_calls_are_grpc_statuses() {
    let service = Backend::start(|_| answer(401, "content-type: text/html", "log in\u{20ac}%"));
    let house = with(&[service.address], http("", &[], &[]));
    let mut wire = house.wire();
    wire.send(
        "POST /s/m HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nTE: trailers\r\nContent-Length: 0\r\n\r\n",
    );
    let answer = wire.response(false).unwrap();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/grpc")));
    assert_eq!((answer.header("grpc-status"), answer.header("grpc-message")), (Some("16"), Some("log in%E2%82%AC%25")));
    assert!(answer.body.is_empty());
}

#[test]
fn nothing_gets_past_a_service_that_fails() {
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failing = Backend::start(|request| match request.path() {
        "/error" => answer(503, "", "down"),
        "/closed" => Act::Close(Vec::new()),
        "/reset" => Act::Reset(b"HTTP/1.1 200 OK\r\n".to_vec()),
        "/cut" => Act::Close(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab".to_vec()),
        "/garbage" => Act::Close(b"220 smtp ready\r\n\r\n".to_vec()),
        "/both" => answer(200, "transfer-encoding: chunked", ""),
        "/upgrade" => Act::Answer(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n".to_vec(),
        ),
        "/large" => answer(200, "", &"x".repeat(300 * 1024)),
        "/interim" => {
            Act::Answer(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec())
        }
        "/slow" => Act::Hold(Vec::new()),
        _ => answer(200, "", ""),
    });
    let quick = || ir::ExternalAuth { timeout: ir::Millis(1500), ..http("", &[], &[]) };
    for addresses in [&[dead][..], &[]] {
        let house = with(addresses, quick());
        assert_eq!(house.wire().get("a", "/").status, 403);
        assert_eq!(house.through(), 0);
        assert_eq!(house.metric("fairlead_cluster_auth_total{cluster=\"auth\",result=\"error\"}"), 1.0);
    }
    let house = with(&[failing.address], quick());
    for path in ["/error", "/closed", "/reset", "/cut", "/garbage", "/both", "/upgrade", "/large", "/slow"] {
        let answer = house.wire().get("a", path);
        assert_eq!((answer.status, answer.body.len()), (403, 0), "{path}");
        assert_eq!(house.through(), 0, "{path}");
    }
    assert_eq!(house.wire().get("a", "/interim").status, 200);
    assert_eq!(house.wire().get("a", "/").status, 200, "it was the service's fault each time");
    assert_eq!(house.metric("fairlead_cluster_timeouts_total{cluster=\"auth\"}"), 1.0);
    // A cluster that is not there (yet).
    let house = with(&[], ir::ExternalAuth { cluster: "nowhere".into(), ..quick() });
    assert_eq!(house.wire().get("a", "/").status, 403);
}

#[test]
fn a_connection_that_the_service_closed_meanwhile_is_no_failure() {
    let service = Backend::start(|_| Act::Close(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()));
    let house = with(&[service.address], http("", &[], &[]));
    let mut wire = house.wire();
    for n in 0..20 {
        assert_eq!(wire.get("a", "/").status, 200, "{n}");
    }
}

#[test]
fn bodies_go_to_the_service_and_the_backend() {
    let service = Backend::start(|request| match request.body.len() {
        0 => answer(403, "", ""),
        length => answer(200, &format!("x-length: {length}"), ""),
    });
    let filter = ir::ExternalAuth { max_body: 100_000, ..http("", &["content-type"], &[]) };
    let house = with(&[service.address], filter);
    let mut wire = house.wire();
    for size in [1, 5000, 100_000] {
        let body = "x".repeat(size);
        wire.send(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/x\r\nContent-Length: {size}\r\n\r\n{body}"
        ));
        let text = wire.response(false).unwrap().text();
        assert!(text.contains(&format!("x-length: {size}\r\n")) && text.ends_with(&body), "{size}");
        let asked = service.take().requests.pop().unwrap();
        assert_eq!(asked.headers("content-length"), [size.to_string()]);
        assert_eq!((asked.body.len(), asked.headers("content-type")), (size, vec!["text/x"]));
    }
    wire.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(wire.response(false).unwrap().status, 100);
    wire.send("3\r\nabc\r\n2\r\nde\r\n0\r\nx-trailer: 1\r\n\r\n");
    let text = wire.response(false).unwrap().text();
    assert!(text.contains("x-length: 5\r\n") && text.contains("transfer-encoding: chunked"), "{text}");
    assert_eq!(house.backend.take().requests.pop().unwrap().body, b"abcde");
    assert_eq!(service.take().requests.pop().unwrap().body, b"abcde");
    // One byte too many, said at once or found out.
    for framed in [
        "Content-Length: 100001\r\n\r\n".to_owned(),
        format!("Transfer-Encoding: chunked\r\n\r\n186a1\r\n{}\r\n0\r\n\r\n", "x".repeat(100_001)),
    ] {
        let mut wire = house.wire();
        wire.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framed}"));
        let answer = wire.response(false).unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (413, "Payload Too Large"));
    }
    assert!(service.seen().requests.is_empty());
}

#[test]
fn collected_bodies_are_sent_again_and_copied() {
    let service = Backend::start(|_| answer(200, "", ""));
    let filter = ir::ExternalAuth { max_body: 200_000, ..http("", &[], &[]) };
    let house = house(&[service.address], |routes, _| {
        let copy = ir::Mirror { cluster: "backend".into(), fraction: ir::Fraction { numerator: 1, denominator: 1 } };
        routes[0].filters = vec![ir::Filter::ExternalAuth(filter), ir::Filter::Mirror(copy)];
    });
    let body = "y".repeat(150_000);
    let mut wire = house.wire();
    wire.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 150000\r\n\r\n{body}"));
    assert!(wire.response(false).unwrap().text().ends_with(&body));
    fairlead_testkit::wait_until(Duration::from_secs(5), "the copy", || (house.through() == 2).then_some(()));
    assert!(house.backend.seen().requests.iter().all(|request| request.body == body.as_bytes()));
}

#[test]
fn a_client_that_leaves_takes_its_question_along() {
    let service = Backend::start(|request| match request.path() {
        "/hold" => Act::Hold(Vec::new()),
        _ => answer(200, "", ""),
    });
    let house = with(&[service.address], ir::ExternalAuth { timeout: ir::Millis(60_000), ..http("", &[], &[]) });
    let mut wire = house.wire();
    wire.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    fairlead_testkit::wait_until(Duration::from_secs(5), "the question", || {
        (service.seen().requests.len() == 1).then_some(())
    });
    drop(wire);
    let active = "fairlead_listener_requests_active{listener=\"l\",gateway=\"default/gw\"}";
    fairlead_testkit::wait_until(Duration::from_secs(5), "the end", || (house.metric(active) == 0.0).then_some(()));
    assert_eq!(house.through(), 0);
    assert_eq!(Wire::connect(house.address).get("a", "/").status, 200);
}

#[test]
fn the_rules_timeout_holds_for_the_service_too() {
    let service = Backend::start(|_| Act::Hold(Vec::new()));
    let house = house(&[service.address], |routes, _| {
        routes[0].filters = vec![ir::Filter::ExternalAuth(http("", &[], &[]))];
        routes[0].timeouts.request = Some(ir::Millis(200));
    });
    let answer = house.wire().get("a", "/");
    assert_eq!((answer.status, answer.text().as_str()), (504, "upstream request timeout"));
}

#[test]
fn filters_run_in_order_and_backends_have_their_own() {
    let service = Backend::start(|request| match request.headers("x-step")[..] {
        ["one"] => answer(200, "x-step: two", ""),
        ["two"] => answer(200, "x-step: three", ""),
        _ => answer(403, "", ""),
    });
    let set = |value: &str| {
        let set = vec![ir::HeaderValue { name: "x-step".into(), value: value.into() }];
        ir::Filter::RequestHeaders(ir::HeaderMods { set, ..ir::HeaderMods::default() })
    };
    let ask = || ir::Filter::ExternalAuth(http("", &["x-step"], &["x-step"]));
    let add = vec![ir::HeaderValue { name: "x-rule".into(), value: "1".into() }];
    let add = ir::Filter::ResponseHeaders(ir::HeaderMods { add, ..ir::HeaderMods::default() });
    let house = house(&[service.address], |routes, _| {
        routes[0].filters = vec![set("one"), ask(), add];
        routes[0].backends[0].filters = vec![ask()];
        let mut early = crate::house::route("early");
        early.matches =
            vec![ir::RouteMatch { path: Some(ir::PathMatch::Prefix("/early".into())), ..ir::RouteMatch::default() }];
        early.filters = vec![ask(), set("one")];
        routes.push(early);
    });
    let answer = house.wire().get("a", "/");
    assert!(answer.text().contains("x-step: three\r\n"), "{}", answer.text());
    assert_eq!(answer.headers_named("x-rule"), ["1"]);
    assert_eq!(service.take().requests.len(), 2);
    assert_eq!(house.wire().get("a", "/early").status, 403, "it was asked before the header was set");
}

#[test]
fn over_http2_too() {
    let service = Backend::start(|request| match request.body.len() {
        0 => answer(401, "x-why: no body", "who?"),
        length => answer(200, &format!("x-length: {length}"), ""),
    });
    let house = with(&[service.address], ir::ExternalAuth { max_body: 200_000, ..http("", &[], &[]) });
    let mut client = Client::connect(Version::H2, house.address);
    // More than the window of a stream: what is held is taken from it.
    let body = vec![b'z'; 200_000];
    for content in [Content::Sized(body.clone().into()), Content::Streamed(body.clone().into(), 16_000)] {
        let answer = client.ask(&Ask::new("POST", "/").content(content)).whole();
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains("x-length: 200000\r\n") && answer.body.ends_with(&body));
    }
    let refused = client.ask(&Ask::get("/")).whole();
    assert_eq!((refused.status, refused.header("x-why"), refused.text().as_str()), (401, Some("no body"), "who?"));
    let long = client.ask(&Ask::new("POST", "/").content(Content::Sized(vec![b'z'; 200_001].into())));
    assert_eq!(long.answer.status, 413);
    assert_eq!(client.ask(&Ask::get("/")).whole().status, 401, "the connection lives on");
    assert_eq!(house.through(), 2);
}

#[test]
fn upgrades_are_asked_for_as_requests() {
    let service = Backend::start(|request| match request.headers("upgrade").len() {
        0 => answer(if request.path() == "/no" { 403 } else { 200 }, "", ""),
        _ => answer(500, "", ""),
    });
    let house = house_with_upgrade(&[service.address]);
    for (path, status) in [("/no", 403), ("/yes", 101)] {
        let mut wire = house.wire();
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"));
        assert_eq!(wire.response(false).unwrap().status, status, "{path}");
    }
}

/// A backend that switches protocols.
fn house_with_upgrade(auth: &[SocketAddr]) -> Guarded {
    let mut filters = http("", &["upgrade", "connection"], &[]);
    filters.timeout = ir::Millis(1000);
    crate::house::house_of(
        auth,
        Backend::start(|_| {
            Act::Hold(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".to_vec())
        }),
        |routes, _| routes[0].filters = vec![ir::Filter::ExternalAuth(filters)],
    )
}
