//! Who defines which object. Several may claim one; the first wins.

use std::collections::{BTreeMap, HashMap};
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
    /// The only one, or one of several.
    map: HashMap<(Kind, Key), Claim, RandomState>,
    /// All of the objects that have several.
    contested: BTreeMap<(Kind, Key), Vec<Claim>>,
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
            let claim = Claim { file: file.clone(), chunk: chunk.clone(), index };
            match self.map.get(&object) {
                Some(known) => {
                    let all = self.contested.entry(object.clone()).or_insert_with(|| vec![known.clone()]);
                    all.push(claim);
                }
                None => {
                    self.map.insert(object.clone(), claim);
                }
            }
            touched.push(object);
        }
    }

    /// Removes those of a chunk; `touched` gets the objects.
    pub(crate) fn remove(&mut self, chunk: &Arc<Chunked>, touched: &mut Vec<(Kind, Key)>) {
        for read in &chunk.objects {
            let object = (read.object.kind(), read.key.clone());
            if let Some(claims) = self.contested.get_mut(&object) {
                claims.retain(|claim| !Arc::ptr_eq(&claim.chunk, chunk));
                match claims.first() {
                    Some(left) => self.map.insert(object.clone(), left.clone()),
                    None => self.map.remove(&object),
                };
                if claims.len() <= 1 {
                    self.contested.remove(&object);
                }
            } else if self.map.get(&object).is_some_and(|claim| Arc::ptr_eq(&claim.chunk, chunk)) {
                self.map.remove(&object);
            }
            touched.push(object);
        }
    }

    /// The definition that counts.
    pub(crate) fn winner(&self, object: &(Kind, Key)) -> Option<&Claim> {
        match self.contested.get(object) {
            Some(claims) => claims.iter().min_by(|a, b| a.order().cmp(&b.order())),
            None => self.map.get(object),
        }
    }

    /// Objects with more than one definition: the one that counts, then the others.
    pub(crate) fn contested(&self) -> impl Iterator<Item = (&(Kind, Key), Vec<&Claim>)> {
        self.contested.iter().map(|(object, claims)| {
            let mut claims: Vec<_> = claims.iter().collect();
            claims.sort_by(|a, b| a.order().cmp(&b.order()));
            (object, claims)
        })
    }

    /// Room for this many more.
    pub(crate) fn reserve(&mut self, objects: usize) {
        self.map.reserve(objects);
    }
}
