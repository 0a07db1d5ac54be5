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
    ];
    for line in bad {
        assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
}
