//! The user's guide says what is so: files, commands and tables in it are the real ones.

use fairlead_telemetry::Flag;
use fairlead_test_flow::guide::{self, commands, embedded, examples, matches, pages, run};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// Held while pages are renewed.
static PAGES: Mutex<()> = Mutex::new(());

#[test]
fn files_and_tables_are_those_of_the_repository() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let _alone = PAGES.lock();
    for page in pages() {
        let renewed = page.renewed();
        if update && renewed != page.text {
            std::fs::write(&page.path, &renewed).expect("written");
        } else {
            let different = page.text.lines().zip(renewed.lines()).position(|(a, b)| a != b);
            assert!(
                renewed == page.text,
                "{}: line {different:?} is not as in the file; UPDATE_GOLDEN=1 renews it",
                page.name()
            );
        }
    }
}

#[test]
fn every_example_is_shown() {
    let pages = pages();
    let shown: BTreeSet<String> = pages
        .iter()
        .flat_map(|page| page.text.lines().filter_map(embedded).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let missing: Vec<String> = examples().into_iter().filter(|file| !shown.contains(file)).collect();
    assert!(missing.is_empty(), "no page shows {missing:?}");
    for page in &pages {
        for block in page.blocks() {
            let yaml = block.info.starts_with("yaml") && !block.text.trim_start().starts_with('#');
            let whole = block.text.contains("apiVersion:");
            assert!(
                !(yaml && whole) || block.info.contains("file="),
                "{}:{}: a manifest without a file",
                page.name(),
                block.line
            );
        }
    }
}

#[test]
fn the_index_names_every_page() {
    let pages = pages();
    let index = pages.iter().find(|page| page.name() == "README.md").expect("an index");
    for page in &pages {
        let name = page.name();
        assert!(name == "README.md" || index.text.contains(&format!("({name})")), "{name} is not in the index");
    }
}

#[test]
fn commands_print_what_the_pages_say() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let _alone = PAGES.lock();
    let mut seen = 0;
    for page in pages() {
        let mut text = page.text.clone();
        for block in page.blocks().into_iter().filter(|block| block.info == "console checked") {
            let mut renewed = String::new();
            for (command, expected) in commands(&block.text) {
                seen += 1;
                let output = run(&command);
                let same = matches(&expected, &output);
                assert!(same || update, "{}:{}: $ {command}\n{output}", page.name(), block.line);
                renewed.push_str(&format!("$ {command}\n{}", if same { &expected } else { &output }));
            }
            text = text.replace(&block.text, &renewed);
        }
        if text != page.text {
            std::fs::write(&page.path, text).expect("written");
        }
    }
    assert!(seen >= 5, "the pages show {seen} commands");
}

#[test]
fn examples_are_clean() {
    for topic in std::fs::read_dir(guide::directory().join("examples")).expect("examples") {
        let name = topic.expect("entry").file_name().into_string().expect("a name");
        // These are wrong on purpose, without certificates that are made on the spot, and for a cluster only.
        if name != "check" && name != "tls" && name != "proxies" {
            let output = run(&format!("fairlead check --warnings-as-errors -f docs/examples/{name}"));
            assert!(output.contains(": no problems"), "{name}: {output}");
        }
    }
}

#[test]
fn options_and_flags_are_all_there() {
    let pages = pages();
    let text =
        |name: &str| pages.iter().find(|page| page.name() == name).map(|page| page.text.clone()).unwrap_or_default();
    let log = text("access-log.md");
    for flag in Flag::ALL {
        let row = format!("| `{}` |", flag.short());
        let used = ["UH", "UT", "UR", "UF", "UC", "UO", "NR", "DC", "URX", "SI", "DPE", "UPE", "NC", "UAEX"]
            .contains(&flag.short());
        assert_eq!(log.contains(&row), used, "{row}");
    }
    let all: String = pages.iter().map(|page| page.text.as_str()).collect();
    for command in ["serve", "check", "explain", "echo"] {
        let help = run(&format!("fairlead {command} --help"));
        let options = help
            .split_whitespace()
            .filter(|word| word.starts_with("--"))
            .map(|word| word.trim_end_matches([',', ';', '`', ':', ')']));
        for option in options.collect::<BTreeSet<_>>() {
            let option = option.split('=').next().unwrap_or_default();
            let echo = command == "echo"; // Its own help tells all; the guide only what examples need.
            assert!(echo || all.contains(option), "fairlead {command} {option} is in no page");
        }
    }
}
