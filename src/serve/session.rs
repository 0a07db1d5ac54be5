//! One change after the other: plan, push, apply, report.

use super::report::{Event, Reporter};
use crate::dataplane::{Binds, DataPlane};
use crate::findings;
use crate::options;
use crate::view::View;
use fairlead_admin::Readiness;
use fairlead_ir::{Bind, HttpSettings, ResourceId};
use fairlead_publish::Publisher;
use fairlead_store::{Change, Problem, Watch, World};
use fairlead_translate::status::StatusSet;
use fairlead_translate::{Note, Planner, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// What is the same for the whole run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Worker threads.
    pub workers: usize,
    /// Listener port → port that is really taken.
    pub port_map: BTreeMap<u16, u16>,
    /// What HTTP listeners do where the manifests say nothing.
    pub http: HttpSettings,
}

/// From changes of the files to what is served.
pub struct Session {
    data_plane: Arc<DataPlane>,
    planner: Planner,
    publisher: Publisher,
    port_map: BTreeMap<u16, u16>,
    ready: watch::Sender<Readiness>,
    reporter: Reporter,
    binds: Binds,
    state: State,
    /// Findings that were told and still hold; at most [`REMEMBERED`].
    told: Vec<Problem>,
}

/// What followed from the last change.
#[derive(Default)]
struct State {
    world: World,
    status: StatusSet,
    notes: Vec<Arc<Note>>,
}

/// What a change did.
struct Done {
    upserts: usize,
    removals: usize,
    rejected: Vec<(ResourceId, String)>,
    before: State,
    took: Duration,
}

/// So many findings are remembered, to tell when they are over.
const REMEMBERED: usize = 256;
/// Ports that could not be taken are tried again after this time.
const RETRY: Duration = Duration::from_secs(5);

impl Session {
    /// Before the first change.
    pub fn new(data_plane: Arc<DataPlane>, plan: Plan, reporter: Reporter, ready: watch::Sender<Readiness>) -> Session {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|now| i64::try_from(now.as_secs()).ok());
        let settings = Settings { now, addresses: vec![own_address()], http: plan.http, ..Settings::default() };
        Session {
            data_plane,
            planner: Planner::new(settings),
            publisher: Publisher::new(),
            port_map: plan.port_map,
            ready,
            reporter,
            binds: Binds::new(),
            state: State::default(),
            told: Vec::new(),
        }
    }

    /// Takes the first change and prints the tables.
    pub fn begin(&mut self, first: &Change, started: Instant, admin: Option<SocketAddr>) -> anyhow::Result<()> {
        let done = self.take(&first.world, &[]);
        let (findings, _) = self.findings(&State::default(), &done.rejected);
        let config = self.publisher.config();
        let view = View::of(&self.state.world, config, &self.state.status, &self.binds);
        self.reporter.begin(&Event {
            event: "serving",
            version: self.publisher.version(),
            changed: &[],
            upserts: done.upserts,
            removals: done.removals,
            rejected: &done.rejected,
            problems: &first.problems,
            findings: &findings,
            over: &[],
            took: started.elapsed(),
            view: Some(&view),
            admin,
        })
    }

    /// Follows changes until the watch is stopped.
    pub fn follow(mut self, mut watch: Watch) -> anyhow::Result<()> {
        loop {
            // Only a failed port needs a look at the clock.
            let failing = self.binds.values().any(Result::is_err);
            let change = if failing { watch.next_within(RETRY) } else { watch.next() };
            match change {
                Some(change) => self.change(&change)?,
                None if failing && !watch.is_stopped() => self.retry()?,
                None => return Ok(()),
            }
        }
    }

    fn change(&mut self, change: &Change) -> anyhow::Result<()> {
        let done = self.take(&change.world, &change.changed);
        let (findings, over) = self.findings(&done.before, &done.rejected);
        self.reporter.change(&Event {
            event: "changed",
            version: self.publisher.version(),
            changed: &change.changed,
            upserts: done.upserts,
            removals: done.removals,
            rejected: &done.rejected,
            problems: &change.problems,
            findings: &findings,
            over: &over,
            took: done.took,
            view: None,
            admin: None,
        })
    }

    /// Plans, pushes, applies. What is printed comes after.
    fn take(&mut self, world: &World, changed: &[(fairlead_crds::Kind, fairlead_store::Key)]) -> Done {
        let start = Instant::now();
        let touched = self.planner.update(world, changed);
        let push = self.publisher.update(self.planner.config(), &touched);
        let mut state =
            State { world: world.clone(), status: self.planner.status().clone(), notes: self.planner.notes().to_vec() };
        let (upserts, removals) = (push.upserts.len(), push.removals.len());
        let mut rejected = Vec::new();
        // The very first push is applied even when it is empty: from then on it is ready.
        if !push.is_empty() || *self.ready.borrow() == Readiness::Starting {
            let applied = self.data_plane.apply(&push);
            rejected = applied.rejected;
            self.bound(applied.binds, &mut state);
        }
        let before = std::mem::replace(&mut self.state, state);
        Done { upserts, removals, rejected, before, took: start.elapsed() }
    }

    fn retry(&mut self) -> anyhow::Result<()> {
        let binds = self.data_plane.retry_binds();
        let state = State { world: self.state.world.clone(), ..State::default() };
        let mut state = State { status: self.state.status.clone(), notes: self.state.notes.clone(), ..state };
        let before: BTreeSet<Bind> = failed(&self.binds);
        self.bound(binds, &mut state);
        let before_it = std::mem::replace(&mut self.state, state);
        // Told as a port that is listened on.
        self.over(&before_it);
        let recovered: Vec<Bind> = before.difference(&failed(&self.binds)).copied().collect();
        self.reporter.recovered(&recovered)
    }

    /// Lets status say what could be bound, and readiness whether all could.
    fn bound(&mut self, binds: Binds, state: &mut State) {
        let failures: BTreeMap<Bind, Arc<str>> = binds
            .iter()
            .filter_map(|(bind, result)| {
                let error = result.as_ref().err()?;
                let mapped = self.port_map.contains_key(&bind.port);
                let way_out = if mapped { String::new() } else { format!("; {}", options::way_out(bind.port)) };
                Some((*bind, format!("{error}{way_out}").into()))
            })
            .collect();
        self.binds = binds;
        let readiness = match failures.iter().next() {
            None => Readiness::Live,
            Some((bind, error)) => Readiness::ListenerDown(format!("port {}: {error}", bind.port)),
        };
        self.ready.send_if_modified(|now| {
            // Draining stays.
            let change = *now != Readiness::Draining && *now != readiness;
            if change {
                *now = readiness;
            }
            change
        });
        let settings = self.planner.settings();
        if settings.bind_failures != failures {
            let settings = Settings { bind_failures: failures, ..settings.clone() };
            self.planner.set_settings(settings);
            self.planner.update(&state.world, &[]);
            (state.status, state.notes) = (self.planner.status().clone(), self.planner.notes().to_vec());
        }
    }

    /// What is wrong now and was not before, and what was and is not.
    fn findings(&mut self, before: &State, rejected: &[(ResourceId, String)]) -> (Vec<Problem>, Vec<Problem>) {
        let over = self.over(before);
        let State { world, status, notes } = &self.state;
        let mut new = findings::new_of_status(world, &before.status, status, &before.notes, notes);
        // An object whose status changed may have several faults, of which some are known.
        new.retain(|problem| !self.told.iter().any(|told| told.same_as(problem)));
        self.told.extend(new.iter().take(REMEMBERED - self.told.len()).cloned());
        new.extend(findings::of_rejections(world, rejected));
        (new, over)
    }

    /// Forgets and returns what was told and does not hold any more.
    fn over(&mut self, before: &State) -> Vec<Problem> {
        let State { world, status, notes } = &self.state;
        findings::take_over(&mut self.told, world, (&before.status, &before.notes), (status, notes))
    }
}

fn failed(binds: &Binds) -> BTreeSet<Bind> {
    binds.iter().filter(|(_, result)| result.is_err()).map(|(bind, _)| *bind).collect()
}

/// The address of this machine that others would use; loopback when there is none. Sends nothing.
fn own_address() -> IpAddr {
    let route = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    route().filter(|address| !address.is_unspecified()).unwrap_or(Ipv4Addr::LOCALHOST.into())
}
