//! A service that speaks HTTP: it gets a request like the client's, and says 200 or what the client is told.

use super::grant::{Action, Changes};
use super::{DENIED, Decision, Grant, is_ours, names};
use crate::{Problem, Reply, check};
use fairlead_http::{Fields, Known, RequestHead, ResponseHead};

#[derive(Debug)]
pub(super) struct Http {
    /// Before the path.
    prefix: Box<[u8]>,
    /// Fields that the service gets.
    sent: Box<[Box<[u8]>]>,
    /// Fields of its response that go into the request; empty: all.
    taken: Box<[Box<[u8]>]>,
}

impl Http {
    pub(super) fn compile(prefix: &str, sent: &[Box<str>], taken: &[Box<str>]) -> Result<Self, Problem> {
        check::path("prefix", prefix)?;
        if !prefix.is_empty() && (!prefix.starts_with('/') || prefix.ends_with('/')) || prefix.contains('?') {
            return Err(Problem::new("prefix", format!("`{}` is not /some/path", prefix.escape_debug())));
        }
        let (sent, taken) = (names("requestHeaders", sent)?, names("responseHeaders", taken)?);
        Ok(Http { prefix: prefix.as_bytes().into(), sent, taken })
    }

    /// Method, host and path are the client's; `content-length` is the codec's, for what is really sent.
    pub(super) fn question(&self, request: &RequestHead, head: &mut RequestHead) {
        head.scheme = request.scheme;
        head.set_method(request.method_bytes());
        head.set_authority(request.authority());
        if self.prefix.is_empty() {
            head.set_path_and_query(request.path_and_query());
        } else {
            // `OPTIONS *` has no path.
            let slash: &[u8] = if request.path().first() == Some(&b'/') { b"" } else { b"/" };
            head.set_path_and_query(&[&self.prefix, slash, request.path_and_query()].concat());
        }
        for value in request.fields.all(Known::Authorization) {
            head.fields.push_known(Known::Authorization, value);
        }
        let known = |name: &[u8]| Known::of(name);
        for name in self.sent.iter().filter(|n| known(n) != Known::Authorization && !is_ours(known(n))) {
            for value in request.fields.all_name(name) {
                head.fields.push(name, value);
            }
        }
    }

    pub(super) fn decide(&self, head: &ResponseHead, body: Vec<u8>) -> Decision {
        match head.status {
            200 => self.grant(&head.fields),
            201..500 => {
                let mut fields = Fields::new();
                for field in head.fields.iter().filter(|f| !is_ours(f.known) && !is_stamped(f.known)) {
                    fields.push(field.name, field.value);
                }
                let body = if matches!(head.status, 204 | 205 | 304) { Vec::new() } else { body };
                Decision::Deny(Box::new(Reply { status: head.status, fields, body: body.into(), details: DENIED }))
            }
            _ => Decision::Error(None),
        }
    }

    /// The service's fields take the place of the client's. Of those that are listed none is the client's, whether the service gave one
    /// or not: backends may rely on them.
    fn grant(&self, fields: &Fields) -> Decision {
        let mut changes = Changes::default();
        let mut all = || {
            if self.taken.is_empty() {
                for field in fields.iter().filter(|f| !is_of_message(f.known)) {
                    changes.add(field.name, b"", Action::Remove)?;
                }
                for field in fields.iter().filter(|f| !is_of_message(f.known)) {
                    changes.add(field.name, field.value, Action::Append)?;
                }
            }
            for name in &self.taken {
                changes.add(name, b"", Action::Remove)?;
                for value in fields.all_name(name) {
                    changes.add(name, value, Action::Append)?;
                }
            }
            Ok::<(), super::grant::Invalid>(())
        };
        match all() {
            Ok(()) => Decision::Allow(Grant::new(changes, Changes::default())),
            Err(_) => Decision::Invalid,
        }
    }
}

/// Fields that tell of the service's response, and would say something wrong of the client's request. Copied only when they are listed.
fn is_of_message(known: Known) -> bool {
    use Known::{ContentDisposition, ContentEncoding, ContentLanguage, ContentType};
    is_ours(known)
        || is_stamped(known)
        || matches!(known, ContentDisposition | ContentEncoding | ContentLanguage | ContentType)
}

/// Fields that the proxy writes into its answers.
fn is_stamped(known: Known) -> bool {
    matches!(known, Known::Date | Known::Server)
}
