//! What there is: objects with our labels, watched, and the little of each that matters.

use crate::book::{Id, hash};
use crate::{APPLIED, CONTROLLER, FIELD_MANAGER, problem};
use fairlead_store::Key;
use fairlead_translate::fleet::{APP, MANAGED_BY, ObjectKind, owner_key};
use futures_util::stream::{self, BoxStream, Iter, SelectAll, StreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ApiResource, DynamicObject, PartialObjectMeta};
use kube::core::DynamicResourceScope;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::Value;
use std::sync::Arc;

/// An object as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Live {
    pub uid: Box<str>,
    /// `metadata.resourceVersion`, as a number (which it is, KEP-5504); 0 when it is none.
    pub version: u64,
    /// It has our labels.
    pub ours: bool,
    /// The Gateway that owns it, or what stands for one among fleets.
    pub gateway: Option<Box<str>>,
    /// What [`APPLIED`] says.
    pub applied: Option<Box<str>>,
    /// Hash of the fields that are ours, as the API server sees it. It changes when somebody else sets or removes one of them.
    pub fields: u64,
    /// `spec.replicas` is one of them.
    pub holds_replicas: bool,
    /// It is on its way out.
    pub leaving: bool,
    /// A workload with a pod that is ready.
    pub ready: bool,
    /// Why its pods can't be made.
    pub refused: Option<Box<str>>,
}

impl Live {
    /// Reads `metadata`; `rest` is the object where it was watched as a whole, else null. `controller` is our label's value.
    pub fn of(metadata: &ObjectMeta, rest: &Value, controller: &str) -> Live {
        let mut live = Live {
            uid: metadata.uid.as_deref().unwrap_or_default().into(),
            version: metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0),
            leaving: metadata.deletion_timestamp.is_some(),
            ..Live::default()
        };
        let says = |(label, value): (&str, &str)| {
            metadata.labels.as_ref().and_then(|labels| labels.get(label)).is_some_and(|is| is == value)
        };
        live.ours = says(MANAGED_BY) && says((CONTROLLER, controller));
        let owners = metadata.owner_references.iter().flatten();
        live.gateway = owners.filter_map(|owner| owner_key(&owner.api_version, &owner.kind, &owner.name)).next();
        live.applied = metadata.annotations.as_ref().and_then(|all| all.get(APPLIED)).map(|hash| hash.as_str().into());
        let managers = metadata.managed_fields.iter().flatten();
        let mut own = managers.filter(|entry| {
            entry.manager.as_deref() == Some(FIELD_MANAGER) && entry.operation.as_deref() == Some("Apply")
        });
        if let Some(fields) = own.next().and_then(|entry| entry.fields_v1.as_ref()) {
            live.fields = hash(&fields.0);
            live.holds_replicas = fields.0["f:spec"]["f:replicas"].is_object();
        }
        let status = &rest["status"];
        live.ready =
            ["readyReplicas", "numberReady"].iter().any(|field| status[*field].as_i64().is_some_and(|n| n > 0));
        let conditions = status["conditions"].as_array().into_iter().flatten();
        live.refused = conditions
            .filter(|condition| condition["type"] == "ReplicaFailure" && condition["status"] == "True")
            .filter_map(|condition| Some(condition["message"].as_str()?.into()))
            .next();
        live
    }
}

/// What a watch tells.
#[derive(Clone, Debug)]
pub(crate) enum Sight {
    /// All objects of a kind are told again (of a namespace, when only some are watched): those that are not are gone.
    Again(ObjectKind, Option<Box<str>>),
    Is(Id, Live),
    Gone(Id),
    /// All have been told.
    Told(ObjectKind, Option<Box<str>>),
    /// The watch does not work; it goes on trying.
    Broken(ObjectKind, String),
}

pub(crate) type Sights = SelectAll<BoxStream<'static, Sight>>;

/// Watches objects with our labels, of all kinds.
pub(crate) fn watch(client: &kube::Client, namespaces: &[String], controller: &Arc<str>) -> Sights {
    let places: Vec<Option<&str>> =
        if namespaces.is_empty() { vec![None] } else { namespaces.iter().map(|name| Some(name.as_str())).collect() };
    let mut all = SelectAll::new();
    for kind in ObjectKind::ALL {
        for place in &places {
            all.push(watch_kind(client.clone(), *kind, *place, controller.clone()));
        }
    }
    all
}

fn watch_kind(
    client: kube::Client,
    kind: ObjectKind,
    namespace: Option<&str>,
    controller: Arc<str>,
) -> BoxStream<'static, Sight> {
    let selector =
        [MANAGED_BY, APP, (CONTROLLER, &*controller)].map(|(label, value)| format!("{label}={value}")).join(",");
    let config = watcher::Config::default().labels(&selector);
    let place: Option<Box<str>> = namespace.map(Into::into);
    // Of workloads the status is needed, too.
    if matches!(kind, ObjectKind::Deployment | ObjectKind::DaemonSet) {
        let api: Api<DynamicObject> = api(client, kind, namespace);
        let read =
            move |object: DynamicObject| (Live::of(&object.metadata, &object.data, &controller), object.metadata);
        watcher(api, config).default_backoff().flat_map(move |event| sights(event, kind, &place, &read)).boxed()
    } else {
        let api: Api<PartialObjectMeta<DynamicObject>> = api(client, kind, namespace);
        let read = move |object: PartialObjectMeta<DynamicObject>| {
            (Live::of(&object.metadata, &Value::Null, &controller), object.metadata)
        };
        watcher(api, config).default_backoff().flat_map(move |event| sights(event, kind, &place, &read)).boxed()
    }
}

fn sights<K>(
    event: watcher::Result<Event<K>>,
    kind: ObjectKind,
    place: &Option<Box<str>>,
    read: impl Fn(K) -> (Live, ObjectMeta),
) -> Iter<std::option::IntoIter<Sight>> {
    let id = |metadata: ObjectMeta| {
        (kind, Key::new(metadata.namespace.unwrap_or_default(), metadata.name.unwrap_or_default()))
    };
    let sight = match event {
        Ok(Event::Init) => Sight::Again(kind, place.clone()),
        Ok(Event::InitApply(object) | Event::Apply(object)) => {
            let (live, metadata) = read(object);
            Sight::Is(id(metadata), live)
        }
        Ok(Event::Delete(object)) => Sight::Gone(id(read(object).1)),
        Ok(Event::InitDone) => Sight::Told(kind, place.clone()),
        Err(error) => Sight::Broken(kind, problem::chain(&error)),
    };
    stream::iter(Some(sight))
}

/// Objects of a kind, of a namespace or of all.
pub(crate) fn api<K>(client: kube::Client, kind: ObjectKind, namespace: Option<&str>) -> Api<K>
where
    K: kube::Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
{
    let (group, version, plural) = kind.resource();
    let resource = ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: kind.api_version(),
        kind: kind.as_str().to_owned(),
        plural: plural.to_owned(),
    };
    match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    }
}
