//! Host names to addresses, on the control runtime.
//!
//! `Resolver::watch(hosts) ──► driver (one task) ──► on_change(host, addresses) ──► EndpointList ──► workers`
//!
//! Workers never resolve: they are handed lists of addresses. A host is looked up again when its TTL ends (at least [`MIN_REFRESH`],
//! at most [`MAX_REFRESH`]). Semantics are those of Envoy's strict DNS clusters:
//! * all addresses are endpoints;
//! * "no such name" and "no addresses" are answers too: they empty the set;
//! * a failed lookup (timeout, SERVFAIL, no name server) keeps the last good addresses and is tried again soon;
//! * IPv4 addresses when there are any, otherwise IPv6 (Envoy Gateway's `V4_PREFERRED`).
//!
//! `/etc/hosts` comes first, `localhost` is known without asking (RFC 6761 §6.3), numeric hosts are their own answer. A name is
//! tried as it is and then, if it does not exist, with the search domains of the system.

mod lookup;

use lookup::{Answer, Lookup};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// A host is looked up at most this often.
pub const MIN_REFRESH: Duration = Duration::from_secs(1);

/// A host is looked up at least this often.
pub const MAX_REFRESH: Duration = Duration::from_secs(30);

/// Lookups under way at a time.
const MAX_LOOKUPS: usize = 16;

/// Who is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NameServers {
    /// `/etc/resolv.conf`, read again when it changes.
    #[default]
    System,
    /// These, over UDP and TCP, without search domains.
    Only(Vec<SocketAddr>),
}

/// Keeps the addresses of a set of hosts up to date. The work ends when it is dropped.
#[derive(Debug)]
pub struct Resolver {
    hosts: watch::Sender<BTreeSet<Arc<str>>>,
}

impl Resolver {
    /// Starts on the current runtime with no hosts. `on_change` is called from a task of that runtime with a host and all its
    /// addresses, sorted, when they are first known and whenever they differ from those before.
    pub fn start(servers: NameServers, on_change: impl FnMut(&str, &[IpAddr]) + Send + 'static) -> Resolver {
        let (hosts, wanted) = watch::channel(BTreeSet::new());
        let driver = Driver {
            lookup: Lookup::new(servers),
            watched: BTreeMap::new(),
            running: JoinSet::new(),
            on_change,
            next_serial: 0,
        };
        tokio::spawn(driver.run(wanted));
        Resolver { hosts }
    }

    /// Replaces the set of hosts: new ones are looked up at once, those that are left out are forgotten.
    pub fn watch(&self, hosts: BTreeSet<Arc<str>>) {
        self.hosts.send_if_modified(|current| {
            let changed = *current != hosts;
            *current = hosts;
            changed
        });
    }
}

/// The task behind a [`Resolver`].
struct Driver<F> {
    lookup: Lookup,
    watched: BTreeMap<Arc<str>, Watched>,
    running: JoinSet<(Arc<str>, u64, Answer)>,
    on_change: F,
    next_serial: u64,
}

struct Watched {
    /// Tells a host that was dropped and added again from the one that a late answer was for.
    serial: u64,
    /// When to look it up (again); `None` while that is under way, and for numeric hosts.
    due: Option<Instant>,
    /// Sorted; `None` until the first answer.
    addresses: Option<Vec<IpAddr>>,
    /// Failures in a row.
    failures: u32,
}

impl<F: FnMut(&str, &[IpAddr]) + Send + 'static> Driver<F> {
    async fn run(mut self, mut wanted: watch::Receiver<BTreeSet<Arc<str>>>) {
        loop {
            self.start_due();
            let due = if self.running.len() < MAX_LOOKUPS { self.next_due() } else { None };
            let timer = async {
                match due {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let hosts = wanted.borrow_and_update().clone();
                    self.replace(&hosts);
                }
                Some(done) = self.running.join_next() => {
                    if let Ok((host, serial, answer)) = done {
                        self.finish(&host, serial, answer);
                    }
                }
                () = timer => {}
            }
        }
    }

    fn replace(&mut self, hosts: &BTreeSet<Arc<str>>) {
        self.watched.retain(|host, _| hosts.contains(host));
        for host in hosts {
            if self.watched.contains_key(host) {
                continue;
            }
            let serial = self.next_serial;
            self.next_serial += 1;
            let mut entry = Watched { serial, due: Some(Instant::now()), addresses: None, failures: 0 };
            if let Some(address) = numeric(host) {
                entry.due = None;
                entry.addresses = Some(vec![address]);
                (self.on_change)(host, &[address]);
            }
            self.watched.insert(host.clone(), entry);
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.watched.values().filter_map(|w| w.due).min()
    }

    /// Starts lookups that are due, longest due first, as far as [`MAX_LOOKUPS`] allows.
    fn start_due(&mut self) {
        let now = Instant::now();
        while self.running.len() < MAX_LOOKUPS {
            let due =
                self.watched.iter_mut().filter(|(_, w)| w.due.is_some_and(|at| at <= now)).min_by_key(|(_, w)| w.due);
            let Some((host, entry)) = due else { return };
            entry.due = None;
            let (host, serial) = (host.clone(), entry.serial);
            let lookup = self.lookup.prepare();
            self.running.spawn(async move {
                let answer = lookup.run(&host).await;
                (host, serial, answer)
            });
        }
    }

    fn finish(&mut self, host: &Arc<str>, serial: u64, answer: Answer) {
        let Some(entry) = self.watched.get_mut(host).filter(|w| w.serial == serial) else { return };
        match answer {
            Answer::Addresses { mut addresses, ttl } => {
                addresses.sort_unstable();
                addresses.dedup();
                entry.due = Some(Instant::now() + ttl.clamp(MIN_REFRESH, MAX_REFRESH));
                if entry.failures > 0 {
                    tracing::info!(host = &**host, "resolves again");
                }
                entry.failures = 0;
                if entry.addresses.as_ref() != Some(&addresses) {
                    tracing::debug!(host = &**host, ?addresses, "resolved");
                    (self.on_change)(host, &addresses);
                    entry.addresses = Some(addresses);
                }
            }
            Answer::Failed(reason) => {
                // 1, 2, 4 … 30 s.
                let wait = MIN_REFRESH * 2u32.saturating_pow(entry.failures.min(5));
                entry.due = Some(Instant::now() + wait.min(MAX_REFRESH));
                if entry.failures == 0 {
                    let kept = entry.addresses.as_ref().map_or(0, Vec::len);
                    tracing::warn!(
                        host = &**host,
                        reason,
                        kept,
                        "cannot be resolved; keeping the addresses known before"
                    );
                }
                entry.failures += 1;
            }
        }
    }
}

/// `10.0.0.1`, `::1`, `[::1]`.
fn numeric(host: &str) -> Option<IpAddr> {
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    inner.parse().ok()
}

#[cfg(test)]
mod tests;
