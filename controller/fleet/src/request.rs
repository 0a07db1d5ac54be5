//! One action against the API server.

use crate::book::{Action, Apply, Id, Outcome, digits};
use crate::live::{Live, api};
use crate::problem::{Failure, ProblemReason};
use crate::{APPLIED, CONTROLLER, FIELD_MANAGER};
use kube::api::{Api, DeleteParams, DynamicObject, PartialObjectMeta, Patch, PatchParams, Preconditions};
use serde_json::{Value, json};
use std::sync::Arc;

/// Does it. Never fails: that is an outcome, too.
pub(crate) async fn run(client: kube::Client, controller: Arc<str>, action: Action) -> (Id, Outcome) {
    match action {
        Action::Apply(wanted) => {
            let id = wanted.id.clone();
            let outcome = apply(client, &controller, wanted).await.unwrap_or_else(Outcome::Failed);
            (id, outcome)
        }
        Action::Delete { id, uid } => {
            let outcome = delete(client, &id, &uid).await.unwrap_or_else(Outcome::Failed);
            (id, outcome)
        }
    }
}

async fn apply(client: kube::Client, controller: &str, wanted: Apply) -> Result<Outcome, Failure> {
    let (kind, key) = &wanted.id;
    let objects: Api<DynamicObject> = api(client.clone(), *kind, Some(&key.namespace));
    let live = match &wanted.live {
        Some(live) => Some(live.clone()),
        None => look(client, controller, &wanted.id).await?,
    };
    if live.as_ref().is_some_and(|live| !is_ours(live, &wanted.gateway)) {
        let message = format!(
            "there is a {} {key} that Fairlead did not make for Gateway {}; rename one of them",
            kind.as_str(),
            wanted.gateway
        );
        return Err(Failure { reason: Some(ProblemReason::NotOurs), message });
    }
    if live.as_ref().is_some_and(|live| live.leaving) {
        return Err(Failure::quiet("it is being deleted"));
    }
    let mut manifest = manifest(&wanted, controller)?;
    if let Some(replicas) = wanted.scaled {
        keep_replicas(&mut manifest, replicas, live.as_ref(), &objects, &key.name).await?;
    }
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let applied = objects.patch(&key.name, &params, &Patch::Apply(&manifest)).await;
    let applied = applied.map_err(|error| Failure::from(&error))?;
    let live = Live::of(&applied.metadata, &applied.data, controller);
    tracing::debug!(kind = kind.as_str(), object = %key, version = live.version, "applied");
    Ok(Outcome::Applied { hash: wanted.hash, live })
}

/// The object as it is wanted, with the hash of that, and whose it is.
fn manifest(wanted: &Apply, controller: &str) -> Result<Value, Failure> {
    let (kind, key) = &wanted.id;
    let object = wanted.fleet.objects.iter().find(|object| object.kind == *kind && object.key == *key);
    // A Book hands out what is there.
    let mut manifest = object.ok_or_else(|| Failure::quiet("it is no longer wanted"))?.manifest.clone();
    let annotations = &mut manifest["metadata"]["annotations"];
    if annotations.is_null() {
        *annotations = json!({});
    }
    annotations[APPLIED] = json!(digits(wanted.hash));
    manifest["metadata"]["labels"][CONTROLLER] = json!(controller);
    Ok(manifest)
}

/// Where an autoscaler says how many replicas there are, we say it only to begin with, and for as long as nobody else has:
/// to be silent before would make it one.
async fn keep_replicas(
    manifest: &mut Value,
    least: i64,
    live: Option<&Live>,
    objects: &Api<DynamicObject>,
    name: &str,
) -> Result<(), Failure> {
    let Some(live) = live else {
        manifest["spec"]["replicas"] = json!(least);
        return Ok(());
    };
    if live.holds_replicas {
        let now = objects.get(name).await.map_err(|error| Failure::from(&error))?;
        manifest["spec"]["replicas"] = now.data["spec"]["replicas"].clone();
        // Not when it was scaled since.
        manifest["metadata"]["resourceVersion"] = json!(now.metadata.resource_version);
    }
    Ok(())
}

/// What is known of an object that no watch has told of.
async fn look(client: kube::Client, controller: &str, (kind, key): &Id) -> Result<Option<Live>, Failure> {
    let objects: Api<PartialObjectMeta<DynamicObject>> = api(client, *kind, Some(&key.namespace));
    let found = objects.get_opt(&key.name).await.map_err(|error| Failure::from(&error))?;
    Ok(found.map(|found| Live::of(&found.metadata, &Value::Null, controller)))
}

/// By its owner; by its label when somebody took the owner away.
fn is_ours(live: &Live, gateway: &str) -> bool {
    match &live.gateway {
        Some(owner) => **owner == *gateway,
        None => live.ours,
    }
}

async fn delete(client: kube::Client, (kind, key): &Id, uid: &str) -> Result<Outcome, Failure> {
    let objects: Api<DynamicObject> = api(client, *kind, Some(&key.namespace));
    let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    let params = DeleteParams::background().preconditions(preconditions);
    match objects.delete(&key.name, &params).await {
        Ok(_) => {
            tracing::info!(kind = kind.as_str(), object = %key, "deleted: it is not wanted any more");
            Ok(Outcome::Deleted)
        }
        // Gone, or another one by now.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(Outcome::Deleted),
        Err(error) => Err(Failure::from(&error)),
    }
}
