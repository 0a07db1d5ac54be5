//! Fixed blocks of bytes from a free list that belongs to the worker.
//!
//! A connection takes a block when bytes move and gives it back when none wait, so that an idle connection owns none and one
//! hot block serves all of a worker's connections in turn.

use std::cell::RefCell;

/// Bytes of a block.
pub(crate) const CAPACITY: usize = 64 * 1024;

/// Blocks a worker keeps for later; more are given back to the allocator.
const KEPT: usize = 64;

thread_local! {
    static FREE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

fn take() -> Box<[u8]> {
    FREE.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; CAPACITY].into_boxed_slice())
}

fn give_back(block: Box<[u8]>) {
    if block.is_empty() {
        return;
    }
    FREE.with_borrow_mut(|free| {
        if free.len() < KEPT {
            free.push(block);
        }
    });
}

/// A queue of bytes in at most one block. Owns none while it is empty and released.
#[derive(Default)]
pub(crate) struct Buf {
    /// Empty when there is none.
    block: Box<[u8]>,
    start: u32,
    end: u32,
}

impl Buf {
    /// The bytes that wait.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.block[self.start as usize..self.end as usize]
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Drops the first `n` bytes; with the last one the block goes back, so that what waits for more owns none.
    #[inline]
    pub(crate) fn consume(&mut self, n: usize) {
        debug_assert!(n <= self.len());
        self.start += n.min(self.len()) as u32;
        if self.start == self.end {
            self.release();
        }
    }

    /// Gives the block back, with what it holds.
    #[inline]
    pub(crate) fn release(&mut self) {
        (self.start, self.end) = (0, 0);
        give_back(std::mem::take(&mut self.block));
    }

    /// Whether it owns no block.
    #[cfg(test)]
    pub(crate) fn is_released(&self) -> bool {
        self.block.is_empty()
    }

    /// Bytes that [`Buf::put`] can take.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        CAPACITY - self.end as usize
    }

    /// Appends all of `bytes`, or nothing when they don't fit.
    #[inline]
    #[must_use]
    pub(crate) fn put(&mut self, bytes: &[u8]) -> bool {
        if self.room() < bytes.len() {
            return false;
        }
        let end = self.end as usize;
        self.block()[end..end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len() as u32;
        true
    }

    /// Free bytes after those that wait, to be filled and then counted with [`Buf::filled`]. At least `CAPACITY - len` when what waits
    /// had to move, so never empty unless the block is full.
    #[inline]
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        if self.start > 0 && self.room() < CAPACITY / 2 {
            let waiting = self.start as usize..self.end as usize;
            self.end -= self.start;
            self.start = 0;
            self.block.copy_within(waiting, 0);
        }
        let end = self.end as usize;
        &mut self.block()[end..]
    }

    /// Counts `n` bytes written to [`Buf::spare`].
    #[inline]
    pub(crate) fn filled(&mut self, n: usize) {
        self.end = (self.end + n as u32).min(CAPACITY as u32);
    }

    #[inline]
    fn block(&mut self) -> &mut [u8] {
        if self.block.is_empty() {
            self.block = take();
        }
        &mut self.block
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue() {
        let mut b = Buf::default();
        assert!(b.put(b"hello") && b.put(b" world"));
        b.consume(6);
        assert_eq!(b.bytes(), b"world");
        let spare = b.spare();
        spare[..2].copy_from_slice(b"!!");
        b.filled(2);
        assert_eq!(b.bytes(), b"world!!");
        b.consume(7);
        assert!(b.is_empty() && b.room() == CAPACITY);
    }

    #[test]
    fn moves_what_waits_when_short_of_room() {
        let mut b = Buf::default();
        assert!(b.put(&vec![1; CAPACITY]));
        assert!(!b.put(b"x"));
        b.consume(CAPACITY - 3);
        assert_eq!(b.spare().len(), CAPACITY - 3);
        assert_eq!(b.bytes(), [1, 1, 1]);
    }

    #[test]
    fn blocks_are_reused() {
        let mut b = Buf::default();
        assert!(b.put(b"x"));
        let at = b.bytes().as_ptr();
        b.release();
        let mut c = Buf::default();
        assert!(c.put(b"y"));
        assert_eq!(c.bytes().as_ptr(), at);
    }
}
