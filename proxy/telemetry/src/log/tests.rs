use super::*;
use crate::{Flag, Flags, Timestamp};
use fairlead_http::{Known, RequestHead, ResponseHead, Version};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

fn request() -> RequestHead {
    let mut head = RequestHead::new();
    head.set_method(b"GET");
    head.set_authority(b"shop.example.com:8080");
    head.set_path_and_query(b"/v2/cart?x=1&empty=&y=2");
    head.fields.push(b"user-agent", b"curl/8 \"quoted\" \xff");
    head.fields.push_known(Known::XForwardedFor, b"192.0.2.7");
    head.fields.push(b"x-custom", b"one-two");
    head
}

fn response() -> ResponseHead {
    let mut head = ResponseHead::new(200);
    head.fields.push(b"content-type", b"text/plain");
    head
}

fn record<'a>(request: &'a RequestHead, response: &'a ResponseHead) -> Record<'a> {
    Record {
        duration: Duration::from_micros(12_900),
        request_duration: Some(Duration::from_millis(1)),
        response_duration: Some(Duration::from_millis(8)),
        original_path: Some(b"/cart?x=1&empty=&y=2"),
        response: Some(response),
        status: 200,
        details: "via_upstream",
        bytes_received: 10,
        bytes_sent: 2_000,
        route: "shop/cart",
        upstream: Some(Upstream {
            cluster: "service/shop/cart/80",
            host: "10.0.0.1:8080",
            local: "10.0.0.9:40000".parse().ok(),
            protocol: Some(Version::H2),
            failure: "",
            service_time: Some(Duration::from_millis(7)),
            attempts: 2,
            tls_version: "TLSv1.2",
            tls_cipher: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            certificate: None,
        }),
        local: "[::ffff:192.0.2.1]:443".parse().ok(),
        remote: "[2001:db8::7]:5000".parse().ok(),
        direct_remote: "192.0.2.9:6000".parse().ok(),
        server_name: "shop.example.com",
        tls_version: "TLSv1.3",
        tls_cipher: "TLS_AES_128_GCM_SHA256",
        connection: 42,
        ..Record::new(Timestamp(1_721_060_999_012_345), request)
    }
}

fn line(log: &AccessLog, record: &Record<'_>) -> String {
    let mut out = Vec::new();
    log.write(record, &mut out);
    String::from_utf8(out).unwrap()
}

fn text(format: &str) -> String {
    let (request, response) = (request(), response());
    line(&AccessLog::text(format).unwrap(), &record(&request, &response))
}

#[test]
fn a_trace_is_told_where_there_is_one() {
    use crate::trace::TraceId;
    let (request, response) = (request(), response());
    let record = record(&request, &response);
    let traced = Record { trace: Some(TraceId::new(0xabc)), ..record };
    let id = "00000000000000000000000000000abc";
    let json = AccessLog::parse("json").unwrap();
    assert!(line(&json, &traced).ends_with(&format!(",\"trace_id\":\"{id}\"}}\n")), "{}", line(&json, &traced));
    assert!(!line(&json, &record).contains("trace_id"));
    let text = AccessLog::text("%TRACE_ID% %TRACE_ID:4%").unwrap();
    assert_eq!((line(&text, &traced), line(&text, &record)), (format!("{id} 0000\n"), "- -\n".to_owned()));
    let own = AccessLog::json(&[("trace", "%TRACE_ID%")]).unwrap();
    assert_eq!(
        (line(&own, &traced), line(&own, &record)),
        (format!("{{\"trace\":\"{id}\"}}\n"), "{\"trace\":null}\n".to_owned())
    );
    assert!(AccessLog::text("%TRACE_ID(x)%").is_err());
    assert_eq!(line(&AccessLog::json(&[] as &[(&str, &str)]).unwrap(), &record), "{}\n");
}

#[test]
fn default_json_has_envoy_gateways_keys() {
    let (request, response) = (request(), response());
    let line = line(&AccessLog::default(), &record(&request, &response));
    assert!(
        line.starts_with("{\"start_time\":\"2024-07-15T16:29:59.012Z\",\"method\":\"GET\",") && line.ends_with("}\n"),
        "{line}"
    );
    let expected = json!({
        "start_time": "2024-07-15T16:29:59.012Z",
        "method": "GET",
        "x-envoy-origin-path": "/cart?x=1&empty=&y=2",
        "protocol": "HTTP/1.1",
        "response_code": 200,
        "response_flags": "-",
        "response_code_details": "via_upstream",
        "connection_termination_details": null,
        "upstream_transport_failure_reason": null,
        "bytes_received": 10,
        "bytes_sent": 2000,
        "duration": 12,
        "x-envoy-upstream-service-time": "7",
        "x-forwarded-for": "192.0.2.7",
        "user-agent": "curl/8 \"quoted\" \u{fffd}",
        "x-request-id": null,
        ":authority": "shop.example.com:8080",
        "upstream_host": "10.0.0.1:8080",
        "upstream_cluster": "service/shop/cart/80",
        "upstream_local_address": "10.0.0.9:40000",
        "downstream_local_address": "192.0.2.1:443",
        "downstream_remote_address": "[2001:db8::7]:5000",
        "requested_server_name": "shop.example.com",
        "route_name": "shop/cart",
    });
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), expected);
}

#[test]
fn a_refused_request_has_nulls() {
    let request = RequestHead::new();
    let record =
        Record { status: 400, flags: Flag::DownstreamProtocolError.into(), ..Record::new(Timestamp(0), &request) };
    let line = line(&AccessLog::parse("json").unwrap(), &record);
    let value: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&value["response_code"], &value["response_flags"]), (&json!(400), &json!("DPE")));
    assert_eq!(
        (&value["upstream_host"], &value[":authority"], &value["x-envoy-origin-path"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
}

#[test]
fn default_text_is_envoys() {
    assert_eq!(
        text(DEFAULT_TEXT),
        "[2024-07-15T16:29:59.012Z] \"GET /cart?x=1&empty=&y=2 HTTP/1.1\" 200 - 10 2000 12 7 \"192.0.2.7\" \
         \"curl/8 \\\"quoted\\\" \\xff\" \"-\" \"shop.example.com:8080\" \"10.0.0.1:8080\"\n"
    );
}

#[test]
fn operators() {
    let cases = [
        ("%REQ(X-MISSING?X-CUSTOM)%", "one-two"),
        ("%REQ(X-CUSTOM?:PATH):3%", "one"),
        ("%REQ(:PATH)%", "/v2/cart?x=1&empty=&y=2"),
        ("%REQ(:SCHEME)% %REQ(Host)%", "http shop.example.com:8080"),
        ("%RESP(content-type):0%|%RESP(:STATUS)%|%RESP(X)%", "|200|-"),
        ("%TRAILER(grpc-status)%", "-"),
        ("100%% of %PROTOCOL% and %UPSTREAM_PROTOCOL%", "100% of HTTP/1.1 and HTTP/2"),
        ("%START_TIME(%s.%3f)% %START_TIME(%Y)%", "1721060999.012 2024"),
        ("%START_TIME(%Y-%m-%d):4%", "2024"),
        ("%PATH(NQ)% %PATH%", "/cart /cart?x=1&empty=&y=2"),
        ("%QUERY_PARAM(y)% %QUERY_PARAM(empty)% %QUERY_PARAM(z)%", "2 - -"),
        ("%DURATION% %REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%", "12 1 8 4"),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT%", "2001:db8::7 5000"),
        ("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "192.0.2.9:6000 192.0.2.1"),
        ("%UPSTREAM_LOCAL_PORT% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %UPSTREAM_REMOTE_ADDRESS%", "40000 2 10.0.0.1:8080"),
        ("%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% %CONNECTION_ID%", "TLSv1.3 TLS_AES_128_GCM_SHA256 42"),
        ("%ACCESS_LOG_TYPE% %GRPC_STATUS%", "DownstreamEnd -"),
        ("%ENVIRONMENT(CARGO_PKG_NAME)%", "fairlead-telemetry"),
        ("%UPSTREAM_TRANSPORT_FAILURE_REASON%", "-"),
        ("%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%", "10.0.0.1 8080"),
        ("%UPSTREAM_TLS_VERSION% %UPSTREAM_TLS_CIPHER%", "TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256"),
        ("%EMIT_TIME% %EMIT_TIME(%s.%3f)%", "2024-07-15T16:29:59.025Z 1721060999.025"),
        ("%REQUEST_HEADERS_BYTES% %RESPONSE_HEADERS_BYTES% %RESPONSE_TRAILERS_BYTES%", "146 32 -"),
        ("%LOCAL_REPLY_BODY% %REQUEST_TX_DURATION%", "- -"),
        ("%REQUEST_HEADER(X-CUSTOM)% %RESPONSE_HEADER(content-type)% %RESPONSE_TRAILER(x)%", "one-two text/plain -"),
        ("only text", "only text"),
    ];
    for (format, expected) in cases {
        assert_eq!(text(format), format!("{expected}\n"), "{format}");
    }
}

#[test]
fn addresses_that_are_no_ip_addresses_have_no_port() {
    let request = request();
    let upstream = Upstream { host: "/run/app.sock", ..Upstream::default() };
    let record = Record { upstream: Some(upstream), ..Record::new(Timestamp(0), &request) };
    let log = AccessLog::text("%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%").unwrap();
    assert_eq!(line(&log, &record), "/run/app.sock -\n");
}

#[test]
fn every_octet_has_its_digits() {
    let request = request();
    let log = AccessLog::text("%DOWNSTREAM_REMOTE_ADDRESS%").unwrap();
    for octet in 0..=255u8 {
        for octets in [[octet, 255, 0, 255 - octet], [255, octet, 10, 99], [0, 0, 0, octet]] {
            let address = std::net::SocketAddr::from((octets, 65_000));
            let record = Record { remote: Some(address), ..Record::new(Timestamp(0), &request) };
            assert_eq!(line(&log, &record), format!("{address}\n"));
        }
    }
}

/// The times that a line has are of two seconds mostly when they have different stamps.
#[test]
fn times_of_two_kinds_do_not_mix() {
    let request = request();
    let log = AccessLog::text("%START_TIME(%s)% %EMIT_TIME(%s)% %START_TIME(%s)%").unwrap();
    let record = Record { duration: Duration::from_secs(61), ..Record::new(Timestamp(5_000_000), &request) };
    assert_eq!(line(&log, &record), "5 66 5\n");
}

#[test]
fn unique_ids_are_unique() {
    let line = text("%UNIQUE_ID% %UNIQUE_ID%");
    let (one, two) = line.trim_end().split_once(' ').unwrap();
    assert_ne!(one, two);
    for id in [one, two] {
        let shape: String = id.chars().map(|c| if c.is_ascii_hexdigit() { 'x' } else { c }).collect();
        assert_eq!(shape, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", "{id}");
        assert_eq!(&id[14..15], "4", "{id}");
        assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
    }
}

#[test]
fn only_what_a_format_names_is_needed() {
    let needs = |format: &str| AccessLog::parse(format).unwrap().needs();
    let none = Needs::default();
    assert_eq!(needs("text"), none);
    assert_eq!(needs("%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)% %DOWNSTREAM_PEER_SUBJECT% %EMIT_TIME%"), none);
    assert_eq!(needs("json"), Needs { upstream_connection: true, ..none }, "our address");
    assert_eq!(needs("%UPSTREAM_PEER_SUBJECT%"), Needs { upstream_connection: true, ..none });
    assert_eq!(needs("%COMMON_DURATION(US_CX_BEG:US_HS_END:us)%"), Needs { upstream_connection: true, ..none });
    assert_eq!(needs("%COMMON_DURATION(US_TX_BEG:US_RX_END:us)%"), Needs { moments: true, ..none });
    assert_eq!(needs("%LOCAL_REPLY_BODY% %REQUEST_TX_DURATION%"), Needs { moments: true, local_body: true, ..none });
}

#[test]
fn flags_short_and_long() {
    let request = request();
    let flags = Flags::from(Flag::UpstreamConnectionFailure) | Flag::UpstreamRetryLimitExceeded;
    let record = Record { flags, ..Record::new(Timestamp(0), &request) };
    let log = AccessLog::text("%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%").unwrap();
    assert_eq!(line(&log, &record), "UF,URX UpstreamConnectionFailure,UpstreamRetryLimitExceeded\n");
}

#[test]
fn grpc_status_comes_from_trailers_or_head() {
    let mut request = request();
    request.fields.push_known(Known::ContentType, b"application/grpc");
    let mut response = response();
    response.fields.push_known(Known::GrpcStatus, b"14");
    let log = AccessLog::text("%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER%").unwrap();
    assert_eq!(line(&log, &record(&request, &response)), "Unavailable UNAVAILABLE 14\n");
    let mut trailers = fairlead_http::Fields::new();
    trailers.push_known(Known::GrpcStatus, b"5");
    for (code, text) in [("5", "NotFound NOT_FOUND 5\n"), ("99", "99 99 99\n"), ("x", "x x x\n")] {
        trailers.set_known(Known::GrpcStatus, code.as_bytes());
        let record = Record { trailers: Some(&trailers), ..record(&request, &response) };
        assert_eq!(line(&log, &record), text);
    }
}

#[test]
fn errors_name_operator_and_place() {
    let cases = [
        ("a %BYTES_SENT% %FOO%", 15, "unknown operator %FOO%"),
        ("%DURATION", 0, "not closed by `%`"),
        ("%REQ%", 0, "needs the name of a header"),
        ("%REQ()%", 0, "needs the name of a header"),
        ("%REQ(A?B?C)%", 0, "more than one alternative"),
        ("%REQ(a b)%", 0, "`a b` is not the name of a header"),
        ("%REQ(A%", 0, "not closed by `)`"),
        ("%REQ(A):x%", 0, "maximum length"),
        ("é%DURATION(1)%", 2, "takes no argument"),
        ("%START_TIME(%!)%", 0, "%START_TIME%"),
        ("%GRPC_STATUS(X)%", 0, "SNAKE_STRING"),
        ("%EMIT_TIME(%!)%", 0, "%EMIT_TIME%"),
        ("%DOWNSTREAM_PEER_SHOE_SIZE%", 0, "unknown operator %DOWNSTREAM_PEER_SHOE_SIZE%"),
        ("%UPSTREAM_PEER_SUBJECT(x)%", 0, "%UPSTREAM_PEER_SUBJECT%: takes no argument"),
        ("%DOWNSTREAM_PEER_CERT_V_END(%!)%", 0, "%DOWNSTREAM_PEER_CERT_V_END%"),
        ("%COMMON_DURATION%", 0, "needs START:END:PRECISION"),
        ("%COMMON_DURATION(DS_RX_BEG:DS_TX_END)%", 0, "START:END:PRECISION is expected"),
        ("%COMMON_DURATION(DS_RX_BEG:LUNCH:ms)%", 0, "unknown point in time `LUNCH`"),
        ("%COMMON_DURATION(DS_RX_BEG:DS_TX_END:h)%", 0, "unknown precision `h`"),
        ("50% off", 2, "write `%%`"),
        ("%", 0, "write `%%`"),
    ];
    for (format, at, message) in cases {
        let error = AccessLog::text(format).unwrap_err();
        assert_eq!(error.at, at, "{format}: {error}");
        assert!(error.message.contains(message), "{format}: {error}");
    }
    let error = AccessLog::json(&[("a", "x"), ("b", "%NO%")]).unwrap_err();
    assert_eq!(error.to_string(), "access log format, byte 0: key `b`: unknown operator %NO%");
}

#[test]
fn json_of_ones_own() {
    let (request, response) = (request(), response());
    let fields = [
        ("who \"\\", "%REQ(USER-AGENT)% to %UPSTREAM_HOST%"),
        ("code", "%RESPONSE_CODE%"),
        ("none", "x \"%REQ(X)%\""),
        ("empty", ""),
    ];
    let line = line(&AccessLog::json(&fields).unwrap(), &record(&request, &response));
    let expected =
        json!({"who \"\\": "curl/8 \"quoted\" \u{fffd} to 10.0.0.1:8080", "code": 200, "none": "x \"-\"", "empty": ""});
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), expected);
    let none: [(&str, &str); 0] = [];
    assert_eq!(super::tests::line(&AccessLog::json(&none).unwrap(), &record(&request, &response)), "{}\n");
}

proptest! {
    /// Whatever a client sends, a record is one line of JSON with all keys.
    #[test]
    fn any_bytes_give_one_line_of_json(agent in proptest::collection::vec(any::<u8>(), 0..60), path in proptest::collection::vec(any::<u8>(), 1..60)) {
        let mut request = RequestHead::new();
        request.set_path_and_query(&path);
        request.fields.push_known(Known::UserAgent, &agent);
        let line = line(&AccessLog::default(), &Record { server_name: "a\nb", ..Record::new(Timestamp(0), &request) });
        prop_assert_eq!(line.matches('\n').count(), 1);
        let value: Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(value.as_object().unwrap().len(), DEFAULT_JSON.len());
        prop_assert_eq!(value["user-agent"].as_str().unwrap(), String::from_utf8_lossy(&agent));
        prop_assert_eq!(value["x-envoy-origin-path"].as_str().unwrap(), String::from_utf8_lossy(&path));
    }

    /// A format is accepted or refused, never a panic; what is accepted writes a line.
    #[test]
    fn any_format_is_judged(format in "[%A-Z_()?:a-z0-9é ]{0,30}") {
        match AccessLog::text(&format) {
            Ok(log) => prop_assert!(line(&log, &Record::new(Timestamp(0), &RequestHead::new())).ends_with('\n')),
            Err(error) => prop_assert!(error.at < format.len() && format.is_char_boundary(error.at)),
        }
    }
}

#[test]
fn steady_state_allocates_nothing() {
    let (request, response) = (request(), response());
    let logs = [
        AccessLog::default(),
        AccessLog::text(DEFAULT_TEXT).unwrap(),
        AccessLog::text("%START_TIME(%s.%6f)% %RESPONSE_FLAGS_LONG%").unwrap(),
        AccessLog::text("%EMIT_TIME% %UNIQUE_ID% %REQUEST_HEADERS_BYTES% %UPSTREAM_REMOTE_PORT% %REQUEST_TX_DURATION%")
            .unwrap(),
    ];
    let mut out = Vec::with_capacity(1 << 20);
    let mut write = || {
        for log in &logs {
            log.write(&record(&request, &response), &mut out);
        }
    };
    write();
    let one = allocation_counter::measure(|| drop(std::hint::black_box(vec![1u8])));
    assert_eq!(one.count_total, 1, "allocations are counted");
    let info = allocation_counter::measure(|| (0..100).for_each(|_| write()));
    assert_eq!(info.count_total, 0);
}
