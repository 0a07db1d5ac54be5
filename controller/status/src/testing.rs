//! An API server in memory: objects by path, resource versions, merge patches; and what the tests want to go wrong.

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

/// Looks at a request before it is served, and may answer it.
type Hook = Box<dyn FnMut(&mut State, &Method, &str) -> Option<(u16, Value)> + Send>;

#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    state: State,
    hook: Option<Hook>,
}

#[derive(Default)]
pub(crate) struct State {
    pub objects: BTreeMap<String, Value>,
    pub version: u64,
    /// Method and path of every request.
    pub log: Vec<(Method, String)>,
}

impl Server {
    pub fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let bytes = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                // As over a network: others have their turn in between.
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                let query = parts.uri.query().unwrap_or_default();
                let (code, value) = server.serve(&parts.method, parts.uri.path(), query, &bytes);
                let body = Full::new(Bytes::from(value.to_string()));
                Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
            }
        });
        Client::new(service, "default")
    }

    pub fn hook(&self, hook: impl FnMut(&mut State, &Method, &str) -> Option<(u16, Value)> + Send + 'static) {
        self.0.lock().unwrap().hook = Some(Box::new(hook));
    }

    pub fn unhook(&self) {
        self.0.lock().unwrap().hook = None;
    }

    pub fn with<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.0.lock().unwrap().state)
    }

    pub fn get(&self, path: &str) -> Value {
        self.with(|state| state.objects.get(path).cloned().unwrap_or_default())
    }

    /// Numbers of requests with a method whose path contains a text.
    pub fn count(&self, method: &Method, part: &str) -> usize {
        self.with(|state| state.log.iter().filter(|(m, path)| m == method && path.contains(part)).count())
    }

    fn serve(&self, method: &Method, path: &str, query: &str, body: &[u8]) -> (u16, Value) {
        let mut inner = self.0.lock().unwrap();
        let Inner { state, hook } = &mut *inner;
        state.log.push((method.clone(), path.to_owned()));
        if let Some(answer) = hook.as_mut().and_then(|hook| hook(state, method, path)) {
            return answer;
        }
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let (path, is_status) = match path.strip_suffix("/status") {
            Some(path) => (path, true),
            None => (path, false),
        };
        if *method == Method::POST {
            let path = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap_or_default());
            if state.objects.contains_key(&path) {
                return failure(409, "AlreadyExists", "it exists");
            }
            return (201, state.put(&path, body));
        }
        if let Some(selector) = query.split('&').find_map(|pair| pair.strip_prefix("labelSelector=")) {
            return (200, state.list(path, selector));
        }
        let Some(mut object) = state.objects.get(path).cloned() else {
            let mut failure = failure(404, "NotFound", "not found");
            failure.1["details"] = json!({ "name": "it" });
            return failure;
        };
        if *method == Method::GET {
            return (200, object);
        }
        let wanted = &body["metadata"]["resourceVersion"];
        if !wanted.is_null() && *wanted != object["metadata"]["resourceVersion"] {
            return failure(409, "Conflict", "the object has been modified");
        }
        match (method, is_status) {
            (&Method::PATCH, true) => merge(&mut object["status"], &body["status"]),
            (&Method::PATCH, false) => merge(&mut object, &body),
            _ => object = body,
        }
        (200, state.put(path, object))
    }
}

impl State {
    pub fn put(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = format!("uid-{}", self.version).into();
            object["metadata"]["creationTimestamp"] = format!("2026-01-01T00:00:{:02}Z", self.version % 60).into();
        }
        self.objects.insert(path.to_owned(), object.clone());
        object
    }

    /// The objects of all namespaces that have a label: `path` is that of the kind, the selector `name%3Dvalue`.
    fn list(&self, path: &str, selector: &str) -> Value {
        let (root, plural) = path.rsplit_once('/').unwrap_or_default();
        let selector = selector.replace("%2F", "/").replace("%3D", "=");
        let (label, value) = selector.split_once('=').unwrap_or_default();
        let items = self.objects.iter().filter_map(|(path, object)| {
            let [namespace, kind, _] =
                path.strip_prefix(root)?.strip_prefix("/namespaces/")?.split('/').collect::<Vec<_>>()[..]
            else {
                return None;
            };
            let mut object = object.clone();
            object["metadata"]["namespace"] = namespace.into();
            (kind == plural && object["metadata"]["labels"][label] == value).then_some(object)
        });
        json!({ "kind": "List", "metadata": {}, "items": items.collect::<Vec<_>>() })
    }

    /// Changes an object as somebody else would.
    pub fn edit(&mut self, path: &str, edit: impl FnOnce(&mut Value)) {
        let mut object = self.objects[path].clone();
        edit(&mut object);
        self.put(path, object);
    }
}

pub(crate) fn failure(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": reason, "message": message, "code": code });
    (code, status)
}

/// RFC 7396.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut target[name], value);
        }
    }
}
