use crate::tests::{fields, request, run};
use crate::{Chain, Reply};
use fairlead_ir::{DirectResponse, Filter};

fn plain(status: u16) -> DirectResponse {
    DirectResponse { status, content_type: Some("text/plain".into()), body: Some("gone".into()) }
}

fn reply(direct: DirectResponse) -> Reply {
    run(&Chain::compile(&[Filter::DirectResponse(direct)]).unwrap(), &mut request("GET", "h/"), None).unwrap()
}

#[test]
fn it_answers_as_configured() {
    let told = reply(plain(410));
    assert_eq!((told.status, &told.body[..], told.details), (410, &b"gone"[..], "direct_response"));
    assert_eq!(fields(&told.fields), "content-type: text/plain");
    let told = reply(DirectResponse { status: 503, content_type: None, body: None });
    assert_eq!((told.status, told.body.len(), told.fields.len()), (503, 0, 0));
}

#[test]
fn some_statuses_have_no_body() {
    for status in [204, 205, 304] {
        let told = reply(plain(status));
        assert!(told.body.is_empty() && told.fields.is_empty(), "{status}");
    }
}

#[test]
fn bad_answers_are_refused() {
    let field = |direct| Chain::compile(&[Filter::DirectResponse(direct)]).unwrap_err().field;
    assert_eq!(field(plain(199)), "filters[0].status");
    assert_eq!(field(plain(600)), "filters[0].status");
    assert_eq!(field(DirectResponse { content_type: Some("a\nb".into()), ..plain(200) }), "filters[0].contentType");
    assert_eq!(field(DirectResponse { body: Some("x".repeat(65_537).into()), ..plain(200) }), "filters[0].body");
}
