//! `sessionPersistence` → [`Session`] (GEP-1619), wherever it stands.
//!
//! Of several that hold for a backend the XBackend's own counts, then the rule's, then an XBackendTrafficPolicy's. Tokens are made
//! with keys that come from the `uid` of the object which asks: known to all proxies, the same after a restart, and not to
//! clients. Objects of files that have no `uid` give their names.

use crate::duration;
use crate::fleet::short_hash;
use crate::status::{Fault, Reason};
use fairlead_crds::Kind;
use fairlead_crds::gateway::{CookieLifetimeType, SessionPersistence, SessionPersistenceType};
use fairlead_crds::meta::ObjectMeta;
use fairlead_ir::{Session, SessionCarrier};
use fairlead_store::Key;

/// Whose sessions they are.
pub(crate) struct Owner<'a> {
    pub kind: Kind,
    pub key: &'a Key,
    pub metadata: &'a ObjectMeta,
    /// What is unique within it: a rule's name or number, a policy's target; or nothing.
    pub part: &'a str,
}

impl Owner<'_> {
    fn seed(&self) -> Box<str> {
        match &self.metadata.uid {
            Some(uid) => format!("{}/{uid}", self.kind),
            None => format!("{}/{}", self.kind, self.key),
        }
        .into()
    }

    /// A cookie's name when none is given: the same as long as the owner is called the same.
    fn cookie(&self) -> Box<str> {
        format!("fairlead-session-{:08x}", short_hash(&format!("{}/{}/{}", self.kind, self.key, self.part))).into()
    }
}

/// Reads it; `path` is where it stands.
pub(crate) fn lower(spec: &SessionPersistence, path: &str, owner: &Owner<'_>) -> Result<Session, Fault> {
    let wrong = |field: &str, message: String| Fault::new(Reason::UnsupportedValue, format!("{path}.{field}"), message);
    let timeout = spec.absolute_timeout.as_deref().map(duration::parse).transpose();
    let absolute_timeout = timeout.map_err(|error| wrong("absoluteTimeout", error))?;
    if absolute_timeout.is_some_and(|limit| limit.0 == 0) {
        return Err(wrong(
            "absoluteTimeout",
            "a session of no time at all is none; leave it out for no limit".to_owned(),
        ));
    }
    let carrier = match spec.type_.as_ref().unwrap_or(&SessionPersistenceType::Cookie) {
        SessionPersistenceType::Other(other) => {
            return Err(wrong("type", format!("{other:?} is neither Cookie nor Header")));
        }
        SessionPersistenceType::Header => {
            let name = spec.header.as_ref().map(|header| header.name.as_str()).unwrap_or_default();
            let name = token(name).ok_or_else(|| wrong("header.name", format!("{name:?} is no header name")))?;
            SessionCarrier::Header { name: name.to_ascii_lowercase().into() }
        }
        SessionPersistenceType::Cookie => {
            let cookie = spec.cookie.as_ref();
            let name = match cookie.and_then(|cookie| cookie.name.as_deref()) {
                None => owner.cookie(),
                Some(name) => {
                    token(name).ok_or_else(|| wrong("cookie.name", format!("{name:?} is no cookie name")))?.into()
                }
            };
            let path = cookie.and_then(|cookie| cookie.path.as_deref()).unwrap_or("/");
            // Anything else would be read as another attribute, or as no path at all (RFC 6265 §4.1.1 and §5.2.4).
            if !path.starts_with('/') || path.bytes().any(|b| b == b';' || !(b' '..=b'~').contains(&b)) {
                return Err(wrong("cookie.path", format!("{path:?} is no path of a cookie")));
            }
            let permanent = match cookie.and_then(|cookie| cookie.lifetime_type.as_ref()) {
                None | Some(CookieLifetimeType::Session) => false,
                Some(CookieLifetimeType::Permanent) => true,
                Some(CookieLifetimeType::Other(other)) => {
                    return Err(wrong("cookie.lifetimeType", format!("{other:?} is neither Session nor Permanent")));
                }
            };
            if permanent && absolute_timeout.is_none() {
                return Err(wrong("absoluteTimeout", "a Permanent cookie needs one".to_owned()));
            }
            SessionCarrier::Cookie { name, path: path.into(), permanent }
        }
    };
    Ok(Session { seed: owner.seed(), carrier, absolute_timeout })
}

/// A token of RFC 9110 §5.6.2, which names of headers and of cookies are.
fn token(name: &str) -> Option<&str> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    (!name.is_empty() && name.bytes().all(fits)).then_some(name)
}
