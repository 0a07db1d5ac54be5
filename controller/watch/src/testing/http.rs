//! HTTP requests → the storage.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

use super::selector::Selector;
use super::storage::{Part, Refusal, Resource, View, not_found, status};
use super::{Request, Shared};

type Body = BoxBody<Bytes, Infallible>;
type Response = hyper::Response<Body>;

pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let service = {
            let shared = shared.clone();
            service_fn(move |request| answer(shared.clone(), request))
        };
        let connection = tokio::spawn(async move {
            // That a client goes away is no concern of ours.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        shared.connections.lock().unwrap().push(connection);
    }
}

async fn answer(shared: Arc<Shared>, request: hyper::Request<Incoming>) -> Result<Response, hyper::Error> {
    let (head, body) = request.into_parts();
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let body = body.collect().await?.to_bytes();
    let request = Request {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        content_type: text("content-type"),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    shared.requests.lock().unwrap().push(request.clone());
    let intercepted = {
        let mut interceptors = shared.interceptors.lock().unwrap();
        interceptors.iter_mut().rev().find_map(|interceptor| interceptor(&request))
    };
    if let Some((code, body)) = intercepted {
        return Ok(respond(code, &body));
    }
    Ok(handle(&shared, &request, &text("accept")).unwrap_or_else(|refusal| respond(refusal.0, &status(&refusal))))
}

/// A path of the API, taken apart.
struct Target {
    resource: Resource,
    version: String,
    namespace: Option<String>,
    name: Option<String>,
    subresource: Option<String>,
}

impl Target {
    fn of(path: &str) -> Option<Target> {
        let mut parts = path.trim_matches('/').split('/').map(str::to_owned).peekable();
        let (group, version) = match parts.next()?.as_str() {
            "api" => (String::new(), parts.next()?),
            "apis" => (parts.next()?, parts.next()?),
            _ => return None,
        };
        let rest: Vec<String> = parts.collect();
        let (namespace, rest) = match rest.as_slice() {
            [namespaces, namespace, rest @ ..]
                if namespaces == "namespaces" && !rest.is_empty() && rest[0] != "status" =>
            {
                (Some(namespace.clone()), rest)
            }
            rest => (None, rest),
        };
        let resource = Resource { group, plural: rest.first()?.clone() };
        Some(Target { resource, version, namespace, name: rest.get(1).cloned(), subresource: rest.get(2).cloned() })
    }
}

fn handle(shared: &Shared, request: &Request, accept: &str) -> Result<Response, Refusal> {
    let unknown = || Refusal(404, "NotFound", "the server could not find the requested resource".to_owned());
    if let Some(document) = shared.storage().discovery(request.path.trim_matches('/')) {
        return Ok(respond(200, &document));
    }
    let target = Target::of(&request.path).ok_or_else(unknown)?;
    let query: BTreeMap<String, String> = query(&request.query);
    let text = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let mut storage = shared.storage();
    let Resource { group, plural } = &target.resource;
    if storage.denied.contains(plural) {
        let message = format!("{plural}.{group} is forbidden: User \"test\" cannot do that");
        return Err(Refusal(403, "Forbidden", message));
    }
    if !storage.serves(&target.resource, &target.version) {
        return Err(unknown());
    }
    let namespace = target.namespace.clone().unwrap_or_default();
    let part = if target.subresource.as_deref() == Some("status") { Part::Status } else { Part::Main };
    let resource = &target.resource;
    let Some(name) = &target.name else {
        if request.method == "POST" {
            let mut object = request.body.clone();
            if target.namespace.is_some() {
                object["metadata"]["namespace"] = namespace.into();
            }
            return storage.create(resource, object).map(|object| respond(201, &object));
        }
        let api_version = if group.is_empty() { target.version.clone() } else { format!("{group}/{}", target.version) };
        let selector = Selector::new(target.namespace, text("fieldSelector"), text("labelSelector"));
        let metadata_only = accept.contains("as=PartialObjectMetadata");
        let view = View { resource: resource.clone(), api_version, selector, metadata_only };
        if text("watch") != "true" {
            let limit = text("limit").parse().unwrap_or_default();
            return storage.list(&view, limit, text("continue")).map(|list| respond(200, &list));
        }
        let since = text("resourceVersion").parse().unwrap_or_default();
        let receiver = storage.watch(view, since, text("allowWatchBookmarks") == "true")?;
        let frames = stream::unfold(receiver, |mut receiver| async {
            let frame = receiver.recv().await?;
            Some((Ok(Frame::data(frame)), receiver))
        });
        let body = StreamBody::new(frames).boxed();
        return Ok(hyper::Response::builder().header("content-type", "application/json").body(body).unwrap());
    };
    let object = match request.method.as_str() {
        "GET" => storage.get(resource, &namespace, name)?,
        "PUT" => storage.update(resource, part, request.body.clone())?,
        "PATCH" => {
            let how = (request.content_type.as_str(), text("fieldManager"));
            storage.patch(resource, part, (&namespace, name), how, &request.body)?
        }
        "DELETE" => storage.delete(resource, &namespace, name, &request.body)?,
        _ => return Err(not_found(resource, name)),
    };
    Ok(respond(200, &object))
}

fn respond(code: u16, body: &Value) -> Response {
    let body = Full::new(Bytes::from(body.to_string())).boxed();
    hyper::Response::builder().status(code).header("content-type", "application/json").body(body).unwrap()
}

fn query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), decoded(value))).collect()
}

/// `application/x-www-form-urlencoded`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap_or_default(), 16).unwrap_or(b'?')
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
