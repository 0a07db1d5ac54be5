//! Session persistence, compiled.

use fairlead_ir as ir;
use fairlead_upstream::SessionKey;
use std::sync::Arc;
use std::time::Duration;

/// Session persistence of a backend, compiled.
pub struct Session {
    /// Makes and reads tokens.
    pub key: Arc<SessionKey>,
    /// What carries them.
    pub carrier: ir::SessionCarrier,
    /// What follows the value in `Set-Cookie`, without `Secure`: `; Path=/; HttpOnly; SameSite=Strict`. Empty for headers.
    pub attributes: Box<[u8]>,
}

impl Session {
    /// Derives the keys, and writes what does not change.
    pub fn compile(config: &ir::Session) -> Session {
        let timeout = config.absolute_timeout.map(|limit| {
            let seconds = Duration::from(limit).as_millis().div_ceil(1000);
            u32::try_from(seconds).unwrap_or(u32::MAX)
        });
        let attributes = match &config.carrier {
            ir::SessionCarrier::Header { .. } => String::new(),
            ir::SessionCarrier::Cookie { path, permanent, .. } => {
                let age = timeout.filter(|_| *permanent).map(|seconds| format!("; Max-Age={seconds}"));
                format!("; Path={path}{}; HttpOnly; SameSite=Strict", age.unwrap_or_default())
            }
        };
        Session {
            key: Arc::new(SessionKey::derive(&config.seed, timeout)),
            carrier: config.carrier.clone(),
            attributes: attributes.into_bytes().into(),
        }
    }
}
