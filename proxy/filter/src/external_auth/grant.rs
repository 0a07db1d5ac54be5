//! What a service changes in a request that it lets go on, and in its response.

use super::is_ours;
use crate::check;
use fairlead_http::{Fields, Known, RequestHead};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// Changes to a request, and to the response that it will get.
#[derive(Debug, Default)]
pub struct Grant {
    request: Changes,
    response: Changes,
    /// Names of query parameters.
    query_removed: Vec<String>,
    /// Names and values, decoded.
    query_set: Vec<(String, String)>,
}

/// Changes to the fields of a response, to be made when it comes.
#[derive(Debug, Default)]
pub struct Additions(Changes);

/// Changes to fields, checked; in the order in which they are made.
#[derive(Debug, Default)]
pub(super) struct Changes {
    list: Vec<Change>,
    bytes: usize,
}

#[derive(Debug)]
struct Change {
    name: Box<[u8]>,
    value: Box<[u8]>,
    action: Action,
}

/// What becomes of fields of the name that are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// They stay, a field is added.
    Append,
    /// They stay, and nothing is added.
    AddIfAbsent,
    /// They go, whether there are any or not.
    Set,
    /// They go; without one, nothing is added.
    SetIfPresent,
    /// They go, and nothing is added.
    Remove,
}

/// It can't be done.
#[derive(Debug)]
pub(super) struct Invalid;

impl Changes {
    /// Adds a change. Names may have upper-case letters. Those of fields that are the proxy's own are passed over.
    pub(super) fn add(&mut self, name: &[u8], value: &[u8], action: Action) -> Result<(), Invalid> {
        if name.first() == Some(&b':') {
            return Ok(());
        }
        let name = std::str::from_utf8(name).map_err(|_| Invalid)?.to_ascii_lowercase();
        check::name("name", &name).map_err(|_| Invalid)?;
        let value = value.trim_ascii();
        if value.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
            return Err(Invalid);
        }
        if is_ours(Known::of(name.as_bytes())) {
            return Ok(());
        }
        self.bytes += name.len() + value.len();
        if self.list.len() >= MOST_FIELDS || self.bytes > MOST_BYTES {
            return Err(Invalid);
        }
        self.list.push(Change { name: name.into_bytes().into(), value: value.into(), action });
        Ok(())
    }

    pub(super) fn apply(&self, fields: &mut Fields) {
        for Change { name, value, action } in &self.list {
            match action {
                Action::Append => fields.push(name, value),
                Action::AddIfAbsent if fields.contains_name(name) => {}
                Action::AddIfAbsent => fields.push(name, value),
                Action::SetIfPresent if !fields.contains_name(name) => {}
                Action::Set | Action::SetIfPresent => fields.set(name, value),
                Action::Remove => drop(fields.remove(name)),
            }
        }
    }
}

impl Grant {
    pub(super) fn new(request: Changes, response: Changes) -> Grant {
        Grant { request, response, ..Grant::default() }
    }

    pub(super) fn with_query(mut self, removed: Vec<String>, set: Vec<(String, String)>) -> Result<Grant, Invalid> {
        let bytes: usize = removed.iter().map(String::len).sum::<usize>()
            + set.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if removed.len() + set.len() > MOST_FIELDS || bytes > MOST_BYTES {
            return Err(Invalid);
        }
        (self.query_removed, self.query_set) = (removed, set);
        Ok(self)
    }

    /// Whether the request's query changes.
    pub fn changes_query(&self) -> bool {
        !self.query_removed.is_empty() || !self.query_set.is_empty()
    }

    /// Changes the request; gives what is to be done to its response, if anything.
    pub fn apply(self, request: &mut RequestHead) -> Option<Additions> {
        self.request.apply(&mut request.fields);
        if self.changes_query() {
            let target = self.target(request.path(), request.query());
            request.set_path_and_query(&target);
        }
        (!self.response.list.is_empty()).then_some(Additions(self.response))
    }

    /// The path with its new query: what is set comes last.
    fn target(&self, path: &[u8], query: Option<&[u8]>) -> Vec<u8> {
        let gone = |name: &[u8]| {
            let name: Vec<u8> = name.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect();
            let name: Vec<u8> = percent_decode(&name).collect();
            let set = self.query_set.iter().map(|(name, _)| name);
            self.query_removed.iter().chain(set).any(|other| other.as_bytes() == name)
        };
        let pairs = query.unwrap_or_default().split(|b| *b == b'&');
        let kept =
            pairs.filter(|pair| !pair.is_empty() && !gone(pair.split(|b| *b == b'=').next().unwrap_or_default()));
        let mut target = path.to_vec();
        let mut join = b'?';
        for pair in kept {
            target.push(std::mem::replace(&mut join, b'&'));
            target.extend_from_slice(pair);
        }
        for (name, value) in &self.query_set {
            target.push(std::mem::replace(&mut join, b'&'));
            for part in utf8_percent_encode(name, RESERVED).chain(["="]).chain(utf8_percent_encode(value, RESERVED)) {
                target.extend_from_slice(part.as_bytes());
            }
        }
        target
    }
}

impl Additions {
    /// Changes the response.
    pub fn apply(&self, fields: &mut Fields) {
        self.0.apply(fields);
    }
}

/// All but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Fields that a service may change in a message, as many as a client may send.
const MOST_FIELDS: usize = 100;
/// Bytes of their names and values: no head could hold more.
const MOST_BYTES: usize = 60 * 1024;
