use super::otlp::{ExportTraceServiceRequest, Span, SpanKind, StatusCode, Value};
use super::*;
use crate::{Flag, GrpcStatus, Record, Timestamp, Upstream};
use fairlead_http::{Fields, Known, RequestHead, ResponseHead};
use prost::Message as _;
use std::sync::Arc;
use std::time::Duration;

const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn parse(text: &str) -> Option<Context> {
    Context::parse(text.as_bytes())
}

fn settings() -> Settings {
    Settings {
        destination: 0,
        protocol: Protocol::Grpc,
        authority: "collector:4317".into(),
        headers: vec![],
        service_name: "gw.default".into(),
        span_name: None,
        rate: Rate::new(1, 1),
        parent_rate: None,
        attributes: vec![],
        version: "1.2.3".into(),
    }
}

#[test]
fn rates_draw_their_share() {
    assert!(Rate::new(1, 1).draws(u64::MAX) && Rate::new(5, 5).draws(u64::MAX));
    assert!(!Rate::new(0, 100).draws(0) && !Rate::new(7, 0).draws(0));
    let quarter = Rate::new(25, 100);
    assert!(quarter.draws(0) && quarter.draws((1 << 62) - 1) && !quarter.draws(1 << 62));
}

#[test]
fn decisions_heed_the_parent_when_they_are_to() {
    let decide = |rate: u32, parent_rate: Option<u32>, parent: Option<&str>| {
        let of = |share| Rate::new(share, 100);
        let tracer = Tracer::new(Settings { rate: of(rate), parent_rate: parent_rate.map(of), ..settings() });
        tracer.decide(parent.and_then(self::parse).as_ref(), u64::MAX / 2)
    };
    let (yes, no) = (Some(GOOD), Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"));
    use Decision::{Pass, Record, Skip};
    for (rate, parent_rate, parent, expected) in [
        (100, Some(100), None, Record),
        (10, Some(100), None, Skip),
        (0, Some(100), yes, Record),
        (100, Some(100), no, Pass),
        (100, Some(10), yes, Skip),
        (100, Some(90), yes, Record),
        (100, None, no, Record),
        (0, None, yes, Skip),
        (0, None, no, Pass),
    ] {
        assert_eq!(decide(rate, parent_rate, parent), expected, "{rate} {parent_rate:?} {parent:?}");
    }
}

fn request() -> RequestHead {
    let mut head = RequestHead::new();
    head.set_method(b"GET");
    head.set_authority(b"Shop.example.com:8080");
    head.set_path_and_query(b"/cart/7?x=1");
    head.fields.push_known(Known::UserAgent, b"curl/8");
    head.fields.push_known(Known::Tracestate, b"a=1");
    head.fields.push_known(Known::Tracestate, b"b=2");
    head.fields.push(b"x-user", b"ada");
    head.fields.push(b"x-list", b"one");
    head.fields.push(b"x-list", b"two");
    head
}

fn record<'a>(request: &'a RequestHead, response: &'a ResponseHead) -> Record<'a> {
    let peer = Some("[::ffff:192.0.2.7]:4711".parse().expect("an address"));
    Record {
        duration: Duration::from_millis(30),
        response: Some(response),
        status: response.status,
        details: "via_upstream",
        route: "httproute/shop/cart/0",
        pattern: "/cart",
        remote: peer,
        direct_remote: peer,
        upstream: Some(Upstream { cluster: "service/shop/cart/80", attempts: 2, ..Upstream::default() }),
        ..Record::new(Timestamp(1_000_000), request)
    }
}

fn attribute<'s>(span: &'s Span, key: &str) -> Option<&'s Value> {
    let mut found = span.attributes.iter().filter(|attribute| attribute.key == key);
    let value = found.next()?.value.as_ref()?.value.as_ref();
    assert!(found.next().is_none(), "{key} twice");
    value
}

fn says(span: &Span, key: &str) -> String {
    match attribute(span, key) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::ArrayValue(array)) => {
            format!("{:?}", array.values.iter().map(|v| v.value.clone()).collect::<Vec<_>>())
        }
        other => format!("{other:?}"),
    }
}

fn recorded(settings: Settings, status: u16) -> Vec<Span> {
    let (request, response) = (request(), {
        let mut head = ResponseHead::new(status);
        head.fields.push(b"x-served-by", b"pod-1");
        head
    });
    let parent = parse(GOOD).expect("valid");
    let context = parent.child(SpanId::new(0xabc), true);
    let mut recording = Recording::begin(Arc::new(Tracer::new(settings)), context, Some(&parent), &request);
    for (span, error, status) in [(1, "connection refused", 0), (2, "", status)] {
        let start = Duration::from_millis(span * 10);
        let mut attempt = Attempt::new(SpanId::new(span), start, "service/shop/cart/80".into(), true, &request);
        attempt.address = Some("10.0.0.9:8443".parse().expect("an address"));
        (attempt.error, attempt.status) = (error, status);
        attempt.end = (span == 1).then_some(Duration::from_millis(15));
        recording.attempt(attempt);
    }
    recording.spans(&record(&request, &response)).collect()
}

#[test]
fn spans_follow_the_semantic_conventions() {
    let spans = recorded(settings(), 200);
    let [server, first, second] = &spans[..] else { panic!("{} spans", spans.len()) };
    assert_eq!((server.name.as_str(), server.kind()), ("GET /cart", SpanKind::Server));
    assert_eq!(server.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes());
    assert_eq!(
        (server.span_id.as_slice(), server.parent_span_id.as_slice()),
        (&[0, 0, 0, 0, 0, 0, 0xa, 0xbc][..], &0xb7ad_6b71_6920_3331_u64.to_be_bytes()[..])
    );
    assert_eq!((server.trace_state.as_str(), server.flags), ("a=1,b=2", 0x301));
    assert_eq!((server.start_time_unix_nano, server.end_time_unix_nano), (1_000_000_000, 1_030_000_000));
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.scheme", "http"),
        ("url.path", "/cart/7"),
        ("url.query", "x=1"),
        ("http.route", "/cart"),
        ("server.address", "Shop.example.com"),
        ("server.port", "8080"),
        ("client.address", "192.0.2.7"),
        ("network.peer.port", "4711"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "curl/8"),
        ("http.response.status_code", "200"),
        ("fairlead.route", "httproute/shop/cart/0"),
        ("fairlead.cluster", "service/shop/cart/80"),
        ("fairlead.retries", "1"),
    ] {
        assert_eq!(says(server, key), value, "{key}");
    }
    assert!(server.status.is_none() && attribute(server, "error.type").is_none());
    assert_eq!(
        (first.kind(), first.parent_span_id.as_slice(), first.flags),
        (SpanKind::Client, server.span_id.as_slice(), 0x101)
    );
    assert_eq!(first.status.as_ref().map(otlp::Status::code), Some(StatusCode::Error));
    assert_eq!(
        (says(first, "error.type"), attribute(first, "http.response.status_code")),
        ("connection refused".to_owned(), None)
    );
    assert_eq!((first.start_time_unix_nano, first.end_time_unix_nano), (1_010_000_000, 1_015_000_000));
    assert_eq!(says(second, "http.request.resend_count"), "1");
    assert_eq!(says(second, "url.full"), "https://Shop.example.com:8080/cart/7?x=1");
    assert_eq!(says(second, "network.peer.address"), "10.0.0.9");
    assert_eq!((second.start_time_unix_nano, second.end_time_unix_nano), (1_020_000_000, 1_030_000_000));
}

#[test]
fn signatures_of_urls_are_no_business_of_collectors() {
    let mut head = request();
    head.set_path_and_query(b"/file?sig=abc&x=1&Signature=a%2B/=&design=y&X-Goog-Signature=");
    let response = ResponseHead::new(200);
    let mut recording = Recording::begin(Arc::new(Tracer::new(settings())), parse(GOOD).expect("valid"), None, &head);
    recording.attempt(Attempt::new(SpanId::new(1), Duration::ZERO, "c".into(), false, &head));
    let spans: Vec<Span> = recording.spans(&record(&head, &response)).collect();
    let query = "sig=REDACTED&x=1&Signature=REDACTED&design=y&X-Goog-Signature=REDACTED";
    assert_eq!(says(&spans[0], "url.query"), query);
    assert_eq!(says(&spans[1], "url.full"), format!("http://Shop.example.com:8080/file?{query}"));
}

#[test]
fn errors_are_those_of_the_server() {
    let error = |status: u16| {
        let spans = recorded(settings(), status);
        let code = |span: &Span| span.status.as_ref().is_some_and(|s| s.code() == StatusCode::Error);
        (code(&spans[0]), says(&spans[0], "error.type"), code(&spans[2]))
    };
    assert_eq!(error(404), (false, "None".to_owned(), true), "a client's error is one for who asked only");
    assert_eq!(error(503), (true, "503".to_owned(), true));
    let (request, response) = (request(), ResponseHead::new(503));
    let own =
        Record { details: "no_healthy_upstream", flags: Flag::NoHealthyUpstream.into(), ..record(&request, &response) };
    let context = parse(GOOD).expect("valid");
    let recording = Recording::begin(Arc::new(Tracer::new(settings())), context, None, &request);
    let spans: Vec<Span> = recording.spans(&own).collect();
    assert_eq!(says(&spans[0], "error.type"), "no_healthy_upstream");
    assert_eq!(says(&spans[0], "fairlead.response_flags"), "UH");
    assert_eq!((spans[0].parent_span_id.len(), spans[0].trace_state.as_str(), spans[0].flags), (0, "", 0x101));
    let cut = Record { status: 200, details: "stream_idle_timeout", cut: true, ..own };
    assert_eq!(says(&recording.spans(&cut).next().expect("a span"), "error.type"), "stream_idle_timeout");
}

/// Semantic conventions for gRPC: which statuses are whose error.
#[test]
fn calls_end_with_their_status() {
    let mut head = request();
    head.set_path_and_query(b"/shop.Cart/Add");
    head.fields.push_known(Known::ContentType, b"application/grpc+proto");
    let (ok, context) = (ResponseHead::new(200), parse(GOOD).expect("valid"));
    let ended = |status: &str, in_trailers: bool| {
        let (mut trailers, mut response) = (Fields::default(), ok.clone());
        let place = if in_trailers { &mut trailers } else { &mut response.fields };
        place.push_known(Known::GrpcStatus, status.as_bytes());
        let mut recording = Recording::begin(Arc::new(Tracer::new(settings())), context, None, &head);
        let mut attempt = Attempt::new(SpanId::new(1), Duration::ZERO, "c".into(), false, &head);
        (attempt.status, attempt.call) = (200, GrpcStatus::of(Some(&trailers), Some(&response)));
        recording.attempt(attempt);
        let record = Record { trailers: Some(&trailers), ..record(&head, &response) };
        let spans: Vec<Span> = recording.spans(&record).collect();
        for span in &spans {
            assert_eq!(
                (says(span, "rpc.system.name"), says(span, "rpc.method")),
                ("grpc".into(), "shop.Cart/Add".into())
            );
        }
        let said = spans.iter().map(|span| says(span, "rpc.response.status_code")).collect::<Vec<_>>();
        assert_eq!(said[0], said[1]);
        for span in &spans {
            let error = span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error);
            assert_eq!(says(span, "error.type"), if error { said[0].as_str() } else { "None" });
        }
        (said[0].clone(), spans[0].status.is_some(), spans[1].status.is_some())
    };
    for (code, name, server, client) in [
        ("0", "OK", false, false),
        ("1", "CANCELLED", false, true),
        ("2", "UNKNOWN", true, true),
        ("3", "INVALID_ARGUMENT", false, true),
        ("4", "DEADLINE_EXCEEDED", true, true),
        ("5", "NOT_FOUND", false, true),
        ("8", "RESOURCE_EXHAUSTED", false, true),
        ("12", "UNIMPLEMENTED", true, true),
        ("13", "INTERNAL", true, true),
        ("14", "UNAVAILABLE", true, true),
        ("15", "DATA_LOSS", true, true),
        ("16", "UNAUTHENTICATED", false, true),
        ("99", "99", false, true),
    ] {
        for in_trailers in [true, false] {
            assert_eq!(ended(code, in_trailers), (name.to_owned(), server, client), "{code}");
        }
    }
    assert_eq!(ended("odd", true), ("None".to_owned(), false, false));
}

/// The proxy's own questions are named by what they ask, and are no attempts.
#[test]
fn questions_are_not_attempts() {
    let (mut head, response) = (request(), ResponseHead::new(200));
    let mut recording = Recording::begin(Arc::new(Tracer::new(settings())), parse(GOOD).expect("valid"), None, &head);
    head.set_method(b"POST");
    head.set_path_and_query(b"/envoy.service.auth.v3.Authorization/Check");
    head.fields.push_known(Known::ContentType, b"application/grpc");
    let mut question = Attempt::new(SpanId::new(1), Duration::ZERO, "auth".into(), false, &head);
    (question.authorises, question.end) = (true, Some(Duration::from_millis(2)));
    recording.attempt(question);
    assert!(recording.open().is_none());
    let request = request();
    for span in 2..4 {
        recording.attempt(Attempt::new(SpanId::new(span), Duration::from_millis(span), "c".into(), false, &request));
    }
    let spans: Vec<Span> = recording.spans(&record(&request, &response)).collect();
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["GET /cart", "envoy.service.auth.v3.Authorization/Check", "GET", "GET"]);
    let resent: Vec<String> = spans.iter().map(|span| says(span, "http.request.resend_count")).collect();
    assert_eq!(resent, ["None", "None", "None", "1"]);
    assert_eq!(
        (says(&spans[1], "fairlead.purpose"), says(&spans[2], "fairlead.purpose")),
        ("authorisation".into(), "None".into())
    );
    assert_eq!(says(&spans[1], "http.request.method"), "POST");
}

#[test]
fn attributes_of_the_settings_are_in_every_span() {
    let all = [
        ("env", Source::Literal("prod".into())),
        ("user", Source::Header("x-user".into())),
        ("served", Source::Header("x-served-by".into())),
        ("missing", Source::Header("x-missing".into())),
        ("list", Source::of_key("http.request.header.x-list").expect("known")),
        ("pod", Source::of_key("http.response.header.x-served-by").expect("known")),
        ("status", Source::of_key("http.response.status_code").expect("known")),
        ("url.path", Source::Literal("hidden".into())),
    ];
    let attributes = all.map(|(name, source)| Attribute { name: name.into(), source }).to_vec();
    let spans = recorded(Settings { attributes, span_name: Some("edge".into()), ..settings() }, 201);
    assert_eq!(spans[0].name, "edge");
    for span in &spans {
        for (key, value) in [
            ("env", "prod"),
            ("user", "ada"),
            ("served", "pod-1"),
            ("status", "201"),
            ("missing", "None"),
            ("url.path", "hidden"),
        ] {
            assert_eq!(says(span, key), value, "{key}");
        }
        assert!(says(span, "list").contains("one") && says(span, "list").contains("two"));
        assert!(matches!(attribute(span, "pod"), Some(Value::ArrayValue(array)) if array.values.len() == 1));
    }
    assert_eq!(Source::of_key("gen_ai.tool.name"), None);
    assert_eq!(Source::of_key("http.request.header."), None);
}

#[test]
fn batches_are_bounded_and_make_one_request() {
    let tracer = Arc::new(Tracer::new(settings()));
    let other = Arc::new(Tracer::new(settings()));
    let buffer = SpanBuffer::default();
    let spans = recorded(settings(), 200);
    assert!(buffer.push(&other, &spans[0]).is_none());
    let mut full = None;
    let mut pushed = 0;
    while full.is_none() {
        full = buffer.push(&tracer, &spans[pushed % 3]);
        pushed += 1;
        assert!(pushed < 1000);
    }
    let full = full.expect("full");
    assert!((SpanBuffer::FULL..SpanBuffer::FULL + 4096).contains(&full.bytes.len()));
    assert_eq!(full.spans as usize, pushed);
    buffer.push(&tracer, &spans[0]);
    let rest = buffer.take();
    assert_eq!((rest.len(), buffer.is_empty()), (2, true));
    let last: Vec<Batch> =
        [full].into_iter().chain(rest.into_iter().filter(|b| Arc::ptr_eq(&b.tracer, &tracer))).collect();
    let sent = ExportTraceServiceRequest::decode(&otlp::request(&tracer, &last)[..]).expect("decodes");
    let [of_resource] = &sent.resource_spans[..] else { panic!("one resource") };
    let resource = of_resource.resource.as_ref().expect("a resource");
    assert_eq!(resource.attributes, [otlp::text("service.name", "gw.default")]);
    let [of_scope] = &of_resource.scope_spans[..] else { panic!("one scope") };
    assert_eq!(of_scope.scope.as_ref().map(|s| (s.name.as_str(), s.version.as_str())), Some(("fairlead", "1.2.3")));
    assert_eq!(of_scope.spans.len(), pushed + 1);
    assert_eq!(of_scope.spans[1], spans[1]);
}

#[test]
fn answers_of_collectors_are_read() {
    use otlp::{ExportTracePartialSuccess, ExportTraceServiceResponse};
    let answer = |rejected_spans, error_message: &str| {
        let partial = ExportTracePartialSuccess { rejected_spans, error_message: error_message.to_owned() };
        otlp::rejected(&ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec())
    };
    assert_eq!(otlp::rejected(b""), None);
    assert_eq!(answer(0, ""), None);
    assert_eq!(answer(3, "too old"), Some((3, "too old".to_owned())));
    assert_eq!(answer(-3, ""), None);
    assert_eq!(otlp::rejected(b"\xff\xff\xff"), None, "nonsense is no refusal");
}

#[test]
fn what_is_not_recorded_allocates_nothing() {
    let tracer = Tracer::new(Settings { rate: Rate::new(1, 1000), parent_rate: Some(Rate::new(1, 1)), ..settings() });
    let request = request();
    let count = allocation_counter::measure(|| {
        for random in [u64::MAX, u64::MAX / 2] {
            let parent = request.fields.get(Known::Traceparent).and_then(Context::parse);
            assert_eq!(tracer.decide(parent.as_ref(), random), Decision::Skip);
            let context = Context::new(TraceId::new(u128::from(random)), SpanId::new(random), false);
            assert!(context.to_bytes().ends_with(b"-00"));
            assert!(is_tracestate(request.fields.all(Known::Tracestate)));
        }
    });
    assert_eq!(count.count_total, 0);
}
