//! The requests of the writer, and what their answers mean.

use crate::desk::{Job, Live, Name, Outcome};
use crate::merge::Document;
use fairlead_crds::{Kind, Scope};
use http::{Method, Request, header};
use kube::{Client, Error};
use serde::Deserialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::timeout;

/// Writes statuses; cheap to clone.
#[derive(Clone)]
pub(super) struct Requests {
    client: Client,
    /// By kind: which of its versions the server has.
    versions: Arc<[AtomicUsize]>,
}

/// How long a write may take, with all that it needs.
const PATIENCE: Duration = Duration::from_secs(15);

/// What of an object is read.
#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    status: Option<Document>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    uid: Box<str>,
    resource_version: Box<str>,
    generation: Option<i64>,
}

impl Requests {
    pub fn new(client: Client) -> Self {
        Requests { client, versions: Kind::ALL.iter().map(|_| AtomicUsize::new(0)).collect() }
    }

    /// Makes a write. After a conflict the object is read.
    pub async fn write(self, job: Job) -> (Name, Outcome) {
        let Job { name, body } = job;
        let outcome = match timeout(PATIENCE, self.attempt(&name, body)).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Away { message: "no answer in time".to_owned(), wait: None },
        };
        (name, outcome)
    }

    async fn attempt(&self, name: &Name, body: Vec<u8>) -> Outcome {
        for _ in name.0.versions() {
            match self.request(Method::PATCH, name, body.clone()).await {
                Err(Error::Api(status)) if is_unserved(&status) => self.try_another_version(name.0),
                Err(Error::Api(status)) if status.code == 409 => {
                    return match self.request(Method::GET, name, Vec::new()).await {
                        Ok(live) => Outcome::Conflict(Some(live)),
                        Err(Error::Api(status)) if status.code == 404 => Outcome::Gone,
                        Err(_) => Outcome::Conflict(None),
                    };
                }
                Ok(live) => return Outcome::Written(live),
                Err(error) => return outcome(error),
            }
        }
        Outcome::Gone
    }

    async fn request(&self, method: Method, name: &Name, body: Vec<u8>) -> Result<Live, Error> {
        let request = Request::builder()
            .uri(self.path(name, &method))
            .header(header::CONTENT_TYPE, "application/merge-patch+json")
            .method(method);
        let reply: Reply = self.client.request(request.body(body).map_err(Error::HttpError)?).await?;
        let Reply { metadata: Metadata { uid, resource_version, generation }, status } = reply;
        Ok(Live { uid, version: resource_version, generation, status: status.unwrap_or_default() })
    }

    fn path(&self, (kind, key): &Name, method: &Method) -> String {
        let index = self.versions[*kind as usize].load(Ordering::Relaxed);
        let version = kind.versions().get(index % kind.versions().len().max(1)).copied().unwrap_or_default();
        let mut path = format!("/apis/{}/{version}", kind.group());
        if kind.scope() == Scope::Namespaced {
            path.push_str(&format!("/namespaces/{}", key.namespace));
        }
        path.push_str(&format!("/{}/{}", kind.plural(), key.name));
        if *method == Method::PATCH {
            path.push_str("/status?fieldManager=fairlead");
        }
        path
    }

    fn try_another_version(&self, kind: Kind) {
        self.versions[kind as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether the server does not know the resource itself, rather than the object.
fn is_unserved(status: &kube::core::Status) -> bool {
    status.code == 404 && status.details.as_ref().is_none_or(|details| details.name.is_empty())
}

fn outcome(error: Error) -> Outcome {
    let Error::Api(status) = error else { return Outcome::Away { message: error.to_string(), wait: None } };
    let message = status.message.clone();
    match status.code {
        404 | 410 => Outcome::Gone,
        // A webhook can say so too; then it is about the object.
        403 if message.contains("cannot patch resource") => Outcome::Denied(message),
        400 | 403 | 405..=407 | 411..=415 | 422 => Outcome::Refused(message),
        _ => {
            let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
            let wait = (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)));
            Outcome::Away { message: format!("{message} ({})", status.code), wait }
        }
    }
}
