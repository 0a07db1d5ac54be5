//! A cluster, seen with the rights of who asks.

mod objects;

pub use objects::Seen;

use anyhow::{Context as _, anyhow, bail};
use fairlead_crds::{Kind, Scope};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde::Deserialize;
use serde_json::Value;
use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

/// Which cluster. As kubectl takes it: the one of `KUBECONFIG` or `~/.kube/config`; in a pod without these, the pod's own.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Cluster {
    /// The kubeconfig; that of KUBECONFIG or ~/.kube/config when absent.
    #[arg(long, value_name = "PATH")]
    kubeconfig: Option<PathBuf>,

    /// The kubeconfig's context; the current one when absent.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// A connection to an API server.
#[derive(Clone)]
pub struct Live {
    client: Client,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    items: Vec<Value>,
    #[serde(default)]
    metadata: PageMetadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PageMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

/// A client of a cluster.
pub async fn client(cluster: &Cluster) -> anyhow::Result<Client> {
    let options = KubeConfigOptions { context: cluster.context.clone(), ..KubeConfigOptions::default() };
    let file = match &cluster.kubeconfig {
        Some(path) => Kubeconfig::read_from(path).map(Some),
        None if cluster.context.is_some() => Kubeconfig::read().map(Some),
        None => Ok(None),
    };
    // These errors name their causes themselves.
    let config = match file.map_err(|error| anyhow!("no cluster to ask: {error}"))? {
        Some(file) => {
            let name = cluster.context.as_deref().unwrap_or("the current one");
            let config = Config::from_custom_kubeconfig(file, &options).await;
            config.map_err(|error| anyhow!("the kubeconfig's context ({name}) can't be used: {error}"))?
        }
        None => Config::infer().await.map_err(|error| {
            let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            anyhow!("no cluster to ask, for this is not a pod of one: {why}; set KUBECONFIG, or give --kubeconfig")
        })?,
    };
    Client::try_from(config).context("cannot make a client of the API server")
}

impl Live {
    /// Gets ready to ask; whether somebody answers shows with the first question.
    pub async fn connect(cluster: &Cluster) -> anyhow::Result<Live> {
        Ok(Live::new(client(cluster).await?))
    }

    /// Asks with a client.
    pub fn new(client: Client) -> Live {
        Live { client }
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// All objects of a kind, with their `apiVersion`; none when the cluster does not know the kind. Of Secrets, those for TLS.
    pub async fn list(&self, kind: Kind, namespace: Option<&str>) -> anyhow::Result<Vec<Value>> {
        for version in kind.versions() {
            let (root, api_version) = match kind.group() {
                "" => (format!("/api/{version}"), (*version).to_owned()),
                group => (format!("/apis/{group}/{version}"), format!("{group}/{version}")),
            };
            let path = match namespace.filter(|_| kind.scope() == Scope::Namespaced) {
                Some(namespace) => format!("{root}/namespaces/{namespace}/{}", kind.plural()),
                None => format!("{root}/{}", kind.plural()),
            };
            let selector = if kind == Kind::Secret { "&fieldSelector=type%3Dkubernetes.io%2Ftls" } else { "" };
            if let Some(mut objects) = self.pages(&path, selector).await? {
                // Items of a list don't have it.
                for object in objects.iter_mut().filter_map(Value::as_object_mut) {
                    object.insert("apiVersion".to_owned(), api_version.clone().into());
                }
                return Ok(objects);
            }
        }
        Ok(Vec::new())
    }

    /// A Secret of whatever type; `None` when there is none.
    pub async fn secret(&self, namespace: &str, name: &str) -> anyhow::Result<Option<Value>> {
        let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
        let request = http::Request::get(&path).body(Vec::new())?;
        match self.client.request(request).await {
            Ok(secret) => Ok(Some(secret)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(anyhow!(error).context(format!("GET {path}"))),
        }
    }

    async fn pages(&self, path: &str, selector: &str) -> anyhow::Result<Option<Vec<Value>>> {
        const PAGE: u32 = 500;
        let mut objects = Vec::new();
        let mut next = String::new();
        loop {
            let uri = format!("{path}?limit={PAGE}{selector}{next}");
            let request = http::Request::get(uri).body(Vec::new())?;
            let page: Page = match self.client.request(request).await {
                Ok(page) => page,
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
                Err(error) => return Err(anyhow!(error).context(format!("GET {path}"))),
            };
            objects.extend(page.items);
            match page.metadata.next.filter(|token| !token.is_empty()) {
                Some(token) => next = format!("&continue={token}"),
                None => return Ok(Some(objects)),
            }
        }
    }

    /// Pods with these labels, of one namespace or of all.
    pub async fn pods(&self, namespace: Option<&str>, labels: &str) -> anyhow::Result<Vec<Pod>> {
        let client = self.client.clone();
        let pods: Api<Pod> =
            namespace.map_or_else(|| Api::all(client.clone()), |one| Api::namespaced(client.clone(), one));
        let list = pods.list(&kube::api::ListParams::default().labels(labels)).await;
        Ok(list.with_context(|| format!("cannot list pods of {}", namespace.unwrap_or("all namespaces")))?.items)
    }

    /// A pod.
    pub async fn pod(&self, namespace: &str, name: &str) -> anyhow::Result<Pod> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        pods.get(name).await.with_context(|| format!("cannot get pod {namespace}/{name}"))
    }

    /// What the admin interface in a pod answers to GET, through the API server's port-forward, within ten seconds.
    pub async fn ask(&self, pod: &Pod, path: &str) -> anyhow::Result<String> {
        let answer = tokio::time::timeout(PATIENCE, Box::pin(self.forwarded(pod, path))).await;
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        answer.unwrap_or_else(|_| bail!("pod {name} does not answer within {} s", PATIENCE.as_secs()))
    }

    async fn forwarded(&self, pod: &Pod, path: &str) -> anyhow::Result<String> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let (port, pod) = (admin_port(pod), pod.metadata.name.as_deref().unwrap_or_default());
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let place = || format!("pod {namespace}/{pod}, port {port}");
        let mut forward =
            pods.portforward(pod, &[port]).await.with_context(|| format!("cannot forward to {}", place()))?;
        let stream = forward.take_stream(port).with_context(|| format!("no stream to {}", place()))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = http::Request::get(path).header("host", "localhost").body(Empty::<bytes::Bytes>::new())?;
        let response = sender.send_request(request).await.with_context(|| format!("{path} of {}", place()))?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        connection.abort();
        let text = String::from_utf8_lossy(&body).into_owned();
        if !status.is_success() {
            bail!("{path} of {}: {status}: {}", place(), text.trim_end());
        }
        Ok(text)
    }
}

/// A pod that takes longer has no answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The port of a pod's admin interface, as its containers are told; the default where they are not.
fn admin_port(pod: &Pod) -> u16 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let words = containers.flat_map(|container| container.args.iter().flatten());
    let addresses = words.filter_map(|word| word.strip_prefix("--admin-address="));
    let mut ports = addresses.filter_map(|address| address.rsplit_once(':')?.1.parse().ok());
    ports.next().unwrap_or(15_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fairlead_watch::testing::Server;
    use serde_json::json;

    #[test]
    fn the_admin_interface_is_where_the_pod_is_told() {
        let pod = |args: Value| {
            let spec = json!({"spec": {"containers": [{"name": "sidecar"}, {"name": "proxy", "args": args}]}});
            admin_port(&serde_json::from_value(spec).unwrap())
        };
        assert_eq!(pod(json!(["proxy", "--admin-address=127.0.0.1:15900", "--workers=2"])), 15_900);
        assert_eq!(pod(json!(["proxy"])), 15_000);
        assert_eq!(pod(Value::Null), 15_000);
    }

    /// Two contexts, of two servers.
    fn kubeconfig(dir: &tempfile::TempDir, first: &str, second: &str) -> PathBuf {
        let path = dir.path().join("config");
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "first",
            "clusters": [
                {"name": "a", "cluster": {"server": first}}, {"name": "b", "cluster": {"server": second}},
            ],
            "contexts": [
                {"name": "first", "context": {"cluster": "a", "namespace": "shop"}},
                {"name": "second", "context": {"cluster": "b"}},
            ],
            "users": [],
        });
        std::fs::write(&path, text.to_string()).unwrap();
        path
    }

    #[tokio::test]
    async fn the_kubeconfig_and_its_context_say_which_cluster() {
        let (first, second) = (Server::with_all_kinds().await, Server::with_all_kinds().await);
        for (server, name) in [(&first, "one"), (&second, "two")] {
            let api = "gateway.networking.k8s.io/v1";
            server.put(json!({"apiVersion": api, "kind": "GatewayClass", "metadata": {"name": name}}));
        }
        let (dir, url) = (tempfile::tempdir().unwrap(), |server: &Server| format!("http://{}", server.address()));
        let kubeconfig = Some(kubeconfig(&dir, &url(&first), &url(&second)));
        let cluster =
            |context: Option<&str>| Cluster { kubeconfig: kubeconfig.clone(), context: context.map(Into::into) };
        for (context, namespace, expected) in [(None, "shop", "one"), (Some("second"), "default", "two")] {
            let live = Live::connect(&cluster(context)).await.unwrap();
            assert_eq!(live.client().default_namespace(), namespace);
            let classes = live.list(Kind::GatewayClass, None).await.unwrap();
            assert_eq!((classes.len(), &classes[0]["metadata"]["name"]), (1, &expected.into()));
            assert_eq!(classes[0]["apiVersion"], "gateway.networking.k8s.io/v1");
        }
        let error = Live::connect(&cluster(Some("third"))).await.err().unwrap().to_string();
        assert!(error.starts_with("the kubeconfig's context (third) can't be used: "), "{error}");
        let absent = Cluster { kubeconfig: Some(dir.path().join("absent")), context: None };
        let error = Live::connect(&absent).await.err().unwrap().to_string();
        assert!(error.starts_with("no cluster to ask: ") && error.contains("absent"), "{error}");
    }

    #[tokio::test]
    async fn long_lists_come_in_pages_and_unknown_kinds_are_empty() {
        let server = Server::with_all_kinds().await;
        for index in 0..1_100 {
            server.put(json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": format!("s{index}")},
            }));
        }
        let live = Live::new(server.client());
        assert_eq!(live.list(Kind::Service, None).await.unwrap().len(), 1_100);
        assert_eq!(live.list(Kind::Service, Some("other")).await.unwrap().len(), 0);
        let pages = server.requests().into_iter().filter(|request| request.path == "/api/v1/services");
        assert_eq!(pages.count(), 3);
        server.uninstall(Kind::UDPRoute);
        assert_eq!(live.list(Kind::UDPRoute, None).await.unwrap().len(), 0);
    }
}
