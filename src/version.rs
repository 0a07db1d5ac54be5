//! `fairlead version`: what this binary is.

use crate::output::{self, Format};
use fairlead_telemetry::BuildInfo;
use serde_json::json;
use std::process::ExitCode;

/// See the module.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How to print it: for people, or for machines.
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
}

/// Prints the versions.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let version = env!("CARGO_PKG_VERSION");
    let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let text = match args.output {
        Format::Text => {
            let commit = COMMIT.map(|commit| format!("commit {commit}, ")).unwrap_or_default();
            format!("fairlead {version} ({commit}{target}), Gateway API {GATEWAY_API}\n")
        }
        Format::Json => {
            output::json(&json!({"version": version, "commit": COMMIT, "target": target, "gatewayApi": GATEWAY_API}))?
        }
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// For the admin interface and `fairlead_build_info`.
pub fn build() -> BuildInfo {
    BuildInfo { commit: COMMIT.unwrap_or_default().to_owned(), ..BuildInfo::default() }
}

/// What it was built from: `FAIRLEAD_COMMIT` of the environment it was built in, as `make` sets it. A build without it does not ask git,
/// so that a new commit alone makes nobody build again.
pub const COMMIT: Option<&str> = match option_env!("FAIRLEAD_COMMIT") {
    Some(commit) if !commit.is_empty() => Some(commit),
    _ => None,
};

/// The version of the Gateway API whose types are compiled in.
const GATEWAY_API: &str = "v1.7.0";
