//! Services that speak `envoy.service.auth.v3.Authorization`.

use crate::house::{Guarded, grpc, house};
use fairlead_ir as ir;
use fairlead_testkit::calls::{CallAct, Calls, field, number};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn with(service: &Calls, filter: ir::ExternalAuth) -> Guarded {
    house(&[service.address], |routes, _| routes[0].filters = vec![ir::Filter::ExternalAuth(filter)])
}

/// A `HeaderValueOption`.
fn option(name: &str, value: &str) -> Vec<u8> {
    field(1, [field(1, name), field(2, value)].concat())
}

/// A `CheckResponse` with a `google.rpc.Status` and one of the responses.
fn response(code: u64, which: u32, message: &[u8]) -> CallAct {
    CallAct::Answer([field(1, number(1, code)), field(which, message)].concat())
}

fn contains(message: &[u8], part: &str) -> bool {
    message.windows(part.len()).any(|window| window == part.as_bytes())
}

#[test]
fn consent_changes_request_and_response() {
    let service = Calls::start(|_| {
        let ok = [
            field(2, option("x-user", "ann")),
            field(5, "authorization"),
            field(6, option("x-quota", "9")),
            field(7, [field(1, "who"), field(2, "a b")].concat()),
            field(8, "token"),
        ];
        response(0, 3, &ok.concat())
    });
    let house = with(&service, ir::ExternalAuth { max_body: 100, ..grpc() });
    let mut wire = house.wire();
    for _ in 0..2 {
        wire.send("POST /p?token=t&x=1 HTTP/1.1\r\nHost: shop.example.com\r\nAuthorization: Basic c\r\nX-User: forged\r\nContent-Length: 4\r\n\r\nbody");
        let answer = wire.response(false).unwrap();
        let text = answer.text();
        assert!(text.starts_with("POST /p?x=1&who=a%20b HTTP/1.1\r\n") && text.ends_with("\nbody"), "{text}");
        assert!(
            text.contains("x-user: ann\r\n") && !text.contains("forged") && !text.contains("authorization"),
            "{text}"
        );
        assert_eq!(answer.header("x-quota"), Some("9"));
    }
    let asked = service.seen();
    assert_eq!(asked.len(), 2);
    for part in ["POST", "/p?token=t&x=1", "shop.example.com", "Basic c", "127.0.0.1", "body", "HTTP/1.1"] {
        assert!(contains(&asked[0], part), "{part}");
    }
}

#[test]
fn refusals_and_failures() {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let service = Calls::start(move |message| {
        counter.fetch_add(1, Ordering::SeqCst);
        let is = |path: &str| contains(message, path);
        if is("/denied") {
            let denied = [field(1, number(1, 429)), field(2, option("retry-after", "7")), field(3, "later")].concat();
            response(8, 2, &denied)
        } else if is("/bare") {
            CallAct::Answer(field(1, number(1, 7)))
        } else if is("/error-response") {
            response(0, 5, &[field(1, number(1, 503)), field(3, "store is down")].concat())
        } else if is("/status") {
            CallAct::Fail(14)
        } else if is("/bad") {
            response(0, 3, &field(2, option("x-a", "1\r\nx-b: 2")))
        } else if is("/nothing") {
            CallAct::Raw(Vec::new())
        } else if is("/long") {
            CallAct::Raw([&[0, 0, 8, 0, 0][..], &[0; 512 * 1024]].concat())
        } else if is("/reset") {
            CallAct::Reset
        } else if is("/hold") {
            CallAct::Hold
        } else {
            CallAct::Answer(Vec::new())
        }
    });
    let house = with(&service, ir::ExternalAuth { timeout: ir::Millis(300), ..grpc() });
    let denied = house.wire().get("a", "/denied");
    assert_eq!((denied.status, denied.header("retry-after"), denied.text().as_str()), (429, Some("7"), "later"));
    let error = house.wire().get("a", "/error-response");
    assert_eq!((error.status, error.text().as_str()), (503, "store is down"));
    for (path, status) in [
        ("/bare", 403),
        ("/status", 403),
        ("/bad", 500),
        ("/nothing", 403),
        ("/long", 403),
        ("/reset", 403),
        ("/hold", 403),
    ] {
        let answer = house.wire().get("a", path);
        assert_eq!((answer.status, answer.body.len()), (status, 0), "{path}");
    }
    assert_eq!(house.through(), 0);
    let result =
        |result: &str| house.metric(&format!("fairlead_cluster_auth_total{{cluster=\"auth\",result=\"{result}\"}}"));
    assert_eq!((result("denied"), result("error"), result("allowed")), (2.0, 7.0, 0.0));
    // An empty response is consent, as Envoy has it.
    assert_eq!(house.wire().get("a", "/fine").status, 200);
    assert_eq!(count.load(Ordering::SeqCst), 10);
}
