//! Everything in a cluster that planning reads, once.

use super::Live;
use anyhow::Context as _;
use fairlead_crds::{Kind, Object, Scope};
use fairlead_store::{Key, World};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use tokio::task::JoinSet;

/// See the module.
#[derive(Debug, Default)]
pub struct Seen {
    /// All objects that could be read.
    pub world: World,
    /// The addresses in the status of each Gateway, by `namespace/name`.
    pub addresses: BTreeMap<String, Vec<IpAddr>>,
    /// What could not be read, for want of rights or because it can't be understood; a line each.
    pub left_out: Vec<String>,
}

impl Live {
    /// Reads all objects of the kinds that planning knows, of some namespaces only unless there are none.
    ///
    /// # Errors
    ///
    /// When the API server can't be asked. That it denies some objects is none: see [`Seen::left_out`].
    pub async fn see(&self, namespaces: &[String]) -> anyhow::Result<Seen> {
        let mut lists = JoinSet::new();
        for kind in Kind::ALL {
            for namespace in parts(*kind, namespaces) {
                let live = self.clone();
                lists.spawn(async move { (*kind, live.list(*kind, namespace.as_deref()).await) });
            }
        }
        let (mut seen, mut all) = (Seen::default(), Vec::new());
        while let Some(list) = lists.join_next().await {
            match list.context("a list was not finished")? {
                (kind, Ok(objects)) => objects.into_iter().for_each(|object| seen.add(kind, object, &mut all)),
                (_, Err(error)) => match denial(&error) {
                    Some(why) => seen.left_out.push(why),
                    None => return Err(error),
                },
            }
        }
        seen.left_out.sort();
        seen.world = World::of(all);
        Ok(seen)
    }
}

impl Live {
    /// Reads these Secrets as well, as far as they exist and are not known yet: lists have only those of TLS type.
    ///
    /// # Errors
    ///
    /// As [`see`](Live::see).
    pub async fn see_secrets(&self, seen: &mut Seen, secrets: BTreeSet<Key>) -> anyhow::Result<()> {
        let (kind, mut more) = (Kind::Secret, Vec::new());
        let is_told = |seen: &Seen| seen.left_out.iter().any(|what| what.contains(kind.plural()));
        for key in secrets {
            if is_told(seen) {
                break;
            }
            if seen.world.entry(kind, &key.namespace, &key.name).is_some() {
                continue;
            }
            match self.secret(&key.namespace, &key.name).await {
                Ok(found) => found.into_iter().for_each(|object| seen.add(kind, object, &mut more)),
                Err(error) => seen.left_out.push(denial(&error).ok_or(error)?),
            }
        }
        if !more.is_empty() {
            let entries = |kind: &Kind| seen.world.entries(*kind).map(|(_, entry)| entry.object.clone());
            let all: Vec<Object> = Kind::ALL.iter().flat_map(entries).chain(more).collect();
            seen.world = World::of(all);
        }
        Ok(())
    }
}

/// The lists that have a kind's objects.
fn parts(kind: Kind, namespaces: &[String]) -> Vec<Option<String>> {
    match kind.scope() {
        Scope::Namespaced if !namespaces.is_empty() => namespaces.iter().cloned().map(Some).collect(),
        Scope::Namespaced | Scope::Cluster => vec![None],
    }
}

/// What the API server says that the asker may not do.
fn denial(error: &anyhow::Error) -> Option<String> {
    match error.downcast_ref::<kube::Error>()? {
        kube::Error::Api(status) if status.code == 403 => Some(status.message.clone()),
        _ => None,
    }
}

impl Seen {
    fn add(&mut self, kind: Kind, mut object: Value, all: &mut Vec<Object>) {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        let name = match text("namespace") {
            "" => text("name").to_owned(),
            namespace => format!("{namespace}/{}", text("name")),
        };
        if kind == Kind::Gateway {
            let addresses = object["status"]["addresses"].as_array().into_iter().flatten();
            let addresses = addresses.filter_map(|address| address["value"].as_str()?.parse().ok());
            self.addresses.insert(name.clone(), addresses.collect());
        }
        // Nobody plans by these, except by the addresses of Services.
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        if let Some(fields) = object.as_object_mut().filter(|_| kind != Kind::Service) {
            fields.remove("status");
        }
        match Object::parse(kind, object) {
            Ok(object) => all.push(object),
            Err(error) => {
                let path = if error.path == "." { String::new() } else { format!("{}: ", error.path) };
                self.left_out.push(format!("{kind} {name}: {path}{}", error.message));
            }
        }
    }
}
