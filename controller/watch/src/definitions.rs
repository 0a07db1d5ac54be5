//! Which kinds the API server has, in which version: CustomResourceDefinitions.
//!
//! Their metadata is watched, because schemas are large; what versions one serves is asked for when it changes. Each kind that
//! is there has watches of its own, which begin when its CRD comes and end when it goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fairlead_crds::Kind;
use fairlead_crds::gateway::GROUP;
use fairlead_store::Severity;
use kube::Client;
use kube::api::GetParams;
use kube::core::Request;
use serde::Deserialize;
use tokio::sync::watch::{self, Receiver, Sender};
use tokio::time::{Instant, sleep_until};

use crate::Settings;
use crate::discovery;
use crate::follow::{self, Item, Sink};
use crate::health::Cause;
use crate::objects::{self, Objects};
use crate::origin::{DEFINITIONS, Origin};
use crate::retry::Retry;
use crate::shared::Shared;
use crate::task::Task;

/// Sees to the watches of all kinds, for ever.
pub(crate) async fn supervise(client: Client, settings: Settings, shared: Arc<Shared>) {
    let (sender, receiver) = watch::channel(None);
    let origin = Origin::Definitions;
    let listing = Listing { sender, staged: BTreeMap::new() };
    let collection = origin.collection("v1");
    let follow = follow::follow(client.clone(), origin, collection, shared.clone(), listing);
    let _follow = Task::new(tokio::spawn(follow));
    let mut supervisor = Supervisor {
        client,
        settings,
        shared,
        definitions: receiver,
        handled: BTreeMap::new(),
        watched: BTreeMap::new(),
        retry: Retry::default(),
    };
    let mut optional = Vec::new();
    for kind in Kind::ALL.iter().copied().filter(|kind| kind.is_core()) {
        if kind.is_optional() {
            supervisor.shared.edit(|state| state.expect(Origin::Discovery(kind)));
            let task = discovery::supervise(supervisor.client.clone(), kind, supervisor.shared.clone());
            optional.push(Task::new(tokio::spawn(task)));
        } else {
            supervisor.start(kind, kind.version());
        }
    }
    supervisor.run().await;
}

/// What is known of a CRD from its metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Definition {
    name: String,
    version: String,
    /// Another one has other schemas, or serves others.
    generation: i64,
    bundle: Option<String>,
    /// Of the experimental channel.
    experimental: bool,
}

type Definitions = BTreeMap<Kind, Definition>;

struct Supervisor {
    client: Client,
    settings: Settings,
    shared: Arc<Shared>,
    /// `None` until they were listed.
    definitions: Receiver<Option<Definitions>>,
    /// What the watches were made for.
    handled: Definitions,
    watched: BTreeMap<Kind, Watched>,
    retry: Retry,
}

/// The watches of a kind.
struct Watched {
    version: &'static str,
    /// Of the CRD.
    generation: i64,
    tasks: BTreeMap<Origin, Task>,
}

impl Supervisor {
    async fn run(mut self) {
        loop {
            let Some(definitions) = self.definitions.borrow_and_update().clone() else {
                if self.definitions.changed().await.is_err() {
                    return;
                }
                continue;
            };
            self.shared.edit(|state| {
                state.set_bundle(bundle(&definitions));
                state.set_experimental(
                    definitions.get(&Kind::Gateway).is_some_and(|definition| definition.experimental),
                );
            });
            let is_complete = self.handle(&definitions).await;
            if is_complete {
                self.retry.reset();
                self.shared.edit(|state| state.listed(&Origin::Definitions));
                if self.definitions.changed().await.is_err() {
                    return;
                }
            } else {
                let again = Instant::now() + self.retry.delay();
                tokio::select! {
                    () = sleep_until(again) => {}
                    changed = self.definitions.changed() => if changed.is_err() { return },
                }
            }
        }
    }

    /// Says whether all went well.
    async fn handle(&mut self, definitions: &Definitions) -> bool {
        let mut is_complete = true;
        for kind in Kind::ALL.iter().copied().filter(|kind| name(*kind).is_some()) {
            match definitions.get(&kind) {
                Some(definition) if self.handled.get(&kind) == Some(definition) => {}
                Some(definition) => match self.served(definition).await {
                    Ok(served) => {
                        self.handled.insert(kind, definition.clone());
                        self.adapt(kind, definition, &served).await;
                    }
                    Err(None) => self.gone(kind).await,
                    Err(Some((cause, why))) => {
                        is_complete = false;
                        let message = format!("can't get the CRD {}: {why}", definition.name);
                        self.shared.board.report(&Origin::Objects(kind, None), cause, Severity::Error, message);
                    }
                },
                None => self.gone(kind).await,
            }
        }
        is_complete
    }

    /// The CRD's versions; none until it can be used. `Err(None)`: it is gone.
    async fn served(&self, definition: &Definition) -> Result<Vec<String>, Option<(Cause, String)>> {
        let unexpected = |error: String| Some((Cause::Unreachable, error));
        let request = Request::new(DEFINITIONS).get(&definition.name, &GetParams::default());
        let request = request.map_err(|error| unexpected(error.to_string()))?;
        let text = match follow::request_text(&self.client, request).await {
            Ok(text) => text,
            Err(follow::Refusal { is_absent: true, .. }) => return Err(None),
            Err(refusal) => return Err(Some((refusal.cause, refusal.why))),
        };
        let crd: Crd = serde_json::from_str(&text).map_err(|error| unexpected(error.to_string()))?;
        let is = |condition: &Condition| condition.type_ == "Established" && condition.status == "True";
        if !crd.conditions().any(is) {
            return Ok(Vec::new());
        }
        Ok(crd.spec.versions.into_iter().filter(|version| version.served).map(|version| version.name).collect())
    }

    /// Begins, ends or changes the watches of a kind.
    async fn adapt(&mut self, kind: Kind, definition: &Definition, served: &[String]) {
        let is_served = |version: &&&str| served.iter().any(|served| served == **version);
        let Some(version) = kind.versions().iter().find(is_served) else {
            self.end(kind).await;
            if !served.is_empty() {
                let (known, served) = (kind.versions().join(", "), served.join(", "));
                let message = format!("the CRD {} serves {served}, of which none is read ({known})", definition.name);
                let origin = Origin::Objects(kind, None);
                self.shared.board.report(&origin, Cause::NotServed, Severity::Error, message);
            }
            return;
        };
        match self.watched.get_mut(&kind) {
            Some(watched) if watched.version == *version && watched.generation == definition.generation => {}
            _ => {
                // What was read stays until it was listed again: defaults may be others now.
                for (_, task) in self.watched.remove(&kind).map(|watched| watched.tasks).into_iter().flatten() {
                    task.end().await;
                }
                self.shared.board.forget(&Origin::Objects(kind, None));
                self.start(kind, version);
                if let Some(watched) = self.watched.get_mut(&kind) {
                    watched.generation = definition.generation;
                }
            }
        }
    }

    fn start(&mut self, kind: Kind, version: &'static str) {
        let mut tasks = BTreeMap::new();
        for origin in Origin::all(kind, &self.settings) {
            self.shared.edit(|state| state.expect(origin.clone()));
            let objects = Objects::new(self.shared.clone(), kind, origin.clone(), version);
            let collection = origin.collection(version);
            let follow = follow::follow(self.client.clone(), origin.clone(), collection, self.shared.clone(), objects);
            tasks.insert(origin, Task::new(tokio::spawn(follow)));
        }
        self.watched.insert(kind, Watched { version, generation: 0, tasks });
    }

    /// The CRD is not there.
    async fn gone(&mut self, kind: Kind) {
        self.handled.remove(&kind);
        self.end(kind).await;
        let severity = match kind {
            Kind::GatewayClass | Kind::Gateway | Kind::HTTPRoute => Severity::Error,
            _ if kind.is_experimental() => Severity::Note,
            _ => Severity::Warning,
        };
        let name = name(kind).unwrap_or_default();
        let message = format!("the CRD {name} is not installed; there is no {kind} until it is");
        self.shared.board.report(&Origin::Objects(kind, None), Cause::NotInstalled, severity, message);
    }

    async fn end(&mut self, kind: Kind) {
        let Some(watched) = self.watched.remove(&kind) else { return };
        for (origin, task) in watched.tasks {
            task.end().await;
            self.shared.board.forget(&origin);
            self.shared.edit(|state| {
                objects::remove(state, &origin, |_| true);
                state.listed(&origin);
            });
        }
    }
}

/// The name of a kind's CRD; none for Kubernetes' own kinds.
fn name(kind: Kind) -> Option<String> {
    fairlead_crds::schema::source(kind).map(|_| format!("{}.{}", kind.plural(), kind.group()))
}

/// The oldest version of the Gateway API among its CRDs.
fn bundle(definitions: &Definitions) -> Option<Arc<str>> {
    let of_gateway_api = definitions.iter().filter(|(kind, _)| kind.group() == GROUP);
    let bundles: BTreeSet<_> = of_gateway_api
        .filter_map(|(_, definition)| definition.bundle.as_deref())
        .map(|bundle| (numbers(bundle), bundle))
        .collect();
    bundles.first().map(|(_, bundle)| Arc::from(*bundle))
}

/// `v1.7.0-rc.1` → 1, 7, 0.
fn numbers(version: &str) -> Vec<u32> {
    let version = version.strip_prefix('v').unwrap_or(version);
    let version = version.split(['-', '+']).next().unwrap_or(version);
    version.split('.').map_while(|number| number.parse().ok()).collect()
}

/// Collects the CRDs that concern us.
struct Listing {
    sender: Sender<Option<Definitions>>,
    staged: Definitions,
}

impl Listing {
    fn kind(definition: &Definition) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| name(*kind).as_ref() == Some(&definition.name))
    }
}

impl Sink for Listing {
    type Item = Definition;

    fn begin(&mut self) {
        self.staged.clear();
    }

    fn page(&mut self, items: Vec<Definition>) {
        self.staged.extend(items.into_iter().filter_map(|item| Some((Self::kind(&item)?, item))));
    }

    fn listed(&mut self) {
        let listed = std::mem::take(&mut self.staged);
        self.sender.send_replace(Some(listed));
    }

    fn put(&mut self, item: Definition) {
        if let Some(kind) = Self::kind(&item) {
            self.sender.send_modify(|all| {
                all.get_or_insert_default().insert(kind, item);
            });
        }
    }

    fn remove(&mut self, item: Definition) {
        if let Some(kind) = Self::kind(&item) {
            self.sender.send_modify(|all| {
                all.get_or_insert_default().remove(&kind);
            });
        }
    }
}

impl Item for Definition {
    fn version(&self) -> &str {
        &self.version
    }
}

impl<'de> Deserialize<'de> for Definition {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Partial {
            metadata: Metadata,
        }
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Metadata {
            name: String,
            resource_version: String,
            generation: i64,
            annotations: BTreeMap<String, String>,
        }
        let mut metadata = Partial::deserialize(deserializer)?.metadata;
        let bundle = metadata.annotations.remove("gateway.networking.k8s.io/bundle-version");
        let experimental = metadata
            .annotations
            .get("gateway.networking.k8s.io/channel")
            .is_some_and(|channel| channel == "experimental");
        let Metadata { name, resource_version, generation, .. } = metadata;
        Ok(Definition { name, version: resource_version, generation, bundle, experimental })
    }
}

/// What is of interest in a whole CRD.
#[derive(Deserialize)]
struct Crd {
    spec: Spec,
    #[serde(default)]
    status: Option<CrdStatus>,
}

impl Crd {
    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.status.iter().flat_map(|status| &status.conditions).flatten()
    }
}

#[derive(Deserialize)]
struct Spec {
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    name: String,
    #[serde(default)]
    served: bool,
}

/// All of it is null in the first moment.
#[derive(Deserialize)]
struct CrdStatus {
    #[serde(default)]
    conditions: Option<Vec<Condition>>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
}

#[cfg(test)]
mod tests;
