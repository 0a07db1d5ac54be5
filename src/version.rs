//! `fairlead version`: what this binary is.

use crate::output::{self, Format};
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
        Format::Text => format!("fairlead {version} ({target}), Gateway API {GATEWAY_API}\n"),
        Format::Json => output::json(&json!({"version": version, "target": target, "gatewayApi": GATEWAY_API}))?,
    };
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The version of the Gateway API whose types are compiled in.
const GATEWAY_API: &str = "v1.7.0";
