//! `fairlead config PROXY`: what a proxy in the cluster serves, from its own admin interface.

use crate::live::{Cluster, Live};
use crate::output;
use anyhow::bail;
use k8s_openapi::api::core::v1::Pod;
use std::process::ExitCode;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The proxy is asked through the API server's port-forward to its admin interface; keys are redacted.

Examples:
  fairlead config -n shop fairlead-web-5c9d7f-x2x7k       the pod's configuration, as YAML
  fairlead config -n shop gateway/web                     of the first proxy of a Gateway
  fairlead config -n shop gateway/web --page clusters     endpoints and their counters")]
pub struct Args {
    #[command(flatten)]
    cluster: Cluster,

    /// Where the proxy runs: the Gateway's namespace; the context's when absent.
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// A proxy's pod, or `gateway/NAME` for one of a Gateway's.
    #[arg(value_name = "PROXY")]
    proxy: String,

    /// What to show: config, listeners, routes, clusters, metrics, ready or version; with parameters as in `config?kind=routes`.
    #[arg(long, value_name = "PAGE", default_value = "config")]
    page: String,
}

/// Asks and prints.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let text = runtime.block_on(async {
        let live = Live::connect(&args.cluster).await?;
        let namespace = args.namespace.clone().unwrap_or_else(|| live.client().default_namespace().to_owned());
        let pod = match args.proxy.strip_prefix("gateway/") {
            None => live.pod(&namespace, args.proxy.strip_prefix("pod/").unwrap_or(&args.proxy)).await?,
            Some(gateway) => first_of(&live, &namespace, gateway).await?,
        };
        live.ask(&pod, &format!("/{}", args.page.trim_start_matches('/'))).await
    })?;
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// A running proxy of a Gateway.
async fn first_of(live: &Live, namespace: &str, gateway: &str) -> anyhow::Result<Pod> {
    let label = fairlead_translate::fleet::label_value(gateway);
    let pods = live.pods(Some(namespace), &format!("gateway.networking.k8s.io/gateway-name={label}")).await?;
    let running = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
    match pods.into_iter().find(running) {
        Some(pod) => Ok(pod),
        None => bail!("no running proxy of Gateway {namespace}/{gateway}"),
    }
}
