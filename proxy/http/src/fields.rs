//! The flat list of header fields that heads and trailers are made of.

use std::fmt;

use crate::known::{Ends, Known, Set};

/// Header fields in the order they arrived, owning their bytes in one buffer.
///
/// Names are lower-case, and known ones are also told apart by number. Each field lies in the buffer as a line of HTTP/1, so that a head is
/// taken in and written out in a few large pieces. Removing and replacing leave the old bytes in the buffer until [`Fields::clear`]; a list
/// is meant to be cleared and used again, and then allocates nothing once it has grown to the size of the traffic.
///
/// Values are stored as received: no CR, LF or NUL (the codecs see to that for what comes in, callers for what they add).
#[derive(Clone, Default)]
pub struct Fields {
    data: Vec<u8>,
    list: Vec<Field>,
    /// A superset of the ids in `list` as [`Known::bit`]s, the lower half first, so that a lookup of an absent known name costs one test.
    seen: [u64; 2],
}

/// One field: `name: value\r\n` at `at`.
#[derive(Clone, Copy)]
struct Field {
    at: u32,
    name_len: u32,
    value_len: u32,
    known: Known,
}

impl Field {
    #[inline]
    fn start(&self) -> usize {
        self.at as usize
    }

    #[inline]
    fn value(&self) -> std::ops::Range<usize> {
        let start = self.start() + self.name_len as usize + SEPARATOR.len();
        start..start + self.value_len as usize
    }

    #[inline]
    fn end(&self) -> usize {
        self.value().end + LINE_END.len()
    }
}

/// A field as seen from outside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FieldRef<'a> {
    /// The name's id.
    pub known: Known,
    /// The name in lower case, also for known ids.
    pub name: &'a [u8],
    /// The value, without surrounding white space.
    pub value: &'a [u8],
}

impl Fields {
    /// Bytes that it holds memory for, names and values together.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.data.capacity()
    }

    /// An empty list; allocates nothing.
    pub const fn new() -> Fields {
        Fields { data: Vec::new(), list: Vec::new(), seen: [0; 2] }
    }

    /// Forgets all fields, keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.data.clear();
        self.list.clear();
        self.seen = [0; 2];
    }

    /// Number of fields.
    #[inline]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All fields in order.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = FieldRef<'_>> + DoubleEndedIterator {
        self.list.iter().map(|f| self.view(f))
    }

    /// The first value of a known name.
    #[inline]
    pub fn get(&self, known: Known) -> Option<&[u8]> {
        self.all(known).next()
    }

    /// The first value of a name in lower case.
    pub fn get_name<'a>(&'a self, name: &[u8]) -> Option<&'a [u8]> {
        self.all_name(name).next()
    }

    /// All values of a known name, in order.
    #[inline]
    pub fn all(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        debug_assert!(known != Known::Other);
        let list: &[Field] = if self.may_have(known) { &self.list } else { &[] };
        list.iter().filter(move |f| f.known == known).map(|f| self.value(f))
    }

    /// All values of a name in lower case, in order.
    pub fn all_name<'a, 'n>(&'a self, name: &'n [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let known = Known::of(name);
        let list: &[Field] = if self.may_have(known) { &self.list } else { &[] };
        list.iter()
            .filter(move |f| f.known == known && (known != Known::Other || self.name(f) == name))
            .map(|f| self.value(f))
    }

    /// Whether a known name is there.
    #[inline]
    pub fn contains(&self, known: Known) -> bool {
        self.get(known).is_some()
    }

    /// Whether a name in lower case is there.
    pub fn contains_name(&self, name: &[u8]) -> bool {
        self.get_name(name).is_some()
    }

    /// Whether any of a set of known names may be there (never wrong when it says no).
    #[inline]
    pub(crate) fn may_have_any(&self, bits: u128) -> bool {
        self.seen[0] & bits as u64 != 0 || self.seen[1] & (bits >> 64) as u64 != 0
    }

    /// Appends a field. `name` must be in lower case.
    #[inline]
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        debug_assert!(!name.iter().any(u8::is_ascii_uppercase), "field names are lower-case");
        self.append(Known::of(name), name, &[value]);
    }

    /// Appends a field whose name may have upper-case letters.
    pub fn push_any_case(&mut self, name: &[u8], value: &[u8]) {
        let (at, known) = self.copy_line(name, value);
        self.push_line(at, name.len(), value.len(), known);
    }

    /// Copies a field to make one of it with [`Fields::push_line`]; says where it starts and what it is.
    pub(crate) fn copy_line(&mut self, name: &[u8], value: &[u8]) -> (usize, Known) {
        let at = self.data.len();
        self.data.reserve(name.len() + value.len() + SEPARATOR.len() + LINE_END.len());
        for part in [name, SEPARATOR, value, LINE_END] {
            self.data.extend_from_slice(part);
        }
        (at, self.name_line(at, name.len()))
    }

    /// Copies lines of a head (`name: value\r\n`) to make fields of them with [`Fields::name_line`] and [`Fields::push_line`]; says where
    /// they start.
    #[inline]
    pub(crate) fn copy_lines(&mut self, lines: &[u8]) -> usize {
        let at = self.data.len();
        self.data.extend_from_slice(lines);
        at
    }

    /// Makes the name of a line that was copied to `at` lower-case; says what it is.
    #[inline]
    pub(crate) fn name_line(&mut self, at: usize, name_len: usize) -> Known {
        let name = &mut self.data[at..at + name_len];
        let ends = lower(name);
        Known::with_ends(name, ends)
    }

    /// Appends the field whose line was copied to `at`.
    #[inline]
    pub(crate) fn push_line(&mut self, at: usize, name_len: usize, value_len: usize, known: Known) {
        self.list.push(Field { at: at as u32, name_len: name_len as u32, value_len: value_len as u32, known });
        self.note(known);
    }

    /// Appends a field with a known name.
    #[inline]
    pub fn push_known(&mut self, known: Known, value: &[u8]) {
        self.push_parts(known, &[value]);
    }

    /// Appends a field with a known name whose value is `parts` put together.
    #[inline]
    pub fn push_parts(&mut self, known: Known, parts: &[&[u8]]) {
        debug_assert!(known != Known::Other);
        self.append(known, known.name().as_bytes(), parts);
    }

    /// Hands out the lines of the fields that `keep` names, as they go on the wire, neighbours together.
    #[inline]
    pub(crate) fn lines(&self, keep: impl Fn(Known) -> bool, mut put: impl FnMut(&[u8])) {
        let (mut start, mut end) = (0, 0);
        for f in &self.list {
            if !keep(f.known) {
                continue;
            }
            if f.start() != end {
                put(&self.data[start..end]);
                start = f.start();
            }
            end = f.end();
        }
        put(&self.data[start..end]);
    }

    /// Replaces all fields of this name by one at the end. `name` must be in lower case.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        self.remove(name);
        self.push(name, value);
    }

    /// Replaces all fields of a known name by one at the end.
    #[inline]
    pub fn set_known(&mut self, known: Known, value: &[u8]) {
        self.remove_known(known);
        self.push_known(known, value);
    }

    /// Appends an element to a comma-separated list field: all its values become one, `value` last (RFC 9110 §5.3).
    pub fn append_list(&mut self, known: Known, value: &[u8]) {
        self.join_with(known, b", ", Some(value));
    }

    /// Turns several fields of a known name into one at the end, their values joined by `separator`.
    pub fn join(&mut self, known: Known, separator: &[u8]) {
        if self.all(known).nth(1).is_some() {
            self.join_with(known, separator, None);
        }
    }

    fn join_with(&mut self, known: Known, separator: &[u8], last: Option<&[u8]>) {
        let at = self.data.len();
        self.data.extend_from_slice(known.name().as_bytes());
        self.data.extend_from_slice(SEPARATOR);
        let start = self.data.len();
        if self.may_have(known) {
            for i in 0..self.list.len() {
                let f = self.list[i];
                if f.known == known {
                    if self.data.len() > start {
                        self.data.extend_from_slice(separator);
                    }
                    self.data.extend_from_within(f.value());
                }
            }
            self.remove_known(known);
        }
        if let Some(last) = last {
            if self.data.len() > start {
                self.data.extend_from_slice(separator);
            }
            self.data.extend_from_slice(last);
        }
        let value_len = (self.data.len() - start) as u32;
        self.data.extend_from_slice(LINE_END);
        self.list.push(Field { at: at as u32, name_len: known.name().len() as u32, value_len, known });
        self.note(known);
    }

    /// Removes all fields of a name in lower case; says how many.
    pub fn remove(&mut self, name: &[u8]) -> usize {
        let known = Known::of(name);
        if known != Known::Other {
            return self.remove_known(known);
        }
        self.retain(|f| f.known != Known::Other || f.name != name)
    }

    /// Removes all fields of a known name; says how many.
    #[inline]
    pub fn remove_known(&mut self, known: Known) -> usize {
        if !self.may_have(known) || known == Known::Other {
            return 0;
        }
        let before = self.list.len();
        self.list.retain(|f| f.known != known);
        self.forget(known.bit());
        before - self.list.len()
    }

    /// Removes all fields of these names.
    #[inline]
    pub(crate) fn remove_set(&mut self, set: &Set) {
        if self.may_have_any(set.bits) {
            self.list.retain(|f| !set.contains(f.known));
            self.forget(set.bits);
        }
    }

    /// Keeps the fields for which `keep` says so; says how many went.
    pub fn retain(&mut self, mut keep: impl FnMut(FieldRef<'_>) -> bool) -> usize {
        let Fields { data, list, .. } = self;
        let before = list.len();
        list.retain(|f| keep(view(data, f)));
        before - list.len()
    }

    /// Becomes a copy of `other`, using the memory it has.
    pub fn copy_from(&mut self, other: &Fields) {
        self.data.clone_from(&other.data);
        self.list.clone_from(&other.list);
        self.seen = other.seen;
    }

    /// Sum of the bytes of names and values, each field counted with the 32 bytes that RFC 9113 §6.5.2 adds.
    pub fn list_size(&self) -> usize {
        self.iter().map(|f| f.name.len() + f.value.len() + 32).sum()
    }

    #[inline]
    fn append(&mut self, known: Known, name: &[u8], value: &[&[u8]]) {
        let at = self.data.len();
        let value_len: usize = value.iter().map(|part| part.len()).sum();
        self.data.reserve(name.len() + value_len + SEPARATOR.len() + LINE_END.len());
        self.data.extend_from_slice(name);
        self.data.extend_from_slice(SEPARATOR);
        for part in value {
            self.data.extend_from_slice(part);
        }
        self.data.extend_from_slice(LINE_END);
        self.list.push(Field { at: at as u32, name_len: name.len() as u32, value_len: value_len as u32, known });
        self.note(known);
    }

    #[inline]
    fn may_have(&self, known: Known) -> bool {
        self.may_have_any(known.bit())
    }

    #[inline]
    fn note(&mut self, known: Known) {
        let id = known as usize;
        self.seen[id / 64] |= 1 << (id % 64);
    }

    #[inline]
    fn forget(&mut self, bits: u128) {
        self.seen[0] &= !(bits as u64);
        self.seen[1] &= !((bits >> 64) as u64);
    }

    #[inline]
    fn view(&self, f: &Field) -> FieldRef<'_> {
        view(&self.data, f)
    }

    #[inline]
    fn name(&self, f: &Field) -> &[u8] {
        &self.data[f.start()..][..f.name_len as usize]
    }

    #[inline]
    fn value(&self, f: &Field) -> &[u8] {
        &self.data[f.value()]
    }
}

#[inline]
fn view<'a>(data: &'a [u8], f: &Field) -> FieldRef<'a> {
    FieldRef { known: f.known, name: &data[f.start()..][..f.name_len as usize], value: &data[f.value()] }
}

/// Makes ASCII letters lower-case, eight bytes at a time; gives the [`ends`](crate::known::ends) of what it made.
#[inline]
fn lower(name: &mut [u8]) -> Ends {
    let len = name.len();
    let mut ends = crate::known::ends(name);
    ends = [lower_word(ends[0]), lower_word(ends[1])];
    if len < 8 {
        if let Some(first) = name.first_chunk_mut() {
            *first = (ends[0] as u32).to_le_bytes();
        }
        match name.last_chunk_mut() {
            Some(last) => *last = (ends[1] as u32).to_le_bytes(),
            None => name.make_ascii_lowercase(),
        }
        return ends;
    }
    if len > 16 {
        for word in name[8..len - 8].chunks_mut(8) {
            match <&mut [u8; 8]>::try_from(&mut *word) {
                Ok(word) => *word = lower_word(u64::from_le_bytes(*word)).to_le_bytes(),
                Err(_) => word.make_ascii_lowercase(),
            }
        }
    }
    if let Some(first) = name.first_chunk_mut() {
        *first = ends[0].to_le_bytes();
    }
    if let Some(last) = name.last_chunk_mut() {
        *last = ends[1].to_le_bytes();
    }
    ends
}

/// Eight letters at once. Bytes outside ASCII neither change nor carry into their neighbours.
#[inline]
const fn lower_word(x: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // Per byte, in its high bit: at least `A` but not above `Z`.
    let low = x & (ONES * 0x7f);
    let upper = (low + ONES * (0x80 - 0x41)) & !(low + ONES * (0x80 - 0x5b)) & !x & (ONES * 0x80);
    x | upper >> 2
}

const SEPARATOR: &[u8; 2] = b": ";
const LINE_END: &[u8; 2] = b"\r\n";

impl fmt::Debug for FieldRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name.escape_ascii(), self.value.escape_ascii())
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Fields) -> bool {
        self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests;
