//! The binary `fairlead`: one file per subcommand, wiring only.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod check;
mod completions;
mod config;
mod controller;
mod dataplane;
mod echo;
mod explain;
mod findings;
mod input;
mod kubectl;
mod live;
mod log;
mod options;
mod output;
mod process;
mod proxy;
mod serve;
mod status;
mod strictness;
mod table;
mod thread;
mod version;
mod view;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A Kubernetes Gateway API controller that bundles its own proxy.
#[derive(Debug, Parser)]
#[command(name = "fairlead", version, propagate_version = true, max_term_width = 110, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  fairlead serve -f manifests/ --port-map 80=8080      serve files, and follow their changes
  fairlead check -f manifests/                         find mistakes before anything serves them
  fairlead explain -f manifests/ http://shop.example.com/cart
                                                       say who takes a request, and why
  fairlead status                                      what the Gateways of a cluster say

`fairlead help COMMAND` has examples of each command. The guide is docs/ of the source tree. Linked as kubectl-fairlead in PATH, this is \
a plugin: `kubectl fairlead status`.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve Gateway API manifests from files, and follow their changes.
    Serve(serve::Args),
    /// Check manifests: schema, rules, references, grants and conflicts.
    Check(check::Args),
    /// Say which listener, route, rule and match take a request, and why.
    Explain(explain::Args),
    /// Show what a cluster's Gateways and routes say, and which proxy serves which version.
    Status(status::Args),
    /// Show what a proxy in a cluster serves.
    Config(config::Args),
    /// Make and feed the proxies of a cluster's Gateways; the Helm chart runs it.
    Controller(controller::Args),
    /// Serve what the controller pushes; the pods of a Gateway run it.
    Proxy(proxy::Args),
    Echo(echo::Args),
    /// Print what this binary is.
    Version(version::Args),
    /// Print a completion script for a shell.
    Completions(completions::Args),
}

fn main() -> ExitCode {
    // One provider for all of TLS, before anybody makes a choice of their own. It fails only when there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let result = match parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Controller(args) => controller::run(args),
        Command::Proxy(args) => proxy::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Echo(args) => run_echo(args),
        Command::Version(args) => version::run(&args),
        Command::Completions(args) => completions::run(&args),
    };
    match result {
        Ok(code) => code,
        // Who reads our output has read enough: `fairlead check … | head`.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Reads the command line; ends the program when that asks for help or is wrong.
fn parse() -> Cli {
    let mut command = Cli::command();
    if kubectl::is_plugin(std::env::args_os().next().as_deref()) {
        command = kubectl::command(command);
    }
    let matches = command.get_matches_mut();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
}

fn run_echo(args: echo::Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(echo::run(args))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
