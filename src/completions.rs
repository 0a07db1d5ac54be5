//! `fairlead completions`: a script that completes our arguments.

use crate::{Cli, output};
use clap::CommandFactory as _;
use std::process::ExitCode;

/// See the module.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  fairlead completions bash > ~/.local/share/bash-completion/completions/fairlead
  fairlead completions zsh > \"${fpath[1]}/_fairlead\"
  fairlead completions fish > ~/.config/fish/completions/fairlead.fish")]
pub struct Args {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Prints the script.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "fairlead", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
