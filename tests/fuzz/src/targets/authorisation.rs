//! What a gRPC authorisation service answers.

use fairlead_filter::{Chain, Decision, ExternalAuth};
use fairlead_http::{Fields, Known, RequestHead, ResponseHead};
use fairlead_ir::{self as ir, AuthProtocol, Filter, Millis};

use crate::Target;

/// Answers of authorisation services: whatever they are, what frames the request and names its host stays, and no line of a head is broken.
pub const TARGET: Target = Target {
    name: "authorisation",
    run,
    seeds: &[
        b"",
        b"\x0a\x02\x08\x07",
        // ok_response: headers x-user, headers_to_remove, response_headers_to_add, query_parameters_to_set and _to_remove.
        b"\x0a\x00\x1a\x0f\x12\x0d\x0a\x0b\x0a\x06x-user\x12\x01a",
        b"\x1a\x0f\x2a\x0dauthorization",
        b"\x1a\x0c\x32\x0a\x0a\x08\x0a\x03x-q\x12\x019",
        b"\x1a\x10\x3a\x08\x0a\x03who\x12\x01a\x42\x04true",
        // denied_response: status 401, a header, a body.
        b"\x0a\x02\x08\x10\x12\x14\x0a\x03\x08\x91\x03\x12\x09\x0a\x07\x0a\x02wa\x12\x01b\x1a\x02no",
        b"\x2a\x05\x0a\x03\x08\xf7\x03",
    ],
    tokens: &[
        "host",
        "\x0a\x04host",
        "content-length",
        "transfer-encoding",
        ":path",
        "\r\n",
        "\0",
        "&",
        "=",
        "%",
        "x-a",
        "\x12",
        "\x0a",
    ],
};

/// Panics when a promise is broken.
pub fn run(data: &[u8]) {
    let auth = ir::ExternalAuth {
        cluster: "auth".into(),
        authority: "auth".into(),
        protocol: AuthProtocol::Grpc { request_headers: Vec::new() },
        max_body: 0,
        timeout: Millis(1000),
    };
    let chain = Chain::compile(&[Filter::ExternalAuth(auth)]).expect("compiles");
    let auth: &ExternalAuth = &chain.auths()[0];
    let mut trailers = Fields::new();
    trailers.push(b"grpc-status", b"0");
    // As it is, and as the one message of a call.
    let mut frame = vec![0];
    frame.extend((data.len() as u32).to_be_bytes());
    frame.extend(data);
    for body in [data.to_vec(), frame] {
        match auth.decide(&ResponseHead::new(200), body, &trailers) {
            Decision::Allow(grant) => {
                let mut head = RequestHead::new();
                head.set_method(b"POST");
                head.set_authority(b"shop.example.com");
                head.set_path_and_query(b"/a/b?token=1&x=y");
                head.fields.push(b"content-length", b"3");
                head.fields.push(b"x-a", b"1");
                let additions = grant.apply(&mut head);
                assert_eq!(
                    (head.method_bytes(), head.authority(), head.path()),
                    (&b"POST"[..], &b"shop.example.com"[..], &b"/a/b"[..])
                );
                assert!(head.path_and_query().iter().all(u8::is_ascii_graphic));
                assert_eq!(head.fields.all(Known::ContentLength).collect::<Vec<_>>(), [b"3"]);
                check(&head.fields);
                let mut response = Fields::new();
                if let Some(additions) = additions {
                    additions.apply(&mut response);
                }
                assert!(!response.contains(Known::ContentLength));
                check(&response);
            }
            Decision::Deny(reply) | Decision::Error(Some(reply)) => {
                assert!((200..600).contains(&reply.status));
                assert!(!reply.fields.contains(Known::ContentLength));
                check(&reply.fields);
            }
            Decision::Error(None) | Decision::Invalid => {}
        }
    }
}

fn check(fields: &Fields) {
    for field in fields.iter() {
        let token = |b: &u8| b.is_ascii_graphic() && !b.is_ascii_uppercase() && *b != b':';
        assert!(!field.name.is_empty() && field.name.iter().all(token), "{field:?}");
        assert!(!field.value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)), "{field:?}");
        assert!(
            !matches!(field.known, Known::Host | Known::TransferEncoding | Known::Connection | Known::Upgrade),
            "{field:?}"
        );
    }
}
