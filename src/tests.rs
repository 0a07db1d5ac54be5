//! What the command line takes.

use super::Cli;
use clap::{CommandFactory as _, Parser as _};

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn arguments_are_taken_as_documented() {
    let ok = [
        "fairlead serve -f a -f b --port-map 80=8080 --workers 2 --admin-address off --drain-timeout 5s",
        "fairlead check -f a --output github --warnings-as-errors",
        "fairlead explain -f a GET https://x/ -H a:b",
        "fairlead explain --live --context c -n shop --gateway shop/web https://x/",
        "fairlead status -n shop --kubeconfig k -o json",
        "fairlead config -n shop gateway/web --page clusters",
        "fairlead completions zsh",
        "fairlead version --output json",
    ];
    for line in ok {
        assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
    }
    let bad = [
        "fairlead",
        "fairlead serve",
        "fairlead serve -f a --port-map 80",
        "fairlead serve -f a --admin-address x",
        "fairlead check -f a -o yaml",
        "fairlead explain -f a --live http://x/",
        "fairlead config",
    ];
    for line in bad {
        assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
}

/// Clap wraps what is wider than the page, which tears examples and tables apart.
#[test]
fn tables_and_examples_of_the_help_fit_the_page() {
    const WIDTH: usize = 100;
    let command = Cli::command();
    let texts = std::iter::once(&command).chain(command.get_subcommands()).flat_map(|command| {
        let long = command.get_after_long_help().or(command.get_after_help());
        long.map(|text| (command.get_name().to_owned(), text.to_string()))
    });
    for (name, text) in texts {
        for line in text.lines().filter(|line| line.starts_with("  ")) {
            assert!(line.chars().count() <= WIDTH, "{name}: {line}");
        }
        // A line that is broken by hand looks torn where the page is narrower.
        let breaks = text.lines().zip(text.lines().skip(1)).filter(|(line, next)| {
            let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ') && !line.ends_with(':');
            is_prose(line) && is_prose(next)
        });
        assert_eq!(breaks.count(), 0, "{name}: a paragraph of several lines");
    }
}
