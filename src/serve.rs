//! `fairlead serve`: from files to sockets in one process.
//!
//! ```text
//! main thread: signals, drain          watch thread: change ─► plan ─► push ─► data plane ─► report
//! ```

mod args;
mod report;
mod session;

#[cfg(test)]
mod tests;

pub use args::Args;

use crate::input::{self, Bar};
use crate::process::Process;
use crate::thread::Thread;
use crate::{log, output};
use anyhow::Context as _;
use fairlead_store::Watch;
use report::Reporter;
use session::Session;
use std::process::ExitCode;
use std::time::Instant;

/// Serves until it is told to stop.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let logs = log::start(&args.log_level)?;
    anyhow::ensure!(
        !args.input.is_stdin(),
        "serve follows its files, and standard input can't be followed: give a file or a directory"
    );
    let plan = args.plan()?;
    let mut bar = Bar::default();
    let mut watch = Watch::open(args.input.settings(), |progress| bar.show(progress));
    bar.clear();
    let first = watch.next().context("reading the manifests was interrupted")?;
    input::require_paths(&first)?;

    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let _entered = runtime.enter();
    let process = Process::start(args.process(&plan, logs)?)?;
    let reporter = Reporter::new(args.output, output::style(), Box::new(output::print));
    let mut session = Session::new(process.data_plane.clone(), plan, reporter, process.ready.clone());
    session.begin(&first, started, process.admin_address())?;
    // It names every object there is.
    drop(first);
    let stopper = watch.stopper();
    let handle = runtime.handle().clone();
    let source = Thread::start("watch", move || {
        let _entered = handle.enter();
        session.follow(watch)
    })?;
    process.run(&runtime, source, || stopper.stop())
}
