//! A cluster, seen with the rights of who asks.

use anyhow::{Context as _, anyhow, bail};
use fairlead_crds::{Kind, Scope};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde::Deserialize;
use serde_json::Value;

/// Which cluster, and which part of it.
#[derive(Debug, clap::Args)]
pub struct Target {
    /// Context of the kubeconfig (KUBECONFIG or ~/.kube/config); the current one when absent. In a pod: the pod's own cluster.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// Namespace; all when absent.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Namespace of the controller.
    #[arg(long, value_name = "NAMESPACE", default_value = "fairlead-system")]
    pub controller_namespace: String,
}

/// A connection to an API server.
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

/// A client of the cluster that this process runs in, or of the kubeconfig's context.
pub async fn client(context: Option<&str>) -> anyhow::Result<Client> {
    let config = match context {
        None => {
            Config::infer().await.context("no cluster: neither in a pod nor a usable kubeconfig (set KUBECONFIG)")?
        }
        Some(name) => {
            let file = Kubeconfig::read().context("cannot read the kubeconfig")?;
            let options = KubeConfigOptions { context: Some(name.to_owned()), ..KubeConfigOptions::default() };
            Config::from_custom_kubeconfig(file, &options).await.with_context(|| format!("--context {name}"))?
        }
    };
    Client::try_from(config).context("cannot make a client of the API server")
}

impl Live {
    /// Connects.
    pub async fn connect(target: &Target) -> anyhow::Result<Live> {
        Ok(Live { client: client(target.context.as_deref()).await? })
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// All objects of a kind; none when the cluster does not know the kind.
    pub async fn list(&self, kind: Kind, namespace: Option<&str>) -> anyhow::Result<Vec<Value>> {
        for version in kind.versions() {
            let root = match kind.group() {
                "" => format!("/api/{version}"),
                group => format!("/apis/{group}/{version}"),
            };
            let path = match namespace.filter(|_| kind.scope() == Scope::Namespaced) {
                Some(namespace) => format!("{root}/namespaces/{namespace}/{}", kind.plural()),
                None => format!("{root}/{}", kind.plural()),
            };
            if let Some(objects) = self.pages(&path).await? {
                return Ok(objects);
            }
        }
        Ok(Vec::new())
    }

    async fn pages(&self, path: &str) -> anyhow::Result<Option<Vec<Value>>> {
        const PAGE: u32 = 500;
        let mut objects = Vec::new();
        let mut next = String::new();
        loop {
            let uri = format!("{path}?limit={PAGE}{next}");
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

    /// Pods with these labels.
    pub async fn pods(&self, namespace: &str, labels: &str) -> anyhow::Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let list = pods.list(&kube::api::ListParams::default().labels(labels)).await;
        Ok(list.with_context(|| format!("cannot list pods of {namespace}"))?.items)
    }

    /// What a pod's loopback answers to GET, through the API server's port-forward.
    pub async fn ask(&self, namespace: &str, pod: &str, port: u16, path: &str) -> anyhow::Result<String> {
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
