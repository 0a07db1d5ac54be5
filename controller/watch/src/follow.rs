//! List, then watch, for ever.
//!
//! A watch that ends goes on where it was; one that is too old (410) begins with a list again. Nothing is ever given up:
//! every failure is tried again, at most five seconds later, and reported while it lasts.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use fairlead_store::Severity;
use futures_util::TryStreamExt as _;
use kube::Client;
use kube::api::{ListParams, WatchParams};
use kube::core::response::Status;
use kube::core::{Request, WatchEvent};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use crate::health::Cause;
use crate::origin::{Collection, Origin};
use crate::retry::Retry;
use crate::shared::Shared;

/// Something that is listed and watched.
pub(crate) trait Item: DeserializeOwned + Clone + Send + 'static {
    /// Its `metadata.resourceVersion`.
    fn version(&self) -> &str;
}

/// Where items go.
pub(crate) trait Sink: Send {
    type Item: Item;

    /// A list begins; pages of an unfinished one do not count.
    fn begin(&mut self);
    /// Some items of the list.
    fn page(&mut self, items: Vec<Self::Item>);
    /// The list is complete: what is not in it is gone.
    fn listed(&mut self);
    /// An item is new or changed.
    fn put(&mut self, item: Self::Item);
    /// An item is gone.
    fn remove(&mut self, item: Self::Item);
}

/// Lists and watches for ever.
pub(crate) async fn follow<S: Sink>(
    client: Client,
    origin: Origin,
    collection: Collection,
    shared: Arc<Shared>,
    sink: S,
) {
    let page = collection.page;
    let follower = Follower { client, origin, collection, shared, sink, version: None, page, retry: Retry::default() };
    follower.run().await;
}

struct Follower<S> {
    client: Client,
    origin: Origin,
    collection: Collection,
    shared: Arc<Shared>,
    sink: S,
    /// What was seen last; `None`: list first.
    version: Option<String>,
    /// Items in a page of a list; 0: all.
    page: u32,
    retry: Retry,
}

/// Why to try again.
#[derive(Debug)]
enum Failure {
    /// 403 or 401.
    Denied(String),
    /// 404.
    Absent(String),
    /// 410: what was seen last, or a list's next page, is too old to go on from.
    Expired(String),
    /// The connection ended in the midst of a watch.
    Broken(String),
    Unreachable(String),
}

#[derive(Deserialize)]
struct List<T> {
    #[serde(default)]
    metadata: ListMetadata,
    #[serde(default = "Option::default")]
    items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ListMetadata {
    resource_version: String,
    #[serde(rename = "continue")]
    token: String,
}

impl<S: Sink> Follower<S> {
    async fn run(mut self) {
        loop {
            let result = match self.version.clone() {
                None => self.list().await,
                Some(version) => self.watch(&version).await,
            };
            if let Err(failure) = result {
                self.failed(failure).await;
            }
        }
    }

    async fn list(&mut self) -> Result<(), Failure> {
        self.sink.begin();
        let request = Request::new(self.collection.path.as_str());
        let mut token = None;
        loop {
            let params = ListParams {
                field_selector: self.collection.fields.clone(),
                limit: (self.page > 0).then_some(self.page),
                continue_token: token,
                ..ListParams::default()
            };
            let request = match self.collection.metadata_only {
                true => request.list_metadata(&params),
                false => request.list(&params),
            };
            let request = request.map_err(|error| Failure::Unreachable(error.to_string()))?;
            // Not kube's own parsing, which logs the whole text, be it of Secrets, when it is not as expected.
            let text = in_time(self.client.request_text(request)).await?;
            let list: List<S::Item> = serde_json::from_str(&text).map_err(unexpected)?;
            drop(text);
            self.sink.page(list.items.unwrap_or_default());
            if !list.metadata.token.is_empty() {
                token = Some(list.metadata.token);
                continue;
            }
            if list.metadata.resource_version.is_empty() {
                return Err(Failure::Unreachable("a list without resourceVersion".to_owned()));
            }
            self.sink.listed();
            self.page = self.collection.page;
            self.version = Some(list.metadata.resource_version);
            return Ok(());
        }
    }

    async fn watch(&mut self, version: &str) -> Result<(), Failure> {
        let params = WatchParams {
            field_selector: self.collection.fields.clone(),
            timeout: Some(WATCH_SECONDS),
            ..WatchParams::default()
        };
        let request = Request::new(self.collection.path.as_str());
        let request = match self.collection.metadata_only {
            true => request.watch_metadata(&params, version),
            false => request.watch(&params, version),
        };
        let request = request.map_err(|error| Failure::Unreachable(error.to_string()))?;
        let stream = in_time(self.client.request_events::<S::Item>(request)).await?;
        let mut stream = std::pin::pin!(stream);
        self.shared.board.solve(&self.origin);
        let (begin, mut is_alive) = (Instant::now(), false);
        loop {
            let event = match timeout(IDLE, stream.try_next()).await {
                Err(_) => return Err(Failure::Broken(format!("nothing for {} s", IDLE.as_secs()))),
                Ok(Err(error)) => return Err(failure(error, Failure::Broken)),
                // Usual after `WATCH_SECONDS`; a server that ends all watches at once is not asked in a loop.
                Ok(Ok(None)) if is_alive || begin.elapsed() > BRIEF => return Ok(()),
                Ok(Ok(None)) => return Err(Failure::Broken("the watch ended at once".to_owned())),
                Ok(Ok(Some(event))) => event,
            };
            is_alive = true;
            self.event(event)?;
            self.retry.reset();
        }
    }

    fn event(&mut self, event: WatchEvent<S::Item>) -> Result<(), Failure> {
        match event {
            WatchEvent::Added(item) | WatchEvent::Modified(item) => {
                self.seen(item.version());
                self.sink.put(item);
            }
            WatchEvent::Deleted(item) => {
                self.seen(item.version());
                self.sink.remove(item);
            }
            WatchEvent::Bookmark(bookmark) => self.seen(&bookmark.metadata.resource_version),
            WatchEvent::Error(status) => return Err(of_status(&status)),
        }
        Ok(())
    }

    fn seen(&mut self, version: &str) {
        if !version.is_empty() {
            self.version = Some(version.to_owned());
        }
    }

    /// Says what is wrong, when that is worth saying, and waits.
    async fn failed(&mut self, failure: Failure) {
        let origin = &self.origin;
        debug!(%origin, ?failure, failures = self.retry.failures());
        let delay = self.retry.delay();
        // What is solved at the next attempt is not worth telling.
        let lasts = self.retry.failures() > 1;
        let board = &self.shared.board;
        match failure {
            Failure::Denied(why) => {
                let resource = origin.resource();
                let message =
                    format!("may not list and watch {origin}: {why} (RBAC: allow get, list, watch of {resource})");
                let severity = if origin.is_optional() { Severity::Warning } else { Severity::Error };
                board.report(origin, Cause::Denied, severity, message);
                if origin.is_optional() {
                    self.shared.edit(|state| state.listed(origin));
                }
            }
            Failure::Expired(_) => {
                if self.version.take().is_none() {
                    // A list took longer than its pages live.
                    self.page = 0;
                }
            }
            Failure::Broken(_) => {}
            Failure::Absent(why) | Failure::Unreachable(why) if lasts => {
                let message = format!("can't list and watch {origin}: {why}");
                board.report(origin, Cause::Unreachable, Severity::Error, message);
            }
            Failure::Absent(_) | Failure::Unreachable(_) => {}
        }
        sleep(delay).await;
    }
}

/// Why there is no answer that can be used.
pub(crate) struct Refusal {
    pub cause: Cause,
    pub why: String,
    /// 404.
    pub is_absent: bool,
}

/// An answer of the API server, in time.
pub(crate) async fn request_text(client: &Client, request: http::Request<Vec<u8>>) -> Result<String, Refusal> {
    in_time(client.request_text(request)).await.map_err(|failure| {
        let is_absent = matches!(failure, Failure::Absent(_));
        let (cause, why) = match failure {
            Failure::Denied(why) => (Cause::Denied, why),
            Failure::Absent(why) | Failure::Expired(why) | Failure::Broken(why) | Failure::Unreachable(why) => {
                (Cause::Unreachable, why)
            }
        };
        Refusal { cause, why, is_absent }
    })
}

async fn in_time<T>(answer: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match timeout(ANSWER, answer).await {
        Ok(result) => result.map_err(|error| failure(error, Failure::Unreachable)),
        Err(_) => Err(Failure::Unreachable(format!("no answer within {} s", ANSWER.as_secs()))),
    }
}

fn failure(error: kube::Error, other: fn(String) -> Failure) -> Failure {
    match error {
        kube::Error::Api(status) => of_status(&status),
        kube::Error::SerdeError(error) => unexpected(error),
        error => other(with_causes(&error)),
    }
}

fn of_status(status: &Status) -> Failure {
    let why = match status.message.is_empty() {
        true => format!("{} {}", status.code, status.reason),
        false => status.message.clone(),
    };
    match status.code {
        401 | 403 => Failure::Denied(why),
        404 => Failure::Absent(why),
        // A version that the server does not have yet, or no more, and one that it can't read.
        400 | 410 => Failure::Expired(why),
        _ if status.reason == "Expired" || why.contains("Too large resource version") => Failure::Expired(why),
        _ => Failure::Unreachable(why),
    }
}

/// The place only: the text may be of a Secret.
fn unexpected(error: serde_json::Error) -> Failure {
    let (line, column) = (error.line(), error.column());
    Failure::Unreachable(format!("an answer that is not as expected, at line {line} column {column}"))
}

/// An error and what led to it; what says the same twice is said once.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// The server ends a watch after this time. It accepts less than five minutes of many.
const WATCH_SECONDS: u32 = 290;
/// A watch on which nothing comes for so long is taken for dead: bookmarks come every minute.
const IDLE: Duration = Duration::from_secs(100);
/// An answer, or a page of a list, takes no longer.
const ANSWER: Duration = Duration::from_secs(30);
/// A watch that ends within this time, without an event, does not count as one.
const BRIEF: Duration = Duration::from_secs(1);
