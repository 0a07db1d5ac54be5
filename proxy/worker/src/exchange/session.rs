//! Session persistence (GEP-1619): a client's token names its endpoint; a response of another endpoint brings a new token.
//!
//! A cookie or header holds several tokens, newest first and joined by `.`: of a rule with several backends each has its own. Which
//! backend takes a request is not for them to say. What the client sends goes on to the backend as it is.

use crate::exchange::Exchange;
use fairlead_http::{Fields, Known};
use fairlead_ir::SessionCarrier;
use fairlead_snapshot::Session;
use fairlead_upstream::{Cluster, Pick, Tag, TokenText};
use std::time::SystemTime;

/// Tokens that a client may hold for one name; the oldest go.
const HELD: usize = 4;

/// What the client sent: well-formed tokens, whatever they are worth, each followed by a dot.
#[derive(Default)]
pub struct Presented(Vec<u8>);

impl Presented {
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Reads the request's tokens.
    pub fn read(&mut self, session: &Session, fields: &Fields) {
        self.0.clear();
        match &session.carrier {
            SessionCarrier::Cookie { name, .. } => {
                for pair in fields.all(Known::Cookie).flat_map(|cookies| cookies.split(|b| *b == b';')) {
                    let pair = pair.trim_ascii();
                    if let Some(value) = pair.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")) {
                        self.take(value);
                    }
                }
            }
            SessionCarrier::Header { name } => {
                fields.all_name(name.as_bytes()).for_each(|value| self.take(value));
            }
        }
    }

    fn take(&mut self, value: &[u8]) {
        let held = self.0.iter().filter(|b| **b == b'.').count();
        let tokens = value.split(|b| matches!(b, b'.' | b',' | b'"')).map(<[u8]>::trim_ascii);
        for token in tokens.filter(|token| TokenText::is_shaped(token)).take(HELD.saturating_sub(held)) {
            self.0.extend_from_slice(token);
            self.0.push(b'.');
        }
    }

    fn tokens(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|b| *b == b'.').filter(|token| !token.is_empty())
    }

    /// The tags of those that are good, newest first.
    fn tags<'a>(&'a self, session: &'a Session, now: u32) -> impl Iterator<Item = Tag> + 'a {
        self.tokens().filter_map(move |token| session.key.read(token, now))
    }
}

/// The endpoint that the client had, if it can still be had.
pub fn pick(session: &Session, cluster: &Cluster, ex: &Exchange) -> Option<Pick> {
    if ex.notes.presented.0.is_empty() {
        return None;
    }
    ex.notes.presented.tags(session, now()).find_map(|tag| cluster.pick_tagged(&session.key, &tag, &ex.notes.tried))
}

/// Gives the client a token for the endpoint that answered, unless it came with one. A backend that sets a cookie or header of that
/// name itself is not overruled: the session is its own, then.
pub fn write(session: &Session, secure: bool, ex: &mut Exchange) {
    let Some(pick) = &ex.notes.pick else { return };
    let (tag, now) = (session.key.tag(pick.endpoint().name()), now());
    if ex.notes.presented.tags(session, now).any(|known| known == tag) {
        return;
    }
    let token = session.key.token(tag, now);
    let mut line = Vec::with_capacity(256);
    let value = |line: &mut Vec<u8>| {
        line.extend_from_slice(token.as_bytes());
        for other in ex.notes.presented.tokens().take(HELD - 1) {
            line.push(b'.');
            line.extend_from_slice(other);
        }
    };
    match &session.carrier {
        SessionCarrier::Cookie { name, .. } => {
            let own = |set: &[u8]| set.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="));
            if ex.response.fields.all(Known::SetCookie).any(own) {
                return;
            }
            line.extend_from_slice(name.as_bytes());
            line.push(b'=');
            value(&mut line);
            line.extend_from_slice(&session.attributes);
            if secure {
                line.extend_from_slice(b"; Secure");
            }
            ex.response.fields.push_known(Known::SetCookie, &line);
        }
        SessionCarrier::Header { name } => {
            if !ex.response.fields.contains_name(name.as_bytes()) {
                value(&mut line);
                ex.response.fields.push(name.as_bytes(), &line);
            }
        }
    }
}

/// Seconds since 1970.
fn now() -> u32 {
    let passed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u32::try_from(passed.as_secs()).unwrap_or(u32::MAX)
}
