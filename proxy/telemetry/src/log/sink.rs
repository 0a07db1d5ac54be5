//! From workers to a file: batches over a bounded channel to one writer thread, and the buffers back.
//!
//! A worker never waits: when the writer is behind by [`QUEUE`] batches, the next batch is dropped and counted.

use super::format::AccessLog;
use super::record::{Needs, Record};
use crate::scope::Scope;
use crate::{Registry, WorkerCells};
use std::cell::RefCell;
use std::convert::Infallible;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

/// Bytes of a batch: what is handed to the writer at once.
const BATCH: usize = 64 * 1024;
/// Batches that may wait for the writer, of all workers together: 4 MiB.
const QUEUE: usize = 64;
/// Buffers that may wait for their worker.
const RECYCLED: usize = 8;
/// A buffer that one long record made larger than this is not kept.
const MAX_KEPT: usize = 4 * BATCH;

/// Where the access log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    #[default]
    Stdout,
    /// Appended to a file, which is created when it is absent.
    File(PathBuf),
    /// Nowhere; records are not even formatted.
    None,
}

impl FromStr for LogTarget {
    type Err = Infallible;

    /// `stdout` or `-`, `none` or `off`, anything else is a path.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "stdout" | "-" => LogTarget::Stdout,
            "none" | "off" => LogTarget::None,
            path => LogTarget::File(path.into()),
        })
    }
}

enum Message {
    Batch(Batch),
    /// Open the file anew: it was rotated.
    Reopen,
    /// Everything sent before is written when this is answered; the thread then ends.
    Stop(SyncSender<()>),
}

struct Batch {
    bytes: Vec<u8>,
    records: u64,
    /// Takes the buffer back.
    home: SyncSender<Vec<u8>>,
}

/// The writer thread. Dropping it stops the thread after what was handed over is written.
#[derive(Debug)]
pub struct LogWriter {
    queue: Option<SyncSender<Message>>,
    registry: Arc<Registry>,
}

impl LogWriter {
    /// How long [`LogWriter::close`] waits at most.
    const CLOSE: Duration = Duration::from_secs(5);

    /// Opens the target and starts the thread.
    ///
    /// # Errors
    /// If the file can't be opened, or no thread started.
    pub fn start(target: &LogTarget, registry: Arc<Registry>) -> io::Result<Self> {
        let output = match target {
            LogTarget::None => return Ok(LogWriter { queue: None, registry }),
            LogTarget::Stdout => Output::Stdout,
            LogTarget::File(path) => Output::File { file: open(path)?, path: path.clone() },
        };
        let (queue, messages) = sync_channel(QUEUE);
        let errors = registry.clone();
        thread::Builder::new().name("access-log".into()).spawn(move || {
            let done = run(output, &messages, &errors);
            // Who waits for the end finds the queue closed: what is handed over later is counted as dropped.
            drop(messages);
            done.map(|done| done.send(()))
        })?;
        Ok(LogWriter { queue: Some(queue), registry })
    }

    /// The sink of a worker. To be made once per worker and moved to it.
    ///
    /// # Panics
    /// If the registry has not that many workers.
    pub fn sink(&self, log: AccessLog, worker: usize) -> LogSink {
        let (home, recycled) = sync_channel(RECYCLED);
        let state = State { batch: Vec::new(), records: 0, spare: None };
        LogSink {
            log,
            queue: self.queue.clone(),
            cells: self.registry.worker(worker),
            state: RefCell::new(state),
            home,
            recycled,
        }
    }

    /// Opens the file anew, after it was rotated. Waits while the queue is full.
    pub fn reopen(&self) {
        if let Some(queue) = &self.queue {
            let _ = queue.send(Message::Reopen);
        }
    }

    /// Waits until what sinks have handed over is written, at most 5 s. Sinks are dropped or flushed before.
    pub fn close(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        let Some(queue) = self.queue.take() else { return };
        let (done, wait) = sync_channel(1);
        if send_patiently(&queue, Message::Stop(done), Self::CLOSE).is_ok() {
            let _: Result<(), RecvTimeoutError> = wait.recv_timeout(Self::CLOSE);
        }
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A worker's end of the access log.
#[derive(Debug)]
pub struct LogSink {
    log: AccessLog,
    queue: Option<SyncSender<Message>>,
    cells: Arc<Scope<WorkerCells>>,
    state: RefCell<State>,
    home: SyncSender<Vec<u8>>,
    recycled: Receiver<Vec<u8>>,
}

#[derive(Debug)]
struct State {
    batch: Vec<u8>,
    records: u64,
    spare: Option<Vec<u8>>,
}

impl LogSink {
    /// How often a worker should call [`LogSink::flush`], so that a quiet proxy's log is up to date.
    pub const FLUSH_INTERVAL: Duration = Duration::from_millis(500);
    /// How long the last batch waits for room in the queue when the sink is dropped.
    const LAST: Duration = Duration::from_secs(1);

    /// Whether records go anywhere; if not, there is no need to collect them.
    #[inline]
    pub fn enabled(&self) -> bool {
        self.queue.is_some()
    }

    /// What has to be noted of requests for the log.
    pub fn needs(&self) -> Needs {
        if self.enabled() { self.log.needs() } else { Needs::default() }
    }

    /// Appends a record to the batch; hands the batch over when it is full.
    #[inline]
    pub fn write(&self, record: &Record<'_>) {
        if self.queue.is_none() {
            return;
        }
        let mut state = self.state.borrow_mut();
        self.log.write(record, &mut state.batch);
        state.records += 1;
        self.cells.at(0).log_records.inc();
        if state.batch.len() >= BATCH {
            self.hand_over(&mut state);
        }
    }

    /// Hands over what there is.
    pub fn flush(&self) {
        let mut state = self.state.borrow_mut();
        if !state.batch.is_empty() {
            self.hand_over(&mut state);
        }
    }

    fn hand_over(&self, state: &mut State) {
        let Some(queue) = &self.queue else { return };
        let batch = self.take(state);
        if let Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) =
            queue.try_send(Message::Batch(batch))
        {
            self.dropped(message, state);
        }
    }

    /// Takes the batch, and puts an empty buffer in its place.
    fn take(&self, state: &mut State) -> Batch {
        let next = state.spare.take().or_else(|| self.recycled.try_recv().ok());
        let next = next.unwrap_or_else(|| Vec::with_capacity(BATCH + BATCH / 16));
        let bytes = std::mem::replace(&mut state.batch, next);
        Batch { bytes, records: std::mem::take(&mut state.records), home: self.home.clone() }
    }

    fn dropped(&self, message: Message, state: &mut State) {
        if let Message::Batch(mut batch) = message {
            self.cells.at(0).log_dropped.add(batch.records);
            batch.bytes.clear();
            state.spare = Some(batch.bytes);
        }
    }
}

impl Drop for LogSink {
    fn drop(&mut self) {
        let mut state = self.state.replace(State { batch: Vec::new(), records: 0, spare: None });
        let Some(queue) = self.queue.as_ref().filter(|_| !state.batch.is_empty()) else { return };
        let batch = self.take(&mut state);
        if let Err(message) = send_patiently(queue, Message::Batch(batch), Self::LAST) {
            self.dropped(message, &mut state);
        }
    }
}

/// Sends; waits for room, but not longer than `patience`.
fn send_patiently(queue: &SyncSender<Message>, mut message: Message, patience: Duration) -> Result<(), Message> {
    const STEP: Duration = Duration::from_millis(5);
    let mut waited = Duration::ZERO;
    loop {
        message = match queue.try_send(message) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(message)) if waited < patience => message,
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => return Err(message),
        };
        thread::sleep(STEP);
        waited += STEP;
    }
}

enum Output {
    Stdout,
    File { file: File, path: PathBuf },
}

impl Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Output::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()
            }
            Output::File { file, .. } => file.write_all(bytes),
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Output::File { file, path } = self {
            *file = open(path)?;
        }
        Ok(())
    }
}

fn open(path: &PathBuf) -> io::Result<File> {
    let with_path = |e: io::Error| io::Error::new(e.kind(), format!("access log {}: {e}", path.display()));
    OpenOptions::new().append(true).create(true).open(path).map_err(with_path)
}

/// Writes until it is told to stop, and returns whom to tell of the end.
fn run(mut output: Output, messages: &Receiver<Message>, registry: &Registry) -> Option<SyncSender<()>> {
    while let Ok(message) = messages.recv() {
        let result = match message {
            Message::Batch(mut batch) => {
                let result = output.write(&batch.bytes);
                if batch.bytes.capacity() <= MAX_KEPT {
                    batch.bytes.clear();
                    let _ = batch.home.try_send(batch.bytes);
                }
                result
            }
            Message::Reopen => output.reopen(),
            Message::Stop(done) => return Some(done),
        };
        if result.is_err() {
            registry.log_write_failed();
        }
    }
    None
}

#[cfg(test)]
mod tests;
