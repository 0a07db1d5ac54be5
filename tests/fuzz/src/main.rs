//! Runs every target for a few seconds on stable Rust.
//!
//! `fuzz-short [--seconds N] [--target NAME] [--seed N]`, `fuzz-short --replay NAME FILE`, `fuzz-short --corpus DIR` (writes the seeds
//! where cargo-fuzz looks for them). Exits with 1 when a promise is broken; the input is then in `artifacts/`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fairlead_fuzz::mutate::Mutator;
use fairlead_fuzz::{TARGETS, Target};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1)).cloned();
    let number = |name: &str| value(name).map(|v| v.parse::<u64>().unwrap_or_else(|_| usage(&v)));
    if let Some(directory) = value("--corpus") {
        return corpus(Path::new(&directory));
    }
    if let Some(name) = value("--replay") {
        let file = args.last().cloned().unwrap_or_default();
        let input = std::fs::read(&file).unwrap_or_else(|e| usage(&format!("{file}: {e}")));
        (find(&name).run)(&input);
        return ExitCode::SUCCESS;
    }
    let seconds = Duration::from_secs(number("--seconds").unwrap_or(5));
    let seed = number("--seed").unwrap_or_else(|| fastrand::u64(..));
    let only = value("--target");
    if let Some(name) = &only {
        find(name);
    }
    let mut failed = false;
    for target in TARGETS.iter().filter(|t| only.as_deref().is_none_or(|name| name == t.name)) {
        failed |= !fuzz(target, seconds, seed);
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Whether the target kept its promises.
fn fuzz(target: &Target, seconds: Duration, seed: u64) -> bool {
    let mut mutator = Mutator::new(target, seed);
    let (start, mut runs) = (Instant::now(), 0u64);
    let mut seeds = target.seeds.iter().map(|s| s.to_vec());
    while runs % 64 != 0 || start.elapsed() < seconds {
        let input = seeds.next().unwrap_or_else(|| mutator.next());
        runs += 1;
        if catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err() {
            let file = format!("{}/artifacts/{}-{seed}-{runs}", env!("CARGO_MANIFEST_DIR"), target.name);
            let _ = std::fs::create_dir_all(format!("{}/artifacts", env!("CARGO_MANIFEST_DIR")));
            let _ = std::fs::write(&file, &input);
            eprintln!("{}: broken by {}\n  {file}", target.name, input.escape_ascii());
            return false;
        }
    }
    println!("{:<14} {runs:>10} runs, seed {seed}", target.name);
    true
}

fn find(name: &str) -> &'static Target {
    TARGETS.iter().find(|t| t.name == name).unwrap_or_else(|| usage(name))
}

fn corpus(directory: &Path) -> ExitCode {
    for target in TARGETS {
        let directory = directory.join(target.name);
        std::fs::create_dir_all(&directory).unwrap_or_else(|e| usage(&e.to_string()));
        for (i, seed) in target.seeds.iter().enumerate() {
            std::fs::write(directory.join(format!("seed-{i}")), seed).unwrap_or_else(|e| usage(&e.to_string()));
        }
    }
    ExitCode::SUCCESS
}

fn usage(problem: &str) -> ! {
    let names: Vec<&str> = TARGETS.iter().map(|t| t.name).collect();
    eprintln!("{problem}?\nfuzz-short [--seconds N] [--target NAME] [--seed N] | --replay NAME FILE | --corpus DIR\ntargets: {}", names.join(" "));
    std::process::exit(2)
}
