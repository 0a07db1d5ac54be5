//! What the filters' tests share.

use crate::{Chain, Reply, RequestCtx, ResponseCtx, Verdict};
use fairlead_http::{Fields, RequestHead, ResponseHead};

/// A request for `authority/path?query`.
pub(crate) fn request(method: &str, url: &str) -> RequestHead {
    let (authority, _) = url.split_once('/').unwrap();
    let mut head = RequestHead::new();
    head.set_method(method.as_bytes());
    head.set_authority(authority.as_bytes());
    head.set_path_and_query(&url.as_bytes()[authority.len()..]);
    head
}

pub(crate) trait Fix {
    fn with(self, fields: &[(&str, &str)]) -> Self;
}

impl Fix for RequestHead {
    fn with(mut self, fields: &[(&str, &str)]) -> Self {
        for (name, value) in fields {
            self.fields.push(name.as_bytes(), value.as_bytes());
        }
        self
    }
}

/// Runs a request through a chain; the reply, if a filter gave one.
pub(crate) fn run(chain: &Chain, head: &mut RequestHead, prefix_len: Option<usize>) -> Option<Reply> {
    match chain.on_request(&mut RequestCtx { head, prefix_len, listener_port: 80, https: false }) {
        Verdict::Next => None,
        Verdict::Reply(reply) => Some(*reply),
        Verdict::Ask(stop) => panic!("asks service {}", stop.auth),
    }
}

/// Runs a backend's response through a chain.
pub(crate) fn respond(chain: &Chain, request: &RequestHead, fields: &[(&str, &str)]) -> ResponseHead {
    let mut head = ResponseHead::new(200);
    for (name, value) in fields {
        head.fields.push(name.as_bytes(), value.as_bytes());
    }
    chain.on_response(&mut ResponseCtx { head: &mut head, request });
    head
}

/// Fields in order: `name: value; name: value`.
pub(crate) fn fields(fields: &Fields) -> String {
    let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
    let lines: Vec<String> = fields.iter().map(|f| format!("{}: {}", text(f.name), text(f.value))).collect();
    lines.join("; ")
}

#[test]
fn chains_are_shared_by_workers() {
    fn shared<T: Send + Sync>() {}
    shared::<Chain>();
}
