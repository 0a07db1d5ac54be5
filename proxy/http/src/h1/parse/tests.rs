use proptest::prelude::*;

use super::*;

fn parse(bytes: &[u8], limits: &Limits) -> Result<Option<(Parsed, RequestHead)>, Reject> {
    let mut head = RequestHead::new();
    Ok(request(bytes, &mut head, limits, Scheme::Http)?.map(|p| (p, head)))
}

/// What a head is taken for, in one line, or the status and details it is refused with.
fn verdict(bytes: &[u8]) -> String {
    match parse(bytes, &Limits::default()) {
        Ok(None) => "incomplete".into(),
        Err(r) => format!("{} {}", r.status, r.details),
        Ok(Some((p, h))) => {
            let list: Vec<String> = h.fields.iter().map(|f| format!("{f:?}")).collect();
            let text = |b: &[u8]| b.escape_ascii().to_string();
            format!(
                "{} {} {} [{}] {:?}{}{}",
                text(h.method_bytes()),
                text(h.authority()),
                text(h.path_and_query()),
                list.join(", "),
                p.framing,
                if p.keep_alive { "" } else { " close" },
                if h.upgrade.is_some() { " upgrade" } else { "" },
            )
        }
    }
}

/// Name, bytes, verdict. `~` before the bytes stands for "GET / HTTP/1.1\r\nHost: a\r\n" and appends the empty line.
const REQUESTS: &[(&str, &[u8], &str)] = &[
    // what is served
    ("plain", b"GET /x?y HTTP/1.1\r\nHost: a\r\n\r\n", "GET a /x?y [] Empty"),
    (
        "names are lowered, values trimmed",
        b"GET / HTTP/1.1\r\nHOST:a\r\nX-Y: \t b c \t\r\nEmpty:\r\n\r\n",
        "GET a / [x-y: b c, empty: ] Empty",
    ),
    ("one empty line first", b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET a / [] Empty"),
    ("unknown method", b"PURGE / HTTP/1.1\r\nHost: a\r\n\r\n", "PURGE a / [] Empty"),
    ("host with port", b"GET / HTTP/1.1\r\nHost: A.b:80\r\n\r\n", "GET A.b:80 / [] Empty"),
    ("obs-text in a value", b"GET / HTTP/1.1\r\nHost: a\r\nx: \xe9\r\n\r\n", "GET a / [x: \\xe9] Empty"),
    (
        "length",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST a / [content-length: 5] Length(5)",
    ),
    (
        "chunked",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n",
        "POST a / [transfer-encoding: Chunked] Streamed",
    ),
    (
        "close",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n",
        "GET a / [connection: x, Close] Empty close",
    ),
    (
        "close wins",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
        "GET a / [connection: keep-alive, connection: close] Empty close",
    ),
    ("1.0", b"GET / HTTP/1.0\r\n\r\n", "GET  / [] Empty close"),
    (
        "1.0 keep-alive",
        b"GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n",
        "GET a / [connection: Keep-Alive] Empty",
    ),
    (
        "websocket",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n",
        "GET a / [connection: keep-alive, Upgrade, upgrade: WebSocket] Empty upgrade",
    ),
    (
        "h2c upgrade is ignored",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        "GET a / [connection: Upgrade, upgrade: h2c] Empty",
    ),
    (
        "upgrade without connection is ignored",
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
        "GET a / [upgrade: websocket] Empty",
    ),
    (
        "upgrade of a POST is ignored",
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "POST a / [connection: upgrade, upgrade: websocket] Empty",
    ),
    ("absolute", b"GET http://a:80/x HTTP/1.1\r\nHost: a\r\n\r\n", "GET a:80 /x [] Empty"),
    ("absolute without path", b"GET http://a HTTP/1.1\r\nHost: A\r\n\r\n", "GET a / [] Empty"),
    ("absolute with query only", b"GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n", "GET a /?q [] Empty"),
    ("absolute, all of the server", b"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS a * [] Empty"),
    ("asterisk", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS a * [] Empty"),
    (
        "expect",
        b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n",
        "PUT a / [expect: 100-Continue, content-length: 1] Length(1)",
    ),
    (
        "expectation of 1.0 is ignored",
        b"GET / HTTP/1.0\r\nHost: a\r\nExpect: x\r\nConnection: keep-alive\r\n\r\n",
        "GET a / [connection: keep-alive] Empty",
    ),
    // cut off
    ("nothing", b"", "incomplete"),
    ("empty line only", b"\r\n", "incomplete"),
    ("half an empty line", b"\r", "incomplete"),
    ("no end", b"GET / HTTP/1.1\r\nHost: a\r\n", "incomplete"),
    ("half an end", b"GET / HTTP/1.1\r\nHost: a\r\n\r", "incomplete"),
    // both lengths, several, odd
    (
        "CL and TE",
        b"~Content-Length: 5\r\nTransfer-Encoding: chunked",
        "400 http1.content_length_and_chunked_not_allowed",
    ),
    (
        "TE and CL",
        b"~Transfer-Encoding: chunked\r\nContent-Length: 5",
        "400 http1.content_length_and_chunked_not_allowed",
    ),
    ("two CL", b"~Content-Length: 5\r\nContent-Length: 6", "400 http.invalid_content_length"),
    ("two equal CL", b"~Content-Length: 5\r\ncontent-length: 5", "400 http.invalid_content_length"),
    ("CL list", b"~Content-Length: 5,5", "400 http.invalid_content_length"),
    ("CL plus", b"~Content-Length: +5", "400 http.invalid_content_length"),
    ("CL minus", b"~Content-Length: -5", "400 http.invalid_content_length"),
    ("CL hex", b"~Content-Length: 0x5", "400 http.invalid_content_length"),
    ("CL inner space", b"~Content-Length: 5 5", "400 http.invalid_content_length"),
    ("CL empty", b"~Content-Length:", "400 http.invalid_content_length"),
    ("CL letters", b"~Content-Length: five", "400 http.invalid_content_length"),
    ("CL underscore", b"~Content-Length: 1_0", "400 http.invalid_content_length"),
    ("CL overflow of u64", b"~Content-Length: 18446744073709551616", "400 http.invalid_content_length"),
    ("CL overflow of i64", b"~Content-Length: 9223372036854775808", "400 http.invalid_content_length"),
    ("CL quoted", b"~Content-Length: \"5\"", "400 http.invalid_content_length"),
    ("CL vertical tab", b"~Content-Length: 5\x0b", "400 http1.invalid_header_value"),
    ("TE unknown", b"~Transfer-Encoding: xchunked", "501 http1.invalid_transfer_encoding"),
    ("TE list", b"~Transfer-Encoding: chunked, identity", "501 http1.invalid_transfer_encoding"),
    ("TE gzip", b"~Transfer-Encoding: gzip, chunked", "501 http1.invalid_transfer_encoding"),
    ("TE chunked twice in one", b"~Transfer-Encoding: chunked,chunked", "501 http1.invalid_transfer_encoding"),
    ("TE twice", b"~Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "501 http1.invalid_transfer_encoding"),
    (
        "TE twice, one other",
        b"~Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
        "501 http1.invalid_transfer_encoding",
    ),
    ("TE empty", b"~Transfer-Encoding:", "501 http1.invalid_transfer_encoding"),
    ("TE parameter", b"~Transfer-Encoding: chunked;q=0.5", "501 http1.invalid_transfer_encoding"),
    ("TE quoted", b"~Transfer-Encoding: \"chunked\"", "501 http1.invalid_transfer_encoding"),
    ("TE leading comma", b"~Transfer-Encoding: ,chunked", "501 http1.invalid_transfer_encoding"),
    ("TE form feed", b"~Transfer-Encoding: \x0cchunked", "400 http1.invalid_header_value"),
    ("TE NUL", b"~Transfer-Encoding: chunked\0", "400 http1.invalid_header_value"),
    ("TE with space before colon", b"~Transfer-Encoding : chunked", "400 http1.invalid_header_name"),
    ("TE with tab before colon", b"~Transfer-Encoding\t: chunked", "400 http1.invalid_header_name"),
    ("TE with underscore", b"~Transfer_Encoding: chunked", "400 http1.unexpected_underscore"),
    ("CL with underscore", b"~Content_Length: 5", "400 http1.unexpected_underscore"),
    ("TE behind obs-fold", b"~x: y\r\n Transfer-Encoding: chunked", "400 http1.invalid_header_name"),
    ("TE folded", b"~Transfer-Encoding:\r\n chunked", "400 http1.invalid_header_name"),
    ("TE folded with tab", b"~Transfer-Encoding:\r\n\tchunked", "400 http1.invalid_header_name"),
    ("TE behind bare LF", b"~x: y\nTransfer-Encoding: chunked", "400 http1.invalid_line_end"),
    ("TE behind bare CR", b"~x: y\rTransfer-Encoding: chunked", "400 http1.invalid_header_value"),
    (
        "TE on 1.0",
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "400 http1.transfer_encoding_not_allowed",
    ),
    (
        "TE and CL on 1.0",
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        "400 http1.content_length_and_chunked_not_allowed",
    ),
    (
        "websocket with length",
        b"~Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5",
        "400 http1.body_disallowed",
    ),
    (
        "websocket with chunks",
        b"~Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked",
        "400 http1.body_disallowed",
    ),
    // line ends
    ("bare LF after request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", "400 http1.invalid_line_end"),
    ("bare LF after header", b"GET / HTTP/1.1\r\nHost: a\n\r\n", "400 http1.invalid_line_end"),
    ("bare LF after empty value", b"GET / HTTP/1.1\r\nHost: a\r\nx:\n\r\n", "400 http1.invalid_line_end"),
    ("bare LF after spaces", b"GET / HTTP/1.1\r\nHost: a\r\nx: y  \n\r\n", "400 http1.invalid_line_end"),
    ("bare LF at the end", b"GET / HTTP/1.1\r\nHost: a\r\n\n", "400 http1.invalid_line_end"),
    ("bare LFs only", b"GET / HTTP/1.1\nHost: a\n\n", "400 http1.invalid_line_end"),
    ("bare LF first", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_line_end"),
    ("two empty lines first", b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_line_end"),
    ("empty line then bare LF", b"\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_line_end"),
    ("bare CR first", b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_line_end"),
    ("CR in name", b"~x\ry: z", "400 http1.invalid_header_name"),
    ("CR in target", b"GET /\rx HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_request_line"),
    ("LF in target", b"GET /\nx HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_request_line"),
    ("CR CR LF", b"~x: y\r\r\nz: q", "400 http1.invalid_header_value"),
    // names and values
    ("space before first header", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400 http1.invalid_header_name"),
    ("empty name", b"~: x", "400 http1.invalid_header_name"),
    ("no colon", b"~x", "400 http1.invalid_header_name"),
    ("space in name", b"~x y: z", "400 http1.invalid_header_name"),
    ("NUL in name", b"~x\0: y", "400 http1.invalid_header_name"),
    ("bracket in name", b"~x(y): z", "400 http1.invalid_header_name"),
    ("slash in name", b"~x/y: z", "400 http1.invalid_header_name"),
    ("high byte in name", b"~x\xe9: z", "400 http1.invalid_header_name"),
    ("NUL in value", b"~x: a\0b", "400 http1.invalid_header_value"),
    ("control in value", b"~x: a\x01b", "400 http1.invalid_header_value"),
    ("DEL in value", b"~x: a\x7fb", "400 http1.invalid_header_value"),
    // request lines
    ("two spaces before target", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_request_line"),
    ("two spaces after target", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_request_line"),
    ("tab for space", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_request_line"),
    ("space first", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_request_line"),
    ("space after version", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "400 http1.invalid_line_end"),
    ("more after version", b"GET / HTTP/1.1 x\r\nHost: a\r\n\r\n", "400 http1.invalid_line_end"),
    ("space in target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_request_line"),
    ("method not a token", b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_request_line"),
    ("method with NUL", b"G\0T / HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_request_line"),
    ("no method", b"/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_request_line"),
    ("0.9", b"GET /\r\n\r\n", "400 http1.invalid_request_line"),
    ("1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", "505 http1.unsupported_version"),
    ("2.0", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505 http1.unsupported_version"),
    ("preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 http1.unsupported_version"),
    ("0.9 in words", b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", "505 http1.unsupported_version"),
    ("lower-case version", b"GET / http/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_request_line"),
    ("version with zeros", b"GET / HTTP/01.1\r\nHost: a\r\n\r\n", "505 http1.unsupported_version"),
    ("version cut short", b"GET / HTTP/1.\r\nHost: a\r\n\r\n", "505 http1.unsupported_version"),
    ("version 1.10", b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", "400 http1.invalid_line_end"),
    ("other protocol", b"GET / XTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_request_line"),
    ("TLS hello", b"\x16\x03\x01\x02\x00", "400 http1.invalid_request_line"),
    // targets
    ("fragment", b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_url"),
    ("backslash", b"GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_url"),
    ("high byte", b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_url"),
    ("relative", b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_url"),
    ("asterisk of GET", b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_url"),
    ("authority form of GET", b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_url"),
    ("CONNECT", b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "501 http.connect_not_supported"),
    ("absolute, https on plaintext", b"GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "403 http1.invalid_scheme"),
    ("absolute, other scheme", b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_scheme"),
    ("absolute, other host", b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.host_mismatch"),
    ("absolute, other port", b"GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.host_mismatch"),
    ("absolute with user", b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400 http1.invalid_url"),
    ("absolute without host field", b"GET http://a/ HTTP/1.1\r\n\r\n", "400 missing_host_header"),
    // hosts
    ("no host", b"GET / HTTP/1.1\r\n\r\n", "400 missing_host_header"),
    ("two hosts", b"~Host: b", "400 http1.several_hosts"),
    ("two equal hosts", b"~host: a", "400 http1.several_hosts"),
    ("empty host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", "400 http1.invalid_host"),
    ("host with user", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400 http1.invalid_host"),
    ("host with space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400 http1.invalid_host"),
    ("host list", b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "400 http1.invalid_host"),
    ("host with path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400 http1.invalid_host"),
    ("host with bad port", b"GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n", "400 http1.invalid_host"),
    ("bad host of 1.0", b"GET / HTTP/1.0\r\nHost: a,b\r\n\r\n", "400 http1.invalid_host"),
    // others
    ("expectation", b"~Expect: 200-ok", "417 http1.invalid_expectation"),
    ("underscore", b"~x_y: z", "400 http1.unexpected_underscore"),
    ("underscore and gRPC-Web", b"~x_y: z\r\ncontent-type: application/grpc-web", "400 http1.unexpected_underscore"),
];

fn expand(bytes: &[u8]) -> Vec<u8> {
    match bytes.strip_prefix(b"~") {
        Some(rest) => [b"GET / HTTP/1.1\r\nHost: a\r\n", rest, b"\r\n\r\n"].concat(),
        None => bytes.to_vec(),
    }
}

#[test]
fn requests() {
    for (name, bytes, expected) in REQUESTS {
        assert_eq!(&verdict(&expand(bytes)), expected, "{name}");
    }
}

#[test]
fn verdicts_do_not_depend_on_how_bytes_arrive() {
    for (name, bytes, expected) in REQUESTS {
        let bytes = expand(bytes);
        for cut in 0..bytes.len() {
            let early = verdict(&bytes[..cut]);
            assert!(early == "incomplete" || early == *expected, "{name} at {cut}: {early}");
        }
    }
}

fn status_of(bytes: &[u8], limits: &Limits) -> Result<bool, (u16, &'static str)> {
    parse(bytes, limits).map(|p| p.is_some()).map_err(|r| (r.status, r.details))
}

#[test]
fn limits() {
    let limits = Limits { max_head_bytes: 200, max_headers: 3, max_target_bytes: 20, ..Limits::default() };
    let request = |target: usize, headers: usize, value: usize| {
        let mut r = format!("GET /{} HTTP/1.1\r\nHost: a\r\n", "t".repeat(target - 1));
        for i in 1..headers {
            r += &format!("h{i}: {}\r\n", "v".repeat(value));
        }
        (r + "\r\n").into_bytes()
    };
    assert_eq!(status_of(&request(20, 3, 40), &limits), Ok(true));
    assert_eq!(status_of(&request(21, 3, 40), &limits), Err((414, "http1.target_too_long")));
    assert_eq!(status_of(&request(20, 4, 4), &limits), Err((431, "http1.too_many_headers")));
    assert_eq!(status_of(&request(20, 3, 100), &limits), Err((431, "http1.headers_too_large")));
    // and before they are complete
    assert_eq!(status_of(&[&b"GET /"[..], &[b't'; 21]].concat(), &limits), Err((414, "http1.target_too_long")));
    assert_eq!(status_of(&[&b"GET /"[..], &[b't'; 12]].concat(), &limits), Ok(false));
    assert_eq!(
        status_of(&[&b"GET / HTTP/1.1\r\nx: "[..], &[b'v'; 200]].concat(), &limits),
        Err((431, "http1.headers_too_large"))
    );
    assert_eq!(status_of(&[b'M'; 201], &limits), Err((431, "http1.headers_too_large")));
    let old = b"GET / HTTP/1.0\r\n\r\n";
    assert_eq!(status_of(old, &Limits { accept_http10: false, ..limits }), Err((426, "low_version")));
}

#[test]
fn choices() {
    let drop = Limits { underscores: Underscores::Drop, ..Limits::default() };
    let (_, head) = parse(b"GET / HTTP/1.1\r\nHost: a\r\nx_y: 1\r\nz: 2\r\n\r\n", &drop).unwrap().unwrap();
    assert_eq!(format!("{:?}", head.fields), "[z: 2]");
    let grpc = b"POST / HTTP/1.1\r\nHost: a\r\nx_y: 1\r\nContent-Type: application/grpc\r\n\r\n";
    let (_, head) = parse(grpc, &Limits::default()).unwrap().unwrap();
    assert_eq!(format!("{:?}", head.fields), "[x_y: 1, content-type: application/grpc]");
    let reject = Limits { underscores: Underscores::Reject, ..Limits::default() };
    assert_eq!(parse(grpc, &reject).unwrap_err().details, "http1.unexpected_underscore");
    let allow = Limits { underscores: Underscores::Allow, allow_host_mismatch: true, ..Limits::default() };
    let (_, head) = parse(b"GET http://b/ HTTP/1.1\r\nHost: a\r\nx_y: 1\r\n\r\n", &allow).unwrap().unwrap();
    assert_eq!((head.host(), format!("{:?}", head.fields)), (&b"b"[..], "[x_y: 1]".to_string()));
    let mut head = RequestHead::new();
    let tls = request(b"GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", &mut head, &Limits::default(), Scheme::Https);
    assert!(tls.unwrap().is_some());
    assert_eq!(head.scheme, Scheme::Https);
}

fn response_verdict(bytes: &[u8], to_head: bool) -> String {
    let mut head = ResponseHead::default();
    head.clear();
    match response(bytes, &mut head, &Limits::default(), to_head) {
        Ok(None) => "incomplete".into(),
        Err(e) => e.details().into(),
        Ok(Some(p)) => {
            let list: Vec<String> = head.fields.iter().map(|f| format!("{f:?}")).collect();
            format!("{} [{}] {:?}{}", head.status, list.join(", "), p.framing, if p.keep_alive { "" } else { " close" })
        }
    }
}

const RESPONSES: &[(&str, &[u8], &str)] = &[
    ("plain", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "200 [content-length: 2] Length(2)"),
    ("no reason", b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "200 [content-length: 0] Length(0)"),
    ("no reason, no space", b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200 [content-length: 0] Length(0)"),
    ("odd status", b"HTTP/1.1 799 x\r\nContent-Length: 0\r\n\r\n", "799 [content-length: 0] Length(0)"),
    ("until close", b"HTTP/1.1 200 OK\r\n\r\n", "200 [] UntilClose close"),
    ("chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "200 [transfer-encoding: chunked] Streamed"),
    (
        "close",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n",
        "200 [content-length: 1] Length(1) close",
    ),
    (
        "close and more",
        b"HTTP/1.1 200 OK\r\nConnection: Close, Keep-Alive\r\nContent-Length: 1\r\n\r\n",
        "200 [content-length: 1] Length(1) close",
    ),
    (
        "nominations stay until they are heeded",
        b"HTTP/1.1 200 OK\r\nConnection: x-hop\r\nConnection: keep-alive\r\nConnection: y-hop, close\r\nContent-Length: 1\r\n\r\n",
        "200 [connection: x-hop, connection: y-hop, close, content-length: 1] Length(1) close",
    ),
    ("1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", "200 [content-length: 1] Length(1) close"),
    (
        "1.0 keep-alive",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n",
        "200 [content-length: 1] Length(1)",
    ),
    ("204", b"HTTP/1.1 204 No Content\r\n\r\n", "204 [] Empty"),
    ("304 with length", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "304 [content-length: 9] Empty"),
    ("100", b"HTTP/1.1 100 Continue\r\n\r\n", "100 [] Empty"),
    ("underscores pass", b"HTTP/1.1 204 x\r\na_b: c\r\n\r\n", "204 [a_b: c] Empty"),
    (
        "both lengths",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        "http1.content_length_and_chunked_not_allowed",
    ),
    (
        "two lengths",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n",
        "http.invalid_content_length",
    ),
    ("odd length", b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n", "http.invalid_content_length"),
    ("odd coding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "http1.invalid_transfer_encoding"),
    ("coding on 1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "http1.transfer_encoding_not_allowed"),
    ("204 with length", b"HTTP/1.1 204 x\r\nContent-Length: 2\r\n\r\n", "http1.content_length_not_allowed"),
    ("204 chunked", b"HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n", "http1.transfer_encoding_not_allowed"),
    ("100 with length", b"HTTP/1.1 100 x\r\nContent-Length: 2\r\n\r\n", "http1.content_length_not_allowed"),
    ("bare LF", b"HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\n", "http1.invalid_line_end"),
    ("bare LF in headers", b"HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\n", "http1.invalid_line_end"),
    ("bare CR in reason", b"HTTP/1.1 200 O\rK\r\n\r\n", "http1.invalid_status_line"),
    ("obs-fold", b"HTTP/1.1 200 OK\r\nx: y\r\n z\r\n\r\n", "http1.invalid_header_name"),
    ("space before colon", b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n", "http1.invalid_header_name"),
    ("NUL", b"HTTP/1.1 200 OK\r\nx: \0\r\n\r\n", "http1.invalid_header_value"),
    ("status of two digits", b"HTTP/1.1 20 OK\r\n\r\n", "http1.invalid_status_line"),
    ("status of four digits", b"HTTP/1.1 2000 OK\r\n\r\n", "http1.invalid_status_line"),
    ("status below 100", b"HTTP/1.1 099 OK\r\n\r\n", "http1.invalid_status_line"),
    ("plus in status", b"HTTP/1.1 +20 OK\r\n\r\n", "http1.invalid_status_line"),
    ("version 2", b"HTTP/2 200 OK\r\n\r\n", "http1.invalid_status_line"),
    ("no HTTP", b"hello\r\n", "http1.invalid_status_line"),
    ("empty line first", b"\r\nHTTP/1.1 200 OK\r\n\r\n", "http1.invalid_status_line"),
    ("cut off", b"HTTP/1.1 200 OK\r\nContent-", "incomplete"),
];

#[test]
fn responses() {
    for (name, bytes, expected) in RESPONSES {
        assert_eq!(&response_verdict(bytes, false), expected, "{name}");
    }
    let long = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";
    assert_eq!(response_verdict(long, true), "200 [content-length: 2] Empty");
    assert_eq!(response_verdict(b"HTTP/1.1 200 OK\r\n\r\n", true), "200 [] Empty");
}

#[test]
fn responses_too_large() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101));
    assert_eq!(response_verdict(many.as_bytes(), false), "http1.too_many_headers");
    let large = format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(62_000));
    assert_eq!(response_verdict(large.as_bytes(), false), "http1.headers_too_large");
}

fn noisy_head() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "GET ",
        "/",
        " HTTP/1.1",
        "\r\n",
        "\n",
        "\r",
        "Host: a\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "x: y\r\n",
        " ",
        "\t",
        ":",
        "\0",
        "\u{e9}",
        "OPTIONS ",
        "*",
        "http://a/",
        "Connection: close\r\n",
        " HTTP/1.0\r\n",
        "x_y:z\r\n",
    ]);
    (any::<bool>(), prop::collection::vec(piece, 0..12)).prop_map(|(start, pieces)| {
        let mut head = if start { b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec() } else { Vec::new() };
        head.extend(pieces.concat().bytes());
        head.extend(b"\r\n\r\n");
        head
    })
}

proptest! {
    /// What we accept, httparse accepts with the same meaning; and it is well-formed by a reading of our own.
    #[test]
    fn accepted_heads_are_well_formed(bytes in noisy_head()) {
        if let Ok(Some((parsed, head))) = parse(&bytes, &Limits::default()) {
            let raw = &bytes[..parsed.len];
            prop_assert!(raw.ends_with(b"\r\n\r\n"));
            let text = raw.strip_prefix(b"\r\n").unwrap_or(raw);
            let lines: Vec<&[u8]> = text[..text.len() - 4].split(|c| *c == b'\n').collect();
            let count = lines.len() - 1;
            for (i, line) in lines.iter().enumerate() {
                let line = line.strip_suffix(b"\r").unwrap_or(if i == count { line } else { b"\r" });
                prop_assert!(!line.contains(&b'\r') && !line.contains(&0), "{:?}", raw.escape_ascii().to_string());
            }
            prop_assert_eq!(count, head.fields.len() + usize::from(!head.authority().is_empty() && !lines[0].contains(&b':') || lines[1..].iter().any(|l| l.len() > 4 && l[..5].eq_ignore_ascii_case(b"host:"))));
        }
    }

    #[test]
    fn prefixes_never_lie(bytes in noisy_head(), cut in any::<prop::sample::Index>()) {
        let whole = verdict(&bytes);
        let part = verdict(&bytes[..cut.index(bytes.len())]);
        let rejected = |v: &str| v.split(' ').next().is_some_and(|s| s.parse::<u16>().is_ok());
        prop_assert!(part == "incomplete" || part == whole || (rejected(&part) && rejected(&whole)), "{} / {}", part, whole);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = verdict(&bytes);
        let _ = response_verdict(&bytes, false);
    }
}
