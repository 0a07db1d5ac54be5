use super::proto::{
    CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValue, HeaderValueOption, HttpStatus, OkHttpResponse,
    QueryParameter, Status,
};
use super::{Decision, ExternalAuth, Facts};
use crate::tests::{Fix, fields, request};
use crate::{Chain, RequestCtx, ResponseCtx, Verdict};
use fairlead_http::{Fields, RequestHead, ResponseHead};
use fairlead_ir::{self as ir, AuthProtocol, Filter, HeaderMods, HeaderValue as IrHeader, Millis};
use proptest::prelude::*;
use prost::Message;
use std::time::{Duration, UNIX_EPOCH};

fn names(names: &[&str]) -> Vec<Box<str>> {
    names.iter().map(|name| (*name).into()).collect()
}

fn service(protocol: AuthProtocol) -> ir::ExternalAuth {
    ir::ExternalAuth {
        cluster: "service/a/auth/80".into(),
        authority: "auth.a".into(),
        protocol,
        max_body: 0,
        timeout: Millis(1500),
    }
}

fn http(prefix: &str, sent: &[&str], taken: &[&str]) -> ExternalAuth {
    let (request_headers, response_headers) = (names(sent), names(taken));
    let protocol = AuthProtocol::Http { prefix: prefix.into(), request_headers, response_headers };
    ExternalAuth::compile(&service(protocol)).unwrap()
}

fn grpc(sent: &[&str]) -> ExternalAuth {
    ExternalAuth::compile(&service(AuthProtocol::Grpc { request_headers: names(sent) })).unwrap()
}

fn facts() -> Facts<'static> {
    Facts {
        client: "192.0.2.7:4711".parse().unwrap(),
        local: "[::ffff:10.0.0.1]:8443".parse().unwrap(),
        principal: "spiffe://example.com/a",
        server_name: "shop.example.com",
        time: UNIX_EPOCH + Duration::from_millis(1_500),
        size: Some(3),
    }
}

fn asked(auth: &ExternalAuth, request: &RequestHead, body: &[u8]) -> (RequestHead, Vec<u8>) {
    let mut head = RequestHead::new();
    let body = auth.question(request, body, &facts(), &mut head).into_owned();
    (head, body)
}

fn answer(status: u16, list: &[(&str, &str)]) -> ResponseHead {
    let mut head = ResponseHead::new(status);
    for (name, value) in list {
        head.fields.push(name.as_bytes(), value.as_bytes());
    }
    head
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The request after a decision that lets it go on.
fn after(decision: Decision, mut head: RequestHead) -> RequestHead {
    let Decision::Allow(grant) = decision else { panic!("{decision:?}") };
    assert!(grant.apply(&mut head).is_none());
    head
}

#[test]
fn an_http_service_gets_method_path_host_and_authorization_and_what_is_listed() {
    let client = request("PUT", "shop.example.com/a/b?c=d").with(&[
        ("authorization", "Bearer t"),
        ("cookie", "a=b"),
        ("x-tenant", "one"),
        ("x-tenant", "two"),
        ("content-length", "17"),
        ("content-type", "text/plain"),
    ]);
    let (head, body) = asked(&http("", &[], &[]), &client, b"");
    assert_eq!((text(head.method_bytes()), text(head.authority())), ("PUT".into(), "shop.example.com".into()));
    assert_eq!((text(head.path_and_query()), body.len()), ("/a/b?c=d".into(), 0));
    assert_eq!(fields(&head.fields), "authorization: Bearer t");
    let sent = ["x-tenant", "authorization", "content-length", "host", "transfer-encoding", "connection"];
    let (head, body) = asked(&http("/check/v1", &sent, &[]), &client, b"abc");
    assert_eq!((text(head.path_and_query()), &body[..]), ("/check/v1/a/b?c=d".into(), &b"abc"[..]));
    assert_eq!(fields(&head.fields), "authorization: Bearer t; x-tenant: one; x-tenant: two");
    let mut star = request("OPTIONS", "shop.example.com/");
    star.set_path_and_query(b"*");
    assert_eq!(text(asked(&http("/check", &[], &[]), &star, b"").0.path_and_query()), "/check/*");
}

#[test]
fn exactly_200_is_consent_over_http() {
    for (status, wanted) in [(200, "allow"), (201, "deny"), (204, "deny"), (302, "deny"), (401, "deny"), (499, "deny")]
        .into_iter()
        .chain([(500, "error"), (503, "error"), (600, "error"), (101, "error")])
    {
        let said = match http("", &[], &[]).decide(&answer(status, &[]), Vec::new(), &Fields::new()) {
            Decision::Allow(_) => "allow",
            Decision::Deny(reply) => {
                assert_eq!((reply.status, reply.details), (status, "ext_authz_denied"));
                "deny"
            }
            Decision::Error(_) => "error",
            Decision::Invalid => "invalid",
        };
        assert_eq!(said, wanted, "{status}");
    }
}

#[test]
fn a_refusal_is_passed_on_without_what_frames_it() {
    let head = answer(
        302,
        &[
            ("location", "https://login.example.com/"),
            ("set-cookie", "a=b"),
            ("set-cookie", "c=d"),
            ("content-length", "5"),
            ("content-type", "text/html"),
            ("date", "then"),
            ("server", "auth"),
            ("trailer", "x"),
        ],
    );
    let Decision::Deny(reply) = http("", &[], &["x-user"]).decide(&head, b"login".to_vec(), &Fields::new()) else {
        panic!("not denied")
    };
    assert_eq!((reply.status, &reply.body[..]), (302, &b"login"[..]));
    assert_eq!(
        fields(&reply.fields),
        "location: https://login.example.com/; set-cookie: a=b; set-cookie: c=d; content-type: text/html"
    );
}

#[test]
fn the_services_fields_take_the_place_of_the_clients() {
    let client = || {
        request("POST", "h/").with(&[
            ("x-user", "forged"),
            ("x-groups", "admin"),
            ("x-other", "1"),
            ("content-type", "application/json"),
            ("content-length", "2"),
        ])
    };
    let said = answer(
        200,
        &[
            ("x-user", "ann"),
            ("x-user", "bob"),
            ("x-more", "2"),
            ("host", "evil.example"),
            ("content-length", "0"),
            ("content-type", "text/html"),
            ("transfer-encoding", "chunked"),
            ("date", "now"),
        ],
    );
    // All.
    let head = after(http("", &[], &[]).decide(&said, Vec::new(), &Fields::new()), client());
    assert_eq!(text(head.authority()), "h");
    assert_eq!(
        fields(&head.fields),
        "x-groups: admin; x-other: 1; content-type: application/json; content-length: 2; x-user: ann; x-user: bob; x-more: 2"
    );
    // What is listed: the client's is gone even when the service has none.
    let listed = http("", &[], &["x-user", "x-groups", "content-type", "host"]);
    let head = after(listed.decide(&said, Vec::new(), &Fields::new()), client());
    assert_eq!(text(head.authority()), "h");
    assert_eq!(
        fields(&head.fields),
        "x-other: 1; content-length: 2; x-user: ann; x-user: bob; content-type: text/html"
    );
}

#[test]
fn a_grpc_service_is_told_what_envoy_tells() {
    let mut client = request("POST", "shop.example.com/a?b=c").with(&[
        ("x-request-id", "id-1"),
        ("x-tenant", "one"),
        ("x-tenant", "two"),
        ("cookie", "a=b"),
        ("cookie", "c=d"),
    ]);
    client.fields.push(b"x-bytes", b"a\xff\xfeb");
    let (head, body) = asked(&grpc(&[]), &client, "körper".as_bytes());
    assert_eq!(text(head.path_and_query()), "/envoy.service.auth.v3.Authorization/Check");
    assert_eq!(fields(&head.fields), "content-type: application/grpc; te: trailers; grpc-timeout: 1500m");
    assert_eq!((body[0], u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize), (0, body.len() - 5));
    let context = CheckRequest::decode(&body[5..]).unwrap().attributes.unwrap();
    let source = context.source.unwrap();
    assert_eq!(source.principal, "spiffe://example.com/a");
    let address = source.address.unwrap().socket_address.unwrap();
    assert_eq!((address.address.as_str(), address.port_value), ("192.0.2.7", 4711));
    let address = context.destination.unwrap().address.unwrap().socket_address.unwrap();
    assert_eq!((address.address.as_str(), address.port_value), ("10.0.0.1", 8443));
    assert_eq!(context.tls_session.unwrap().sni, "shop.example.com");
    let request = context.request.unwrap();
    let time = request.time.unwrap();
    assert_eq!((time.seconds, time.nanos), (1, 500_000_000));
    let http = request.http.unwrap();
    assert_eq!((http.id.as_str(), http.method.as_str(), http.path.as_str()), ("id-1", "POST", "/a?b=c"));
    assert_eq!((http.host.as_str(), http.scheme.as_str(), http.size), ("shop.example.com", "http", 3));
    assert_eq!((http.body.as_str(), http.raw_body.len()), ("körper", 0));
    for (name, value) in [
        (":method", "POST"),
        (":path", "/a?b=c"),
        (":authority", "shop.example.com"),
        ("x-tenant", "one,two"),
        ("cookie", "a=b; c=d"),
        ("x-bytes", "a!!b"),
    ] {
        assert_eq!(http.headers.get(name).map(String::as_str), Some(value), "{name}");
    }
    // Only what is listed.
    let (_, body) = asked(&grpc(&["x-tenant"]), &client, b"\xff\x00");
    let http = CheckRequest::decode(&body[5..]).unwrap().attributes.unwrap().request.unwrap().http.unwrap();
    assert_eq!(http.headers.into_iter().collect::<Vec<_>>(), [("x-tenant".to_owned(), "one,two".to_owned())]);
    assert_eq!((http.body.as_str(), &http.raw_body[..]), ("", &b"\xff\x00"[..]));
}

fn option(key: &str, value: &str) -> HeaderValueOption {
    let header = HeaderValue { key: key.into(), value: value.into(), raw_value: Vec::new() };
    HeaderValueOption { header: Some(header), append: None, append_action: 0 }
}

fn frame(message: &CheckResponse) -> Vec<u8> {
    let message = message.encode_to_vec();
    let mut frame = vec![0];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    frame
}

fn decided(message: &CheckResponse) -> Decision {
    let head = answer(200, &[("content-type", "application/grpc")]);
    grpc(&[]).decide(&head, frame(message), &answer(200, &[("grpc-status", "0")]).fields)
}

fn ok(response: OkHttpResponse) -> CheckResponse {
    CheckResponse { status: Some(Status { code: 0 }), ok_response: Some(response), ..CheckResponse::default() }
}

#[test]
fn consent_over_grpc_changes_the_request_and_its_response() {
    let appended = HeaderValueOption { append: Some(true), ..option("x-list", "b") };
    let present = HeaderValueOption { append_action: 3, ..option("x-absent", "no") };
    let absent = HeaderValueOption { append_action: 1, ..option("x-list", "no") };
    let raw = HeaderValue { key: "X-Raw".into(), value: String::new(), raw_value: b"\xfe".to_vec() };
    let decision = decided(&ok(OkHttpResponse {
        headers: vec![
            option("X-User", "ann"),
            appended,
            present,
            absent,
            option("host", "evil.example"),
            option(":path", "/admin"),
            option("content-length", "7"),
            HeaderValueOption { header: Some(raw), append: None, append_action: 2 },
        ],
        headers_to_remove: vec!["Authorization".into(), "host".into(), ":method".into()],
        response_headers_to_add: vec![option("x-quota", "9"), option("transfer-encoding", "chunked")],
        query_parameters_to_set: vec![QueryParameter { key: "who".into(), value: "a&b c".into() }],
        query_parameters_to_remove: vec!["token".into()],
    }));
    let Decision::Allow(grant) = decision else { panic!("{decision:?}") };
    assert!(grant.changes_query());
    let mut head = request("GET", "h/p?token=1&x=y&who=me&%74oken=2&tokens=3").with(&[
        ("x-user", "forged"),
        ("x-list", "a"),
        ("authorization", "Basic x"),
    ]);
    let additions = grant.apply(&mut head).unwrap();
    assert_eq!(text(head.authority()), "h");
    assert_eq!(text(head.path_and_query()), "/p?x=y&tokens=3&who=a%26b%20c");
    let mut raw = Fields::new();
    raw.push(b"x-raw", b"\xfe");
    assert_eq!(head.fields.get_name(b"x-raw"), Some(&b"\xfe"[..]));
    head.fields.remove(b"x-raw");
    assert_eq!(fields(&head.fields), "x-list: a; x-user: ann; x-list: b");
    let mut response = answer(200, &[("x-quota", "1")]);
    additions.apply(&mut response.fields);
    assert_eq!(fields(&response.fields), "x-quota: 9");
}

#[test]
fn a_path_that_loses_its_query_ends_without_a_question_mark() {
    let removed = OkHttpResponse { query_parameters_to_remove: vec!["a".into()], ..OkHttpResponse::default() };
    let head = after(decided(&ok(removed)), request("GET", "h/p?a=1&a"));
    assert_eq!(text(head.path_and_query()), "/p");
}

#[test]
fn refusals_and_errors_over_grpc() {
    let denied = |code: Option<i32>| DeniedHttpResponse {
        status: code.map(|code| HttpStatus { code }),
        headers: vec![option("WWW-Authenticate", "Basic"), option("content-length", "9")],
        body: "no".into(),
    };
    let refused = |response: &CheckResponse| match decided(response) {
        Decision::Deny(reply) => (reply.status, fields(&reply.fields), text(&reply.body), reply.details),
        other => panic!("{other:?}"),
    };
    let status = |code| Some(Status { code });
    let response =
        CheckResponse { status: status(7), denied_response: Some(denied(Some(401))), ..CheckResponse::default() };
    assert_eq!(refused(&response), (401, "www-authenticate: Basic".into(), "no".into(), "ext_authz_denied"));
    // The service says no more, or what is no status.
    assert_eq!(refused(&CheckResponse { status: status(16), ..CheckResponse::default() }).0, 403);
    for code in [0, 99, 101, 600, -1] {
        let response =
            CheckResponse { status: status(7), denied_response: Some(denied(Some(code))), ..CheckResponse::default() };
        assert_eq!(refused(&response).0, 403, "{code}");
    }
    // Consent has to be alone.
    let both = CheckResponse {
        status: status(0),
        denied_response: Some(denied(None)),
        ok_response: Some(OkHttpResponse::default()),
        ..CheckResponse::default()
    };
    assert_eq!(refused(&both).0, 403);
    let contradiction =
        CheckResponse { status: status(7), ok_response: Some(OkHttpResponse::default()), ..CheckResponse::default() };
    assert_eq!(refused(&contradiction).0, 403);
    let error =
        CheckResponse { status: status(0), error_response: Some(denied(Some(503))), ..CheckResponse::default() };
    let Decision::Error(Some(reply)) = decided(&error) else { panic!("no error") };
    assert_eq!((reply.status, reply.details), (503, "ext_authz_error"));
    // As Envoy: status 0 is the default.
    assert!(matches!(decided(&CheckResponse::default()), Decision::Allow(_)));
}

#[test]
fn calls_that_fail_are_no_consent() {
    type Pairs<'a> = &'a [(&'a str, &'a str)];
    let good = frame(&ok(OkHttpResponse::default()));
    let decide = |status: u16, head: &[(&str, &str)], body: &[u8], trailers: &[(&str, &str)]| {
        grpc(&[]).decide(&answer(status, head), body.to_vec(), &answer(200, trailers).fields)
    };
    assert!(matches!(decide(200, &[], &good, &[("grpc-status", "0")]), Decision::Allow(_)));
    let mut compressed = good.clone();
    compressed[0] = 1;
    let two = [good.clone(), good.clone()].concat();
    let cases: &[(u16, Pairs<'_>, &[u8], Pairs<'_>)] = &[
        (200, &[], &good, &[("grpc-status", "7")]),
        (200, &[("grpc-status", "14")], &[], &[]),
        (200, &[], &good, &[]),
        (200, &[], &[], &[("grpc-status", "0")]),
        (200, &[], &good[..good.len() - 1], &[("grpc-status", "0")]),
        (200, &[], &two, &[("grpc-status", "0")]),
        (200, &[], &compressed, &[("grpc-status", "0")]),
        (200, &[], b"\0\0\0\0\x02\x0a\xff", &[("grpc-status", "0")]),
        (503, &[], &good, &[("grpc-status", "0")]),
    ];
    for (status, head, body, trailers) in cases {
        let decision = decide(*status, head, body, trailers);
        assert!(matches!(decision, Decision::Error(None)), "{status} {head:?} {body:?} {trailers:?}: {decision:?}");
    }
}

#[test]
fn what_no_message_may_carry_is_invalid() {
    for (key, value) in [("x a", "v"), ("", "v"), ("x", "a\r\nb: c"), ("x", "a\0"), ("x-ü", "v"), ("x:y", "v")] {
        let response = OkHttpResponse { headers: vec![option(key, value)], ..OkHttpResponse::default() };
        assert!(matches!(decided(&ok(response)), Decision::Invalid), "{key:?} {value:?}");
        let denied = DeniedHttpResponse { headers: vec![option(key, value)], ..DeniedHttpResponse::default() };
        let response = CheckResponse {
            status: Some(Status { code: 7 }),
            denied_response: Some(denied),
            ..CheckResponse::default()
        };
        assert!(matches!(decided(&response), Decision::Invalid), "{key:?} {value:?}");
    }
    let many = |count: usize, value: &str| OkHttpResponse {
        headers: (0..count).map(|i| option(&format!("x-{i}"), value)).collect(),
        ..OkHttpResponse::default()
    };
    assert!(matches!(decided(&ok(many(100, "v"))), Decision::Allow(_)));
    assert!(matches!(decided(&ok(many(101, "v"))), Decision::Invalid));
    assert!(matches!(decided(&ok(many(2, &"v".repeat(40_000)))), Decision::Invalid));
    let unknown = HeaderValueOption { append_action: 9, ..option("x", "v") };
    assert!(matches!(
        decided(&ok(OkHttpResponse { headers: vec![unknown], ..OkHttpResponse::default() })),
        Decision::Invalid
    ));
}

#[test]
fn chains_stop_where_a_service_is_asked() {
    let set = |value: &str| {
        let set = vec![IrHeader { name: "x-step".into(), value: value.into() }];
        HeaderMods { set, ..HeaderMods::default() }
    };
    let auth = service(AuthProtocol::Grpc { request_headers: Vec::new() });
    let filters = [
        Filter::RequestHeaders(set("1")),
        Filter::ExternalAuth(auth.clone()),
        Filter::RequestHeaders(set("2")),
        Filter::ExternalAuth(ir::ExternalAuth { cluster: "other".into(), ..auth }),
        Filter::ResponseHeaders(set("3")),
    ];
    let chain = Chain::compile(&filters).unwrap();
    let clusters: Vec<_> = chain.auths().iter().map(|auth| auth.cluster().to_string()).collect();
    assert_eq!(clusters, ["service/a/auth/80", "other"]);
    let mut head = request("GET", "h/");
    let mut ctx = RequestCtx { head: &mut head, prefix_len: None, listener_port: 80, https: false };
    let Verdict::Ask(first) = chain.on_request(&mut ctx) else { panic!("no stop") };
    assert_eq!((first.auth, fields(&ctx.head.fields)), (0, "x-step: 1".to_owned()));
    let Verdict::Ask(second) = chain.resume(&mut ctx, first) else { panic!("no stop") };
    assert_eq!((second.auth, fields(&ctx.head.fields)), (1, "x-step: 2".to_owned()));
    assert!(matches!(chain.resume(&mut ctx, second), Verdict::Next));
    // A refusal has the headers of the rule's responses.
    let Decision::Deny(mut reply) = http("", &[], &[]).decide(&answer(401, &[]), Vec::new(), &Fields::new()) else {
        panic!("not denied")
    };
    chain.answer(&mut reply, &head);
    assert_eq!(fields(&reply.fields), "x-step: 3");
    let mut response = ResponseHead::new(200);
    chain.on_response(&mut ResponseCtx { head: &mut response, request: &head });
    assert_eq!(fields(&response.fields), "x-step: 3");
}

#[test]
fn bad_configurations_are_refused() {
    let compile = |protocol| ExternalAuth::compile(&service(protocol)).map(drop).map_err(|problem| problem.to_string());
    for prefix in ["auth", "/auth/", "/a b", "/a?b", "/"] {
        let protocol =
            AuthProtocol::Http { prefix: prefix.into(), request_headers: Vec::new(), response_headers: Vec::new() };
        assert!(compile(protocol).is_err_and(|problem| problem.starts_with("prefix")), "{prefix}");
    }
    let request_headers = names(&["X Y"]);
    assert!(
        compile(AuthProtocol::Grpc { request_headers }).is_err_and(|problem| problem.contains("requestHeaders[0]"))
    );
}

/// A list of which nothing is left does not turn into "all".
#[test]
fn lists_of_what_is_ours_are_lists() {
    let client = request("GET", "h/").with(&[("x-a", "1"), ("authorization", "t")]);
    let (_, body) = asked(&grpc(&["host"]), &client, b"");
    let http_request = CheckRequest::decode(&body[5..]).unwrap().attributes.unwrap().request.unwrap().http.unwrap();
    assert_eq!(http_request.headers.into_iter().collect::<Vec<_>>(), [("host".to_owned(), "h".to_owned())]);
    let said = answer(200, &[("x-user", "ann"), ("host", "evil.example")]);
    let head = after(http("", &[], &["host"]).decide(&said, Vec::new(), &Fields::new()), client);
    assert_eq!((text(head.authority()), fields(&head.fields)), ("h".into(), "x-a: 1; authorization: t".into()));
}

proptest! {
    /// Whatever a service sends, nothing panics, and what is let through can be sent: no name or value breaks a line.
    #[test]
    fn answers_are_safe(body in proptest::collection::vec(any::<u8>(), 0..200), lead in any::<bool>()) {
        let mut frame = Vec::new();
        if lead {
            frame.push(0);
            frame.extend((body.len() as u32).to_be_bytes());
        }
        frame.extend(&body);
        let trailers = answer(200, &[("grpc-status", "0")]).fields;
        if let Decision::Allow(grant) = grpc(&[]).decide(&answer(200, &[]), frame, &trailers) {
            let mut head = request("GET", "h/p?a=b");
            grant.apply(&mut head);
            prop_assert_eq!(head.authority(), b"h");
            prop_assert!(head.path_and_query().iter().all(u8::is_ascii_graphic));
        }
    }

    #[test]
    fn changed_messages_are_safe(key in ".{0,12}", value in ".{0,12}", raw in proptest::collection::vec(any::<u8>(), 0..6), action in 0..5) {
        let header = HeaderValue { key: key.clone(), value, raw_value: raw };
        let option = HeaderValueOption { header: Some(header), append: None, append_action: action };
        let parameter = QueryParameter { key: key.clone(), value: key.clone() };
        let response = OkHttpResponse {
            headers: vec![option.clone()],
            headers_to_remove: Vec::new(),
            response_headers_to_add: vec![option],
            query_parameters_to_set: vec![parameter],
            query_parameters_to_remove: vec![key],
        };
        if let Decision::Allow(grant) = decided(&ok(response)) {
            let mut head = request("GET", "h/p?a=b");
            grant.apply(&mut head);
            for field in head.fields.iter() {
                prop_assert!(!field.name.is_empty() && field.name.iter().all(|b| b.is_ascii_graphic() && *b != b':'));
                prop_assert!(!field.value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
            }
            prop_assert!(head.path_and_query().iter().all(u8::is_ascii_graphic));
        }
    }
}
