//! The last configuration on disk, for a proxy that starts while no controller answers.
//!
//! One file, replaced as a whole: a line that names the format, a [`Saved`] message and its resources, each after its length, and a
//! SHA-256 of all that. Written and checked piece by piece: a proxy is small. Private keys are in it: only its owner may read it.

use crate::proto::{Resource, Saved};
use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN, digest};
use bytes::{Buf as _, Bytes};
use prost::Message;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// The file's name; the other is where the next one is written.
const NAME: &str = "configuration";
const NEXT: &str = "configuration.next";
/// A program with another format has another number.
const FORMAT: &[u8] = b"fairlead configuration 1\n";

/// Why a cache is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is not in a format that this program knows")]
    Format,
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    #[error("it belongs to Gateway {0}")]
    Foreign(String),
}

/// What was stored last; `None` when nothing was.
pub(crate) fn load(directory: &Path, gateway: &str) -> Result<Option<(Saved, Vec<Resource>)>, CacheError> {
    let bytes = match fs::read(directory.join(NAME)) {
        Ok(bytes) => Bytes::from(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !bytes.starts_with(FORMAT) {
        return Err(CacheError::Format);
    }
    let end = bytes.len().checked_sub(SHA256_OUTPUT_LEN).filter(|end| *end >= FORMAT.len());
    let end = end.ok_or(CacheError::Damaged("it is cut off"))?;
    if digest(&SHA256, &bytes[..end]).as_ref() != &bytes[end..] {
        return Err(CacheError::Damaged("its checksum is wrong"));
    }
    let mut body = bytes.slice(FORMAT.len()..end);
    let damaged = |_| CacheError::Damaged("a message can't be read");
    let saved = Saved::decode_length_delimited(&mut body).map_err(damaged)?;
    if saved.gateway != gateway {
        return Err(CacheError::Foreign(saved.gateway));
    }
    let mut resources = Vec::new();
    while body.has_remaining() {
        resources.push(Resource::decode_length_delimited(&mut body).map_err(damaged)?);
    }
    Ok(Some((saved, resources)))
}

/// Replaces what was stored. After a crash there is the old one or the new one.
///
/// # Errors
/// When the file can't be written.
pub fn store(directory: &Path, saved: &Saved, resources: impl Iterator<Item = Resource>) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let next = directory.join(NEXT);
    // A leftover may have other rights.
    match fs::remove_file(&next) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
    let mut file = Summed { file: BufWriter::new(file), sum: Context::new(&SHA256) };
    file.put(FORMAT)?;
    file.put(&saved.encode_length_delimited_to_vec())?;
    for resource in resources {
        file.put(&resource.encode_length_delimited_to_vec())?;
    }
    let Summed { mut file, sum } = file;
    file.write_all(sum.finish().as_ref())?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(&next, directory.join(NAME))?;
    File::open(directory)?.sync_all()
}

struct Summed {
    file: BufWriter<File>,
    sum: Context,
}

impl Summed {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.file.write_all(bytes)
    }
}

#[cfg(test)]
mod tests;
