//! What `fairlead serve` is told.

use super::session::Plan;
use crate::input::Input;
use crate::log::Logs;
use crate::options::{self, Mapping};
use crate::output::Format;
use crate::process::Settings;
use crate::strictness::Strictness;
use fairlead_telemetry::LogTarget;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Signals: SIGTERM and SIGINT drain and end (a second one ends at once); SIGUSR1 opens the access log file again.

Examples:
  fairlead serve -f manifests/ --port-map 80=8080 --port-map 443=8443
  fairlead serve -f manifests/ --access-log text --access-log-file /var/log/fairlead/access.log
  fairlead serve -f manifests/ --access-log '%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE%'
  curl -s localhost:9901/ready; curl -s localhost:9901/metrics")]
pub struct Args {
    #[command(flatten)]
    pub(super) input: Input,

    /// Take another port for a listener's: 80=8080. May be given several times. Status and routes keep the listener's port, and
    /// so do redirects for clients that don't name the other one.
    #[arg(long, value_name = "PORT=PORT", value_parser = options::port_mapping)]
    port_map: Vec<Mapping>,

    /// Worker threads; one per core when absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,

    /// Where the admin interface listens (/ready, /metrics, /config, /routes, /clusters, /drain): an address, or `off`.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901", value_parser = admin_address)]
    admin_address: AdminAddress,

    /// How long new connections are still taken after SIGTERM, while /ready says no and answers tell clients to go elsewhere: the time
    /// that a load balancer needs to notice.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = options::duration)]
    drain_lead: Duration,

    /// How long requests may go on after SIGTERM, and after the lead.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = options::duration)]
    drain_timeout: Duration,

    /// `json`, `text`, `off`, or a line with Envoy's operators (%REQ(NAME)%, %RESPONSE_CODE%, …).
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    access_log: String,

    /// Append the access log to a file instead of stdout. SIGUSR1 opens it again.
    #[arg(long, value_name = "PATH")]
    access_log_file: Option<PathBuf>,

    /// What the program tells about itself on stderr: error, warn, info, debug, trace, or a filter as `info,fairlead_worker=debug`.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub(super) log_level: String,

    /// How the table at the start and the changes are printed on stdout; json: one object per line.
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    pub(super) output: Format,

    #[command(flatten)]
    strictness: Strictness,
}

#[derive(Clone, Copy, Debug)]
enum AdminAddress {
    Off,
    At(SocketAddr),
}

fn admin_address(text: &str) -> Result<AdminAddress, String> {
    match text {
        "off" => Ok(AdminAddress::Off),
        text => text
            .parse()
            .map(AdminAddress::At)
            .map_err(|_| "write an address and a port as 127.0.0.1:9901, or `off`".to_owned()),
    }
}

impl Args {
    /// What is the same for the whole run.
    pub(super) fn plan(&self) -> anyhow::Result<Plan> {
        let workers = options::workers(self.workers)?;
        Ok(Plan { workers, port_map: options::port_map(&self.port_map)?, http: self.strictness.http() })
    }

    /// How the process runs.
    pub(super) fn process(&self, plan: &Plan, logs: Logs) -> anyhow::Result<Settings> {
        let target = self.access_log_file.clone().map_or(LogTarget::Stdout, LogTarget::File);
        Ok(Settings {
            workers: plan.workers,
            port_map: plan.port_map.clone(),
            access_log: options::access_log(&self.access_log, target)?,
            admin_address: match self.admin_address {
                AdminAddress::Off => None,
                AdminAddress::At(address) => Some(address),
            },
            health_address: None,
            drain_lead: self.drain_lead,
            drain_timeout: self.drain_timeout,
            local_names: true,
            logs,
        })
    }
}
