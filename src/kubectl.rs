//! `kubectl fairlead …`: the same program, under the name by which kubectl finds its plugins.
//!
//! kubectl runs the first `kubectl-fairlead` of PATH: a link to `fairlead` will do.

use clap::Command;
use std::ffi::OsStr;
use std::path::Path;

/// What only makes sense where the program is installed by its own name.
const HIDDEN: [&str; 5] = ["serve", "controller", "proxy", "echo", "completions"];

const EXAMPLES: &str = "\
Examples:
  kubectl fairlead status                        what Gateways, routes and proxies say
  kubectl fairlead explain http://shop.example.com/cart
                                                 say who takes a request, and why
  kubectl fairlead config -n shop gateway/web    what a Gateway's proxy serves
  kubectl fairlead check -f manifests/           find mistakes before they are applied

It has the rights of your kubeconfig's user. `kubectl fairlead help COMMAND` has examples of each command.";

/// Where `explain` takes objects from, as its help has it.
const FROM_EITHER: &str = "from files (-f), or from the API server of a cluster (--live)";
const FROM_CLUSTER: &str = "from the cluster, or from files (-f)";

/// Whether a program of this name was called as a plugin.
pub fn is_plugin(program: Option<&OsStr>) -> bool {
    program.and_then(|program| Path::new(program).file_stem()).is_some_and(|name| name == "kubectl-fairlead")
}

/// The command line as users of kubectl know it.
pub fn command(command: Command) -> Command {
    let mut command = command.bin_name("kubectl fairlead").after_help(EXAMPLES).mut_subcommands(renamed);
    for name in HIDDEN {
        command = command.mut_subcommand(name, |subcommand| subcommand.hide(true));
    }
    // Whoever gives no files means the cluster.
    command.mut_subcommand("explain", |explain| {
        let explain = explain.override_usage("kubectl fairlead explain [OPTIONS] [METHOD] URL");
        explain.mut_arg("live", |live| live.default_value("true").hide(true))
    })
}

/// Lets the examples call the program as it was called.
fn renamed(subcommand: Command) -> Command {
    let Some(text) = subcommand.get_after_help().map(ToString::to_string) else { return subcommand };
    let text = text.replace("\n  fairlead ", "\n  kubectl fairlead ").replace(" --live ", " ");
    subcommand.after_help(text.replace(FROM_EITHER, FROM_CLUSTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cli;
    use clap::CommandFactory as _;

    #[test]
    fn the_name_decides() {
        for name in ["kubectl-fairlead", "/usr/local/bin/kubectl-fairlead", "kubectl-fairlead.exe"] {
            assert!(is_plugin(Some(OsStr::new(name))), "{name}");
        }
        for name in ["fairlead", "/opt/kubectl-fairlead/fairlead", ""] {
            assert!(!is_plugin(Some(OsStr::new(name))), "{name}");
        }
        assert!(!is_plugin(None));
    }

    #[test]
    fn help_speaks_of_kubectl() {
        command(Cli::command()).debug_assert();
        let help = |words: &[&str]| {
            let error = command(Cli::command()).try_get_matches_from(words).unwrap_err();
            error.to_string()
        };
        let whole = help(&["/bin/kubectl-fairlead", "--help"]);
        assert!(whole.contains("Usage: kubectl fairlead <COMMAND>"), "{whole}");
        assert!(whole.contains("  status ") && !whole.contains("  serve "), "{whole}");
        let explain = help(&["kubectl-fairlead", "explain", "--help"]);
        assert!(explain.contains("Usage: kubectl fairlead explain [OPTIONS] [METHOD] URL\n"), "{explain}");
        assert!(explain.contains("\n  kubectl fairlead explain https://shop.example.com/cart\n"), "{explain}");
        assert!(!explain.contains("  fairlead explain") && !explain.contains("--live"), "{explain}");
    }

    #[test]
    fn explain_means_the_cluster_unless_there_are_files() {
        let live = |words: &[&str]| {
            let matches = command(Cli::command()).try_get_matches_from(words).unwrap();
            let (_, explain) = matches.subcommand().unwrap();
            explain.get_flag("live")
        };
        assert!(live(&["kubectl-fairlead", "explain", "http://a/"]));
        assert!(live(&["kubectl-fairlead", "explain", "--live", "http://a/"]));
        assert!(live(&["kubectl-fairlead", "explain", "-f", ".", "http://a/"]), "files come first");
        let matches = Cli::command().try_get_matches_from(["fairlead", "explain", "http://a/"]).unwrap();
        assert!(!matches.subcommand().unwrap().1.get_flag("live"));
    }
}
