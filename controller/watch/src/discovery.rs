//! Kinds of Kubernetes that not every cluster has: which version there is, by the discovery documents.

use std::sync::Arc;
use std::time::Duration;

use fairlead_crds::Kind;
use fairlead_store::Severity;
use kube::Client;
use serde::Deserialize;
use tokio::time::sleep;

use crate::follow;
use crate::health::Cause;
use crate::objects::{self, Objects};
use crate::origin::Origin;
use crate::retry::Retry;
use crate::shared::Shared;
use crate::task::Task;

/// Watches a kind as long as the API server has it, for ever.
pub(crate) async fn supervise(client: Client, kind: Kind, shared: Arc<Shared>) {
    let (discovery, origin) = (Origin::Discovery(kind), Origin::Objects(kind, None));
    let mut retry = Retry::default();
    let mut watched: Option<(&'static str, Task)> = None;
    loop {
        let version = match version(&client, kind).await {
            Ok(version) => version,
            Err(refusal) => {
                let message = format!("can't find out whether there are {}: {}", discovery.resource(), refusal.why);
                shared.board.report(&discovery, refusal.cause, Severity::Warning, message);
                if refusal.cause == Cause::Denied {
                    shared.edit(|state| state.listed(&discovery));
                }
                sleep(retry.delay()).await;
                continue;
            }
        };
        retry.reset();
        shared.board.solve(&discovery);
        if version != watched.as_ref().map(|(version, _)| *version) {
            if let Some((_, task)) = watched.take() {
                task.end().await;
                shared.board.forget(&origin);
            }
            shared.edit(|state| {
                state.set_served(kind, version.is_some());
                match version {
                    Some(_) => state.expect(origin.clone()),
                    None => {
                        objects::remove(state, &origin, |_| true);
                        state.listed(&origin);
                    }
                }
            });
            watched = version.map(|version| {
                let objects = Objects::new(shared.clone(), kind, origin.clone(), version);
                let collection = origin.collection(version);
                let follow = follow::follow(client.clone(), origin.clone(), collection, shared.clone(), objects);
                (version, Task::new(tokio::spawn(follow)))
            });
        }
        shared.edit(|state| state.listed(&discovery));
        sleep(AGAIN).await;
    }
}

/// The best version that the API server has; `None`: it does not have the kind.
async fn version(client: &Client, kind: Kind) -> Result<Option<&'static str>, follow::Refusal> {
    let Some(group) = document::<Group>(client, &format!("/apis/{}", kind.group())).await? else { return Ok(None) };
    for version in kind.versions().iter().filter(|version| group.versions.iter().any(|has| has.version == **version)) {
        let resources: Option<Resources> = document(client, &format!("/apis/{}/{version}", kind.group())).await?;
        if resources.is_some_and(|all| all.resources.iter().any(|resource| resource.name == kind.plural())) {
            return Ok(Some(version));
        }
    }
    Ok(None)
}

/// `None` when there is no such document.
async fn document<T: for<'de> Deserialize<'de>>(client: &Client, path: &str) -> Result<Option<T>, follow::Refusal> {
    let wrong = |why: String| follow::Refusal { cause: Cause::Unreachable, why, is_absent: false };
    let request = http::Request::get(path).body(Vec::new()).map_err(|error| wrong(error.to_string()))?;
    match follow::request_text(client, request).await {
        Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| wrong(error.to_string())),
        Err(follow::Refusal { is_absent: true, .. }) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct Resources {
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
}

/// How often it is asked for: a kind comes and goes with an upgrade of the cluster.
const AGAIN: Duration = if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(60) };
