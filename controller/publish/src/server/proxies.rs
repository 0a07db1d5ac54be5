//! The proxies that are connected, and how far each is.

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

/// What an ack says, if it is about the history that the proxy follows.
pub(super) fn progress(ack: &proto::Ack, version: u64, program: &str) -> ProxyProgress {
    let rejected = ack.rejected.iter().filter_map(|rejection| {
        let id = decode_name(&rejection.kind, &rejection.id);
        if id.is_none() {
            tracing::warn!(kind = rejection.kind, id = rejection.id, "a proxy rejects what has an unknown kind");
        }
        Some((id?, rejection.reason.clone()))
    });
    ProxyProgress {
        acked: version,
        rejected: rejected.collect(),
        unbound: ack.unbound.clone().into_iter().collect(),
        program: program.to_string(),
    }
}
