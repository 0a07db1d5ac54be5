//! `/config`: the IR that is served. Keys never leave the process, nor what collectors of spans are told of ourselves.

use crate::query::Query;
use crate::reply::Reply;
use fairlead_ir::{Cluster, Config, Endpoints, Id, Listener, Route, Secret, Tracing};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

const KINDS: [&str; 5] = ["listeners", "routes", "clusters", "endpoints", "secrets"];

/// What of the configuration is shown.
#[derive(Serialize)]
struct View<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    listeners: Option<BTreeMap<&'a Id, Cow<'a, Listener>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    routes: Option<BTreeMap<&'a Id, &'a Route>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clusters: Option<BTreeMap<&'a Id, &'a Cluster>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoints: Option<BTreeMap<&'a Id, &'a Endpoints>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secrets: Option<BTreeMap<&'a Id, Secret>>,
}

/// `?kind=` one of the kinds, `?name=` part of the id, `?format=` yaml or json.
pub(crate) fn show(config: &Config, query: &Query) -> Result<Reply, Reply> {
    let kind = query.choice("kind", &KINDS)?;
    let name = query.get("name").unwrap_or("");
    let format = query.choice("format", &["yaml", "json"])?;
    let wanted = |of: &str| kind.is_none_or(|kind| kind == of);
    let view = View {
        listeners: wanted("listeners")
            .then(|| named(&config.listeners, name).into_iter().map(|(id, l)| (id, discreet(l))).collect()),
        routes: wanted("routes").then(|| named(&config.routes, name)),
        clusters: wanted("clusters").then(|| named(&config.clusters, name)),
        endpoints: wanted("endpoints").then(|| named(&config.endpoints, name)),
        secrets: wanted("secrets")
            .then(|| named(&config.secrets, name).into_iter().map(|(id, s)| (id, redacted(s))).collect()),
    };
    Ok(if format == Some("json") { Reply::json(&view) } else { Reply::yaml(&view) })
}

fn named<'a, T>(resources: &'a BTreeMap<Id, Arc<T>>, part: &str) -> BTreeMap<&'a Id, &'a T> {
    resources.iter().filter(|(id, _)| id.contains(part)).map(|(id, resource)| (id, &**resource)).collect()
}

/// Without the values of fields that are added to export requests, such as `authorization`.
fn discreet(listener: &Listener) -> Cow<'_, Listener> {
    let Some(tracing) = listener.http.tracing.as_ref().filter(|tracing| !tracing.headers.is_empty()) else {
        return Cow::Borrowed(listener);
    };
    let mut tracing = Tracing::clone(tracing);
    for header in &mut tracing.headers {
        header.value = REDACTED.into();
    }
    let mut listener = listener.clone();
    listener.http.tracing = Some(Arc::new(tracing));
    Cow::Owned(listener)
}

const REDACTED: &str = "[redacted]";

fn redacted(secret: &Secret) -> Secret {
    Secret {
        id: secret.id.clone(),
        certificates: secret.certificates.clone(),
        key: secret.key.as_ref().map(|_| REDACTED.into()),
    }
}
