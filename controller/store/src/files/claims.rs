//! Who defines which object. Several may claim one; the first wins.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fairlead_crds::Kind;
use foldhash::fast::RandomState;

use super::document::{Chunked, Read};
use super::scan::FileName;
use crate::{Entry, Key, Source};

/// A definition of an object: the `index`th one of a chunk of a file.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub file: Arc<FileName>,
    pub chunk: Arc<Chunked>,
    pub index: usize,
}

/// All definitions, by object.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    map: HashMap<(Kind, Key), Vec<Claim>, RandomState>,
    contested: BTreeSet<(Kind, Key)>,
}

impl Claim {
    pub(crate) fn read(&self) -> &Read {
        &self.chunk.objects[self.index]
    }

    pub(crate) fn source(&self) -> Source {
        let read = self.read();
        Source::new(self.file.shown.clone(), self.chunk.line.clone(), read.offset, read.item)
    }

    pub(crate) fn entry(&self) -> Entry {
        let read = self.read();
        Entry {
            object: read.object.clone(),
            source: Some(self.source()),
            stored: None,
            spec: read.spec,
            revision: read.revision,
        }
    }

    fn order(&self) -> (&FileName, u32, usize) {
        (&self.file, self.chunk.line.load(Ordering::Relaxed), self.index)
    }
}

impl Claims {
    /// Adds those of a chunk; `touched` gets the objects.
    pub(crate) fn add(&mut self, file: &Arc<FileName>, chunk: &Arc<Chunked>, touched: &mut Vec<(Kind, Key)>) {
        for (index, read) in chunk.objects.iter().enumerate() {
            let object = (read.object.kind(), read.key.clone());
            touched.push(object.clone());
            let claims = self.map.entry(object).or_insert_with_key(|_| Vec::with_capacity(1));
            claims.push(Claim { file: file.clone(), chunk: chunk.clone(), index });
            if claims.len() > 1 {
                self.contested.insert((read.object.kind(), read.key.clone()));
            }
        }
    }

    /// Removes those of a chunk; `touched` gets the objects.
    pub(crate) fn remove(&mut self, chunk: &Arc<Chunked>, touched: &mut Vec<(Kind, Key)>) {
        for read in &chunk.objects {
            let object = (read.object.kind(), read.key.clone());
            if let Some(claims) = self.map.get_mut(&object) {
                claims.retain(|claim| !Arc::ptr_eq(&claim.chunk, chunk));
                if claims.len() <= 1 {
                    self.contested.remove(&object);
                }
                if claims.is_empty() {
                    self.map.remove(&object);
                }
            }
            touched.push(object);
        }
    }

    /// The definition that counts.
    pub(crate) fn winner(&self, object: &(Kind, Key)) -> Option<&Claim> {
        self.map.get(object)?.iter().min_by(|a, b| a.order().cmp(&b.order()))
    }

    /// Objects with more than one definition: the one that counts, then the others.
    pub(crate) fn contested(&self) -> impl Iterator<Item = (&(Kind, Key), Vec<&Claim>)> {
        self.contested.iter().filter_map(|object| {
            let mut claims: Vec<_> = self.map.get(object)?.iter().collect();
            claims.sort_by(|a, b| a.order().cmp(&b.order()));
            Some((object, claims))
        })
    }

    /// Room for this many more.
    pub(crate) fn reserve(&mut self, objects: usize) {
        self.map.reserve(objects);
    }
}
