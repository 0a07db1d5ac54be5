//! What `fairlead controller` is told.

use super::delay::Delay;
use std::net::{IpAddr, SocketAddr};

/// See the module.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Runs in a pod of the chart `charts/fairlead`, which gives all that is needed. Outside of a cluster it takes the current context of \
KUBECONFIG; the proxies must then reach --push-service.

Signals: SIGTERM and SIGINT give up leadership and end.

Examples:
  curl -s localhost:8081/ready; curl -s localhost:8081/metrics
  curl -s localhost:15000/proxies                        who serves which version
  curl -s -X POST localhost:15000/logging?level=debug    what the log tells")]
pub struct Args {
    /// Our own namespace: of the Lease, of the push channel's CA, and of the Service that proxies connect to.
    #[arg(long, value_name = "NAMESPACE", default_value = "fairlead-system")]
    pub namespace: String,

    /// Our own name among the replicas: that of the pod.
    #[arg(long, value_name = "NAME", default_value = "fairlead-controller")]
    pub pod: String,

    /// Our own address, at which the other replicas' proxies find us while we lead.
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub pod_ip: IpAddr,

    /// GatewayClasses with this controllerName are ours.
    #[arg(long, value_name = "NAME", default_value = "fairlead.dev/gateway-controller")]
    pub controller_name: String,

    /// Image of the proxies, unless a ProxyClass names another.
    #[arg(long, value_name = "IMAGE")]
    pub image: String,

    /// When nodes pull it: Always, IfNotPresent or Never.
    #[arg(long, value_name = "POLICY", default_value = "IfNotPresent")]
    pub image_pull_policy: String,

    /// A Secret with which nodes pull it, in the Gateways' namespaces. May be given several times.
    #[arg(long = "image-pull-secret", value_name = "NAME")]
    pub image_pull_secrets: Vec<String>,

    /// Where proxies connect to us.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:18443")]
    pub push_address: SocketAddr,

    /// The name and port under which proxies find us.
    #[arg(long, value_name = "HOST:PORT", default_value = "fairlead-controller.fairlead-system.svc:18443")]
    pub push_service: String,

    /// Where /live, /ready and /metrics are.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8081")]
    pub health_address: SocketAddr,

    /// Where the admin interface is: what --health-address has, and /proxies, /problems, /leader, /logging, /version.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:15000")]
    pub admin_address: SocketAddr,

    /// Look at this namespace only; all when absent. May be given several times.
    #[arg(long = "watch-namespace", value_name = "NAMESPACE")]
    pub watch_namespaces: Vec<String>,

    /// Read Secrets of this namespace only; of the watched ones when absent. May be given several times.
    #[arg(long = "secret-namespace", value_name = "NAMESPACE")]
    pub secret_namespaces: Vec<String>,

    /// What the program tells about itself on stderr: error, warn, info, debug, trace, or a filter as `info,fairlead_watch=debug`.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log_level: String,

    /// For tests: each push and each write of a status leaves late, by a random time in this range (`1ms..50ms`).
    #[arg(long, value_name = "RANGE", hide = true)]
    pub test_delay: Option<Delay>,
}
