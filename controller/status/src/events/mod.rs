//! Events (`events.k8s.io/v1`): what a person should notice.
//!
//! The same event is written once in ten minutes; when it is told again later, the written one becomes a series with a count. No object
//! gets more than [`BURST`] different ones in that time. Telling never blocks and never fails: an event that can't be written is logged.

mod window;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event as Written, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, Error};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, timeout};
use window::{Say, Window};

/// Something about an object that a person should notice.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The object. Events of cluster-wide objects go to the namespace `default`, as everywhere.
    pub regarding: ObjectReference,
    /// Whether somebody should do something about it.
    pub severity: Severity,
    /// Why, for machines: `UpperCamelCase`, at most 128 bytes.
    pub reason: String,
    /// What was done or tried, for machines: `UpperCamelCase`, at most 128 bytes.
    pub action: String,
    /// What, for people. Cut at 1 KiB.
    pub message: String,
}

/// `type` of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// For your information.
    Normal,
    /// Something is not as it should be.
    Warning,
}

/// Who tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporter {
    /// `reportingController`: the controller's name.
    pub controller: String,
    /// `reportingInstance`: the replica's, at most 128 bytes.
    pub instance: String,
}

/// Writes events, in the background. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Events {
    queue: mpsc::Sender<Event>,
}

/// Different events of one object in ten minutes.
pub const BURST: usize = 20;

/// Events that wait to be written; what comes on top is logged and dropped.
const QUEUE: usize = 512;

/// How long one write may take.
const PATIENCE: Duration = Duration::from_secs(10);

impl Events {
    /// Starts the writer; it ends with the last clone of the handle.
    pub fn start(client: Client, reporter: Reporter) -> Events {
        let (queue, received) = mpsc::channel(QUEUE);
        let scribe = Scribe { client, reporter, window: Window::new(), denied: false };
        tokio::spawn(scribe.run(received));
        Events { queue }
    }

    /// Tells something.
    pub fn publish(&self, event: Event) {
        if let Err(error) = self.queue.try_send(event) {
            let (mpsc::error::TrySendError::Full(event) | mpsc::error::TrySendError::Closed(event)) = error;
            tracing::debug!("event dropped, there are too many: {event:?}");
        }
    }
}

impl Severity {
    /// As events have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Normal => "Normal",
            Severity::Warning => "Warning",
        }
    }
}

/// The task behind [`Events`].
struct Scribe {
    client: Client,
    reporter: Reporter,
    window: Window,
    /// Whether it was said that events can't be written.
    denied: bool,
}

impl Scribe {
    async fn run(mut self, mut received: mpsc::Receiver<Event>) {
        while let Some(event) = received.recv().await {
            let said = match self.window.say(&event, Instant::now()) {
                Say::Nothing => continue,
                Say::First => timeout(PATIENCE, Box::pin(self.create(&event))).await,
                Say::Again { name, count } => timeout(PATIENCE, Box::pin(self.count(&event, &name, count))).await,
            };
            match said {
                Ok(Ok(name)) => {
                    self.window.said(&event, name);
                    self.denied = false;
                }
                Ok(Err(error)) if self.denied => tracing::debug!(%error, "an event was not written"),
                Ok(Err(error)) => {
                    self.denied = true;
                    tracing::warn!(%error, "an event was not written: {}", event.message);
                }
                Err(_) => tracing::warn!("an event was not written in time: {}", event.message),
            }
        }
    }

    async fn create(&self, event: &Event) -> Result<String, Error> {
        let written = written(event, &self.reporter, Timestamp::now());
        let api = self.api(event);
        let name = written.metadata.name.clone().unwrap_or_default();
        api.create(&PostParams::default(), &written).await.map(|_| name)
    }

    async fn count(&self, event: &Event, name: &str, count: i32) -> Result<String, Error> {
        let series = EventSeries { count, last_observed_time: MicroTime(Timestamp::now()) };
        let patch = Patch::Merge(serde_json::json!({ "series": series }));
        match self.api(event).patch(name, &PatchParams::default(), &patch).await {
            // It has expired in the meantime.
            Err(Error::Api(status)) if status.code == 404 => self.create(event).await,
            patched => patched.map(|_| name.to_owned()),
        }
    }

    fn api(&self, event: &Event) -> Api<Written> {
        Api::namespaced(self.client.clone(), namespace(event))
    }
}

fn namespace(event: &Event) -> &str {
    event.regarding.namespace.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or("default")
}

/// The event as the API has it.
fn written(event: &Event, reporter: &Reporter, now: Timestamp) -> Written {
    let object = event.regarding.name.as_deref().unwrap_or("unknown");
    let metadata = ObjectMeta {
        // Names of objects have up to 253 bytes, and so has the event's.
        name: Some(format!(
            "{}.{:016x}",
            cut(object, 236).trim_end_matches(['.', '-']),
            now.as_nanosecond() & 0xffff_ffff_ffff_ffff
        )),
        namespace: Some(namespace(event).to_owned()),
        ..ObjectMeta::default()
    };
    Written {
        metadata,
        event_time: Some(MicroTime(now)),
        action: Some(cut(&event.action, 128).to_owned()),
        reason: Some(cut(&event.reason, 128).to_owned()),
        note: Some(cut(&event.message, 1024).to_owned()),
        type_: Some(event.severity.as_str().to_owned()),
        regarding: Some(event.regarding.clone()),
        reporting_controller: Some(reporter.controller.clone()),
        reporting_instance: Some(cut(&reporter.instance, 128).to_owned()),
        ..Written::default()
    }
}

/// At most `limit` bytes of a text, and whole characters.
fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests;
