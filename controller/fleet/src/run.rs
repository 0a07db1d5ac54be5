//! The loop: while leading, what differs is done.

use crate::book::{Book, Outcome};
use crate::live::{self, Sight};
use crate::{Problems, Settings, request};
use fairlead_store::Key;
use fairlead_translate::fleet::{Fleet, ObjectKind};
use foldhash::HashSet;
use futures_util::stream::{FuturesUnordered, StreamExt};
use imbl::OrdMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Requests at a time.
const PARALLEL: usize = 16;

/// How long to wait for the watches to tell what there is: what they don't tell is looked up one by one.
const PATIENCE: Duration = Duration::from_secs(2);

type Wanted = Option<OrdMap<Key, Arc<Fleet>>>;

/// Runs until nobody can submit or lead any more.
pub(crate) async fn run(
    client: kube::Client,
    mut leading: watch::Receiver<bool>,
    mut wanted: watch::Receiver<Wanted>,
    report: watch::Sender<Problems>,
    settings: Settings,
) {
    loop {
        if leading.wait_for(|leading| *leading).await.is_err() || wanted.wait_for(Option::is_some).await.is_err() {
            return;
        }
        let session = Box::pin(session(&client, &mut wanted, &report, &settings));
        tokio::select! {
            // What is under way is given up: the next leader is at it.
            lost = leading.wait_for(|leading| !*leading) => {
                if lost.is_err() {
                    return;
                }
                report.send_replace(Problems::default());
            }
            () = session => return,
        }
    }
}

/// As long as we lead.
async fn session(
    client: &kube::Client,
    wanted: &mut watch::Receiver<Wanted>,
    report: &watch::Sender<Problems>,
    settings: &Settings,
) {
    let mut book = Book::default();
    let controller = settings.label();
    let mut sights = live::watch(client, &settings.namespaces, &controller);
    let watches = sights.len();
    let mut under_way = FuturesUnordered::new();
    let mut broken: HashSet<ObjectKind> = HashSet::default();
    let patience = Instant::now() + PATIENCE;
    let mut settled = false;
    let first = wanted.borrow_and_update().clone();
    book.want(first.unwrap_or_default(), Instant::now());
    loop {
        if !settled && (book.told() == watches || Instant::now() >= patience) {
            settled = true;
            book.settle(Instant::now());
        }
        while under_way.len() < PARALLEL
            && let Some(action) = book.next(Instant::now())
        {
            under_way.push(request::run(client.clone(), controller.clone(), action));
        }
        if let Some(problems) = book.take_problems() {
            tell(problems, report);
        }
        // What waits for a free place is looked at when there is one.
        let alarm = if settled { book.alarm().filter(|_| under_way.len() < PARALLEL) } else { Some(patience) };
        tokio::select! {
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                let fleets = wanted.borrow_and_update().clone();
                book.want(fleets.unwrap_or_default(), Instant::now());
            }
            Some(sight) = sights.next() => {
                note(&sight, &mut broken);
                book.see(sight, Instant::now());
            }
            Some((id, outcome)) = under_way.next() => {
                if let Outcome::Failed(failure) = &outcome {
                    tracing::debug!(kind = id.0.as_str(), object = %id.1, reason = failure.message, "not applied");
                }
                book.done(id, outcome, Instant::now());
            }
            () = sleep_until(alarm) => book.wake(Instant::now()),
        }
    }
}

async fn sleep_until(alarm: Option<Instant>) {
    match alarm {
        Some(alarm) => tokio::time::sleep_until(alarm.into()).await,
        None => std::future::pending().await,
    }
}

/// Says what is new among the problems, once.
fn tell(problems: std::collections::BTreeMap<Key, Vec<crate::Problem>>, report: &watch::Sender<Problems>) {
    let old = report.borrow().clone();
    for (gateway, now) in &problems {
        let before = old.get(gateway).map(Vec::as_slice).unwrap_or_default();
        for problem in now.iter().filter(|problem| !before.contains(problem)) {
            tracing::warn!(%gateway, "{problem}");
        }
    }
    for gateway in old.keys().filter(|gateway| !problems.contains_key(*gateway)) {
        tracing::info!(%gateway, "its proxies are as they should be again");
    }
    if *old != problems {
        report.send_replace(Arc::new(problems));
    }
}

/// Says that a watch does not work, and that it does again, once each.
fn note(sight: &Sight, broken: &mut HashSet<ObjectKind>) {
    match sight {
        Sight::Broken(kind, error) => {
            if broken.insert(*kind) {
                tracing::warn!(
                    kind = kind.as_str(),
                    error,
                    "can't watch; what others change of ours is not set right until it works"
                );
            } else {
                tracing::debug!(kind = kind.as_str(), error, "still can't watch");
            }
        }
        Sight::Told(kind, _) if broken.remove(kind) => tracing::info!(kind = kind.as_str(), "watching again"),
        _ => {}
    }
}
