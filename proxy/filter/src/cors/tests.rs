use crate::tests::{Fix, fields, request, respond, run};
use crate::{Chain, Reply};
use fairlead_http::{Fields, Known, RequestHead};
use fairlead_ir::{Cors, Filter, HeaderMods, HeaderValue};

fn names(names: &[&str]) -> Vec<Box<str>> {
    names.iter().map(|n| (*n).into()).collect()
}

/// `cors-multiple-origins-methods-headers` of the conformance test.
fn many() -> Cors {
    Cors {
        allow_origins: names(&["https://www.foo.com", "https://*.bar.com"]),
        allow_credentials: true,
        allow_methods: names(&["GET", "OPTIONS"]),
        allow_headers: names(&["x-header-1", "x-header-2"]),
        expose_headers: names(&["x-header-3", "x-header-4"]),
        max_age: 3600,
    }
}

fn everything(credentials: bool) -> Cors {
    let star = || names(&["*"]);
    let expose_headers = names(&["*", "x-other"]);
    Cors {
        allow_origins: star(),
        allow_credentials: credentials,
        allow_methods: star(),
        allow_headers: star(),
        expose_headers,
        max_age: 5,
    }
}

fn chain(cors: Cors) -> Chain {
    Chain::compile(&[Filter::Cors(cors)]).unwrap()
}

fn preflight(cors: Cors, origin: &str, method: &str, headers: &[&str]) -> Reply {
    let mut head = request("OPTIONS", "h/cors").with(&[("origin", origin), ("access-control-request-method", method)]);
    for names in headers {
        head.fields.push_known(Known::AccessControlRequestHeaders, names.as_bytes());
    }
    let reply = run(&chain(cors), &mut head, None).expect("a preflight is answered");
    assert_eq!((reply.status, reply.body.len(), reply.details), (200, 0, "cors_response"));
    reply
}

fn from(method: &str, origin: &str) -> RequestHead {
    request(method, "h/cors").with(&[("origin", origin)])
}

fn header(fields: &Fields, name: &str) -> Option<String> {
    let mut values = fields.all_name(name.as_bytes());
    let value = values.next().map(|v| String::from_utf8(v.to_vec()).unwrap());
    assert!(values.next().is_none(), "{name} twice");
    value
}

const VARY: &str = "vary: origin, access-control-request-method, access-control-request-headers";

/// conformance: HTTPRouteCORS
#[test]
fn preflights_of_allowed_origins() {
    for origin in ["https://www.foo.com", "https://www.bar.com", "https://xpto.www.bar.com", "https://www.foo.com:443"]
    {
        let reply = preflight(many(), origin, "GET", &["x-header-1, x-header-2"]);
        let expected = format!(
            "access-control-allow-methods: GET, OPTIONS; access-control-allow-headers: x-header-1, x-header-2; \
             access-control-max-age: 3600; {VARY}; access-control-allow-origin: {origin}; \
             access-control-allow-credentials: true; access-control-expose-headers: x-header-3, x-header-4"
        );
        assert_eq!(fields(&reply.fields), expected);
    }
}

#[test]
fn preflights_of_other_origins_get_no_headers() {
    for origin in [
        "https://foobar.com",
        "http://www.foo.com",
        "https://www.foo.com:8443",
        "https://bar.com",
        "https://.bar.com",
        "https://www.bar.com.evil.com",
        "https://evilbar.com",
        "https://evil.com/.bar.com",
        "https://evil.com:1@www.bar.com",
        "https://www.foo.com/",
        "null",
        "",
    ] {
        assert_eq!(fields(&preflight(many(), origin, "GET", &[]).fields), VARY, "{origin}");
    }
}

#[test]
fn wildcards_echo() {
    for credentials in [false, true] {
        let reply = preflight(
            everything(credentials),
            "https://foobar.com:12345",
            "PUT",
            &["x-header-1, x-header-2", "x-header-3"],
        );
        let header = |name| header(&reply.fields, name);
        assert_eq!(header("access-control-allow-origin").as_deref(), Some("https://foobar.com:12345"));
        assert_eq!(header("access-control-allow-methods").as_deref(), Some("PUT"));
        assert_eq!(header("access-control-allow-headers").as_deref(), Some("x-header-1, x-header-2,x-header-3"));
        assert_eq!(header("access-control-allow-credentials").is_some(), credentials);
        assert_eq!(header("access-control-max-age").as_deref(), Some("5"));
        let exposed = if credentials { "x-other" } else { "*" };
        assert_eq!(header("access-control-expose-headers").as_deref(), Some(exposed));
    }
    let reply = preflight(everything(true), "https://a.example", "PUT", &[]);
    assert_eq!(header(&reply.fields, "access-control-allow-headers"), None, "nothing was asked for");
    assert_eq!(
        header(&preflight(everything(true), "null", "PUT", &[]).fields, "access-control-allow-origin").as_deref(),
        Some("null")
    );
}

/// `cors-wildcard-methods` of the conformance test.
#[test]
fn what_is_not_configured_is_not_sent() {
    let cors = Cors {
        allow_origins: names(&["https://www.foo.com"]),
        allow_methods: names(&["*"]),
        max_age: 5,
        ..Cors::default()
    };
    let reply = preflight(cors, "https://www.foo.com", "POST", &["x-a"]);
    let told = "access-control-allow-methods: POST; access-control-max-age: 5";
    let expected = format!("{told}; {VARY}; access-control-allow-origin: https://www.foo.com");
    assert_eq!(fields(&reply.fields), expected);
    assert_eq!(
        fields(&preflight(Cors::default(), "https://www.foo.com", "POST", &[]).fields),
        VARY,
        "no origin is allowed"
    );
}

#[test]
fn wildcard_hosts_have_scheme_and_port() {
    let cors = |origin: &str| Cors { allow_origins: names(&[origin]), ..Cors::default() };
    for (pattern, origin, allowed) in [
        ("https://*", "https://a.b", true),
        ("https://*", "http://a.b", false),
        ("https://*", "https://a.b:8443", false),
        ("https://*:8443", "https://a.b:8443", true),
        ("http://*.a.b:80", "http://c.a.b", true),
        ("HTTPS://*.A.b", "https://C.a.B", true),
        ("http://a", "http://a:80", true),
        ("https://a", "https://a:80", false),
        ("http://[::1]:81", "http://[::1]:81", true),
    ] {
        let reply = preflight(cors(pattern), origin, "GET", &[]);
        assert_eq!(reply.fields.contains(Known::AccessControlAllowOrigin), allowed, "{pattern} {origin}");
    }
}

#[test]
fn other_requests_go_on() {
    let chain = chain(many());
    let mut simple = from("GET", "https://www.foo.com").with(&[("access-control-request-method", "GET")]);
    assert!(run(&chain, &mut simple, None).is_none(), "not an OPTIONS");
    assert!(run(&chain, &mut from("OPTIONS", "https://www.foo.com"), None).is_none(), "asks for no method");
    assert!(run(&chain, &mut request("OPTIONS", "h/"), None).is_none(), "no origin");
    assert!(run(&chain, &mut from("GET", "https://evil.com"), None).is_none(), "the browser refuses, not the proxy");
}

#[test]
fn responses_are_shared_with_allowed_origins() {
    let own = [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
        ("vary", "accept-encoding"),
    ];
    let response = respond(&chain(many()), &from("GET", "https://www.bar.com"), &own);
    assert_eq!(
        fields(&response.fields),
        "access-control-allow-origin: https://www.bar.com; access-control-allow-credentials: true; \
         access-control-expose-headers: x-header-3, x-header-4; vary: accept-encoding, origin"
    );
    let response =
        respond(&chain(Cors { allow_credentials: false, ..many() }), &from("GET", "https://www.bar.com"), &own);
    assert_eq!(header(&response.fields, "access-control-allow-credentials"), None);
    let response = respond(&chain(many()), &from("GET", "https://evil.com"), &own);
    assert_eq!(fields(&response.fields), "vary: accept-encoding, origin", "the route says who may read");
    let response = respond(&chain(many()), &request("GET", "h/"), &own);
    assert_eq!(header(&response.fields, "access-control-allow-origin").as_deref(), Some("*"), "no origin, no say");
}

#[test]
fn vary_is_not_repeated() {
    for vary in ["Origin", "accept , ORIGIN", "*"] {
        let response = respond(&chain(many()), &request("GET", "h/"), &[("vary", vary)]);
        assert_eq!(header(&response.fields, "vary").as_deref(), Some(vary));
    }
}

#[test]
fn answers_of_later_filters_are_shared() {
    let set = vec![HeaderValue { name: "x".into(), value: "1".into() }];
    let direct = fairlead_ir::DirectResponse { status: 403, content_type: None, body: None };
    let mods = Filter::ResponseHeaders(HeaderMods { set, ..HeaderMods::default() });
    let chain = Chain::compile(&[mods, Filter::Cors(many()), Filter::DirectResponse(direct)]).unwrap();
    let reply = run(&chain, &mut from("GET", "https://www.foo.com"), None).unwrap();
    assert_eq!(header(&reply.fields, "access-control-allow-origin").as_deref(), Some("https://www.foo.com"));
    assert_eq!(header(&reply.fields, "x").as_deref(), Some("1"));
}

#[test]
fn bad_configurations_are_refused() {
    let field = |cors| Chain::compile(&[Filter::Cors(cors)]).unwrap_err().field;
    let shapes = ["", "foo.com", "ftp://foo.com", "https://", "https://a b", "https://a/", "https://a:0"];
    for origin in shapes.into_iter().chain(["https://*a.com", "https://a.*.com", "https://**"]) {
        assert_eq!(
            field(Cors { allow_origins: names(&["*", origin]), ..Cors::default() }),
            "filters[0].allowOrigins[1]",
            "{origin}"
        );
    }
    assert_eq!(field(Cors { allow_methods: names(&["GET\r\n"]), ..Cors::default() }), "filters[0].allowMethods[0]");
    assert_eq!(field(Cors { allow_headers: names(&["a", "b c"]), ..Cors::default() }), "filters[0].allowHeaders[1]");
    assert_eq!(field(Cors { expose_headers: names(&["a:b"]), ..Cors::default() }), "filters[0].exposeHeaders[0]");
}
