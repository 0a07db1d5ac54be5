//! Files → chunks with their objects, on several threads.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fairlead_crds::Kind;

use super::document::{self, Chunked, Context};
use super::scan::{FileName, Stamp};
use super::state::Namespaces;
use super::{Settings, hash, stdin};
use crate::yaml::split;
use crate::{Code, Key, Place, Problem, World};

/// How far a load has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files that were read.
    pub files: usize,
    /// Files that there are.
    pub files_total: usize,
    /// Objects that were found so far.
    pub objects: usize,
    /// Bytes that were parsed.
    pub bytes: u64,
    /// Bytes that there are.
    pub bytes_total: u64,
}

/// A file to load and what is known of it.
pub(crate) struct Job {
    pub name: Arc<FileName>,
    pub stamp: Stamp,
    /// What was read from it the last time.
    pub before: Vec<Arc<Chunked>>,
}

/// What came of a file.
pub(crate) struct Loaded {
    pub name: Arc<FileName>,
    pub stamp: Stamp,
    pub content: Result<Vec<Part>, Box<Problem>>,
}

/// A chunk, as it was or new.
pub(crate) enum Part {
    Same(Arc<Chunked>, u32),
    New(Chunked),
}

/// Reads and parses files in batches of limited size, so that memory stays bounded and progress is shown.
pub(crate) fn load(
    settings: &Settings,
    world: &World,
    jobs: Vec<Job>,
    mut progress: impl FnMut(Progress),
) -> Vec<Loaded> {
    let bytes_total = jobs.iter().map(|job| job.stamp.size()).sum();
    let mut state = Progress { files_total: jobs.len(), bytes_total, ..Progress::default() };
    let mut loaded = Vec::with_capacity(jobs.len());
    let mut jobs = jobs.into_iter().peekable();
    while jobs.peek().is_some() {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(job) = jobs.next_if(|_| batch.is_empty() || (bytes < BATCH_BYTES && batch.len() < BATCH_FILES)) {
            bytes += job.stamp.size();
            batch.push(job);
        }
        let texts = parallel(settings.threads(), bytes, &batch, |job| read(job, settings.max_file_bytes));
        state.files += batch.len();
        loaded.extend(parse(settings, world, batch, texts, &mut state, &mut progress));
    }
    loaded
}

const BATCH_BYTES: u64 = 1 << 20;
const BATCH_FILES: usize = 2_000;

type Read = Result<(String, Stamp), Box<Problem>>;

fn read(job: &Job, limit: u64) -> Read {
    let at = || Place::file(job.name.shown.clone());
    let unreadable =
        |error: std::io::Error| Box::new(Problem::error(Code::Unreadable, format!("can't read: {error}")).at(at()));
    let (bytes, stamp) = if stdin::is(&job.name.path) {
        (stdin::bytes(limit).map_err(unreadable)?.to_vec(), job.stamp)
    } else {
        let file = File::open(&job.name.path).map_err(unreadable)?;
        let stamp = file.metadata().map(|metadata| Stamp::of(&metadata)).map_err(unreadable)?;
        let mut bytes = Vec::with_capacity(usize::try_from(stamp.size().min(limit) + 1).unwrap_or_default());
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
        (bytes, stamp)
    };
    if bytes.len() as u64 > limit {
        let message = format!("larger than the limit of {} MiB", limit >> 20);
        return Err(Box::new(
            Problem::error(Code::TooLarge, message)
                .at(at())
                .help("split it into several files, or raise the limit (--max-file-size)"),
        ));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + memchr::memchr_iter(b'\n', valid).count();
        let place = Place { line: u32::try_from(line).unwrap_or_default(), ..at() };
        Box::new(Problem::error(Code::Encoding, "not UTF-8").at(place).help("save the file as UTF-8"))
    })?;
    Ok((text, stamp))
}

/// A chunk to parse: index of the file, index in the file.
struct Task<'a> {
    file: usize,
    context: &'a Context<'a>,
    chunk: crate::yaml::Chunk<'a>,
    hash: u64,
    same: Option<Arc<Chunked>>,
}

fn parse(
    settings: &Settings,
    world: &World,
    jobs: Vec<Job>,
    texts: Vec<Read>,
    state: &mut Progress,
    progress: &mut impl FnMut(Progress),
) -> Vec<Loaded> {
    let contexts: Vec<Context<'_>> =
        jobs.iter().map(|job| Context { file: job.name.shown.clone(), before: world }).collect();
    let mut tasks = Vec::new();
    for (file, (job, text)) in jobs.iter().zip(&texts).enumerate() {
        let Ok((text, _)) = text else { continue };
        let chunks: Vec<_> = split(text).into_iter().map(|chunk| (chunk, hash::text(chunk.text))).collect();
        let same = matched(&job.before, chunks.iter().map(|(_, hash)| *hash));
        let of_file = chunks.into_iter().zip(same);
        tasks.extend(of_file.map(|((chunk, hash), same)| Task { file, context: &contexts[file], chunk, hash, same }));
    }
    let mut parts: Vec<Vec<Part>> = jobs.iter().map(|_| Vec::new()).collect();
    let mut rest = tasks.as_slice();
    loop {
        let (mut end, mut bytes) = (0, 0);
        while end < rest.len() && bytes < BATCH_BYTES {
            bytes += rest[end].chunk.text.len() as u64;
            end += 1;
        }
        let (batch, after) = rest.split_at(end);
        let new: u64 = batch.iter().filter(|task| task.same.is_none()).map(|task| task.chunk.text.len() as u64).sum();
        let read = parallel(settings.threads(), new, batch, |task| match &task.same {
            Some(chunk) => Part::Same(chunk.clone(), task.chunk.line),
            None => Part::New(document::read(task.context, &task.chunk, task.hash)),
        });
        for (task, part) in batch.iter().zip(read) {
            state.objects += part.chunk().objects.len();
            parts[task.file].push(part);
        }
        state.bytes += bytes;
        rest = after;
        progress(*state);
        if rest.is_empty() {
            break;
        }
    }
    drop(tasks);
    let of_files = jobs.into_iter().zip(texts).zip(parts);
    of_files
        .map(|((job, text), parts)| match text {
            Ok((_, stamp)) => Loaded { name: job.name, stamp, content: Ok(parts) },
            Err(problem) => Loaded { name: job.name, stamp: job.stamp, content: Err(problem) },
        })
        .collect()
}

/// For each hash the chunk that has it, each chunk once. Most often all but a few in the middle are as they were.
fn matched(
    before: &[Arc<Chunked>],
    hashes: impl ExactSizeIterator<Item = u64> + DoubleEndedIterator + Clone,
) -> Vec<Option<Arc<Chunked>>> {
    let fits = |(chunk, hash): &(&Arc<Chunked>, u64)| chunk.hash == *hash;
    let head = before.iter().zip(hashes.clone()).take_while(fits).count();
    let tail = before[head..].iter().rev().zip(hashes.clone().skip(head).rev()).take_while(fits).count();
    let (count, middle) = (hashes.len(), head..before.len() - tail);
    let mut by_hash: HashMap<u64, Vec<&Arc<Chunked>>, foldhash::fast::RandomState> = HashMap::default();
    for chunk in before[middle.clone()].iter().rev() {
        by_hash.entry(chunk.hash).or_default().push(chunk);
    }
    let find = |(index, hash): (usize, u64)| match index {
        index if index < head => Some(before[index].clone()),
        index if index >= count - tail => Some(before[before.len() - (count - index)].clone()),
        _ => by_hash.get_mut(&hash).and_then(Vec::pop).cloned(),
    };
    hashes.enumerate().map(find).collect()
}

impl Part {
    pub(crate) fn chunk(&self) -> &Chunked {
        match self {
            Part::Same(chunk, _) => chunk,
            Part::New(chunk) => chunk,
        }
    }

    /// Lets its objects have the names of their namespaces in common with all others.
    pub(super) fn share(&mut self, namespaces: &mut Namespaces) {
        let Part::New(chunk) = self else { return };
        for key in chunk.objects.iter_mut().map(|read| &mut read.key) {
            match namespaces.get_key_value(&key.namespace) {
                Some((known, _)) => key.namespace = known.clone(),
                None => {
                    namespaces.insert(key.namespace.clone(), 0);
                }
            }
        }
    }

    /// What it defines.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (Kind, Key)> {
        self.chunk().objects.iter().map(|read| (read.object.kind(), read.key.clone()))
    }
}

impl Loaded {
    pub(crate) fn objects(&self) -> usize {
        let parts = self.content.as_ref().map_or(&[][..], Vec::as_slice);
        parts.iter().map(|part| part.chunk().objects.len()).sum()
    }
}

/// Maps in order, on several threads when the work is worth them.
fn parallel<T: Sync, R: Send>(threads: usize, bytes: u64, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if threads <= 1 || items.len() <= 1 || bytes < WORTH_THREADS {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let from = next.fetch_add(BLOCK, Ordering::Relaxed);
            if from >= items.len() {
                return done;
            }
            let to = (from + BLOCK).min(items.len());
            done.push((from, items[from..to].iter().map(&work).collect::<Vec<R>>()));
        }
    };
    let mut blocks = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut blocks = run();
        for other in others {
            match other.join() {
                Ok(done) => blocks.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        blocks
    });
    blocks.sort_unstable_by_key(|(from, _)| *from);
    blocks.into_iter().flat_map(|(_, results)| results).collect()
}

/// Below this, starting a thread costs more than it saves.
const WORTH_THREADS: u64 = 64 << 10;
const BLOCK: usize = 16;
