//! The proxies that are connected, and how far each is.

use super::warnings::{Warnings, plain, shortened};
use super::{Identity, Shared};
use crate::{Progress, ProxyProgress};
use fairlead_ir::Id;
use fairlead_wire::{decode_name, proto};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Shows [`Progress`], and sees to it that a pod has one stream.
#[derive(Debug)]
pub(super) struct Proxies {
    progress: watch::Sender<Arc<Progress>>,
    streams: Mutex<Streams>,
    serial: AtomicU64,
}

/// By Gateway and pod: the number of the stream, and how it is told that a younger one takes over.
type Streams = BTreeMap<(Id, Id), (u64, watch::Sender<bool>)>;

/// A connected proxy; it is not any more when this is dropped.
pub(super) struct Connected {
    shared: Arc<Shared>,
    identity: Identity,
    serial: u64,
    /// True when a younger stream of the same pod takes over.
    pub replaced: watch::Receiver<bool>,
}

impl Default for Proxies {
    fn default() -> Proxies {
        Proxies { progress: watch::Sender::new(Arc::default()), streams: Mutex::default(), serial: AtomicU64::new(0) }
    }
}

impl Proxies {
    pub fn subscribe(&self) -> watch::Receiver<Arc<Progress>> {
        self.progress.subscribe()
    }

    fn update(&self, identity: &Identity, proxy: Option<ProxyProgress>) {
        self.progress.send_if_modified(|progress| {
            let known = progress.get(&identity.gateway).and_then(|gateway| gateway.proxies.get(&identity.pod));
            if known == proxy.as_ref() {
                return false;
            }
            let progress = Arc::make_mut(progress);
            let gateway = Arc::make_mut(progress.entry(identity.gateway.clone()).or_default());
            match proxy {
                Some(proxy) => drop(gateway.proxies.insert(identity.pod.clone(), proxy)),
                None => drop(gateway.proxies.remove(&identity.pod)),
            }
            if gateway.proxies.is_empty() {
                progress.remove(&identity.gateway);
            }
            true
        });
    }
}

impl Connected {
    /// A proxy has said hello. An older stream of its pod ends.
    pub fn new(shared: Arc<Shared>, identity: Identity, first: ProxyProgress) -> Connected {
        let proxies = &shared.proxies;
        let serial = proxies.serial.fetch_add(1, Ordering::Relaxed);
        let (replace, replaced) = watch::channel(false);
        let mut streams = proxies.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (identity.gateway.clone(), identity.pod.clone());
        if let Some((_, older)) = streams.insert(key, (serial, replace)) {
            older.send_replace(true);
        }
        proxies.update(&identity, Some(first));
        drop(streams);
        Connected { shared, identity, serial, replaced }
    }

    /// The proxy has said what it serves.
    pub fn update(&self, progress: ProxyProgress) {
        if !*self.replaced.borrow() {
            self.shared.proxies.update(&self.identity, Some(progress));
        }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let proxies = &self.shared.proxies;
        let mut streams = proxies.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (self.identity.gateway.clone(), self.identity.pod.clone());
        if streams.get(&key).is_some_and(|(serial, _)| *serial == self.serial) {
            streams.remove(&key);
            proxies.update(&self.identity, None);
        }
    }
}

/// What an ack says, if it is about the history that the proxy follows. What it says gets into statuses, and so has limits.
pub(super) fn progress(ack: &proto::Ack, version: u64, program: &str, warnings: &Warnings) -> ProxyProgress {
    let (mut rejected, mut unknown) = (Vec::with_capacity(ack.rejected.len()), Vec::new());
    for rejection in &ack.rejected {
        match decode_name(&rejection.kind, &rejection.id) {
            Some(id) => rejected.push((id, plain(&rejection.reason, REASON))),
            None => unknown.push(&*rejection.kind),
        }
    }
    if let Some(kind) = unknown.first()
        && warnings.answers.may_tell()
    {
        let (kind, resources) = (shortened(kind, KIND), unknown.len());
        tracing::warn!(kind, resources, "a proxy rejects what has an unknown kind");
    }
    let unbound = ack.unbound.iter().map(|(socket, reason)| (socket.clone(), plain(reason, REASON)));
    ProxyProgress { acked: version, rejected, unbound: unbound.collect(), program: program.to_owned() }
}

/// Bytes of a reason that are kept: a condition names some proxies with a few each, and has 32 KiB at most.
const REASON: usize = 1024;
/// Bytes of the name of a kind that are told.
const KIND: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_proxy_says_has_limits() {
        let long = "x".repeat(100_000);
        let rejection = |kind: &str| proto::Rejection { kind: kind.into(), id: "a".into(), reason: long.clone() };
        let ack = proto::Ack {
            rejected: vec![rejection("route"), rejection("of the future"), rejection(&long)],
            unbound: [("80".to_owned(), long.clone())].into(),
            ..Default::default()
        };
        let warnings = Warnings::default();
        let said = progress(&ack, 3, "1.2.3", &warnings);
        let lengths: Vec<usize> = said.rejected.iter().map(|(_, reason)| reason.len()).collect();
        assert_eq!((said.acked, lengths), (3, vec![REASON]));
        assert_eq!((said.unbound["80"].len(), &*said.program), (REASON, "1.2.3"));
    }
}
