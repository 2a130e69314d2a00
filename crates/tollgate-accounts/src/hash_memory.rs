//! The memory in which passwords are hashed. It is taken from the system once and used again: tens of megabytes that
//! came and went with every hash would keep the whole process waiting for its pages.

use std::sync::{Mutex, MutexGuard, PoisonError};

use argon2::{Block, Error};

/// What no hash needs at the moment: never more than were at work at once, each as large as the largest that it was
/// used for.
///
/// It is not cleared here after a hash. The second pass has written over every block, so what is left tells no more of a
/// password than the hash that is stored; who hashes in one pass clears it.
#[derive(Default)]
pub(crate) struct HashMemory {
    spare: Mutex<Vec<Vec<Block>>>,
}

impl HashMemory {
    /// Hashes in so many blocks, which hold whatever the hash before has left.
    ///
    /// # Errors
    /// There is not so much memory, or the hash fails.
    pub(crate) fn lend<T>(
        &self,
        count: usize,
        hash: impl FnOnce(&mut [Block]) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut blocks = self.spare().pop().unwrap_or_default();
        let missing = count.saturating_sub(blocks.len());
        blocks
            .try_reserve_exact(missing)
            .map_err(|_| Error::OutOfMemory)?;
        blocks.resize(blocks.len() + missing, Block::new());
        let hashed = hash(&mut blocks);
        self.spare().push(blocks);
        hashed
    }

    /// Gives back to the system what no hash needs at the moment.
    pub(crate) fn release(&self) {
        // Not freed under the lock, for which the next hash would wait.
        drop(std::mem::take(&mut *self.spare()));
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.spare().is_empty()
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the blocks are that are lent, and how many.
    fn lent(memory: &HashMemory, count: usize) -> (usize, usize) {
        let place = |blocks: &mut [Block]| Ok((blocks.as_ptr().addr(), blocks.len()));
        memory.lend(count, place).unwrap()
    }

    #[test]
    fn one_hash_after_the_other_has_the_same_memory() {
        let memory = HashMemory::default();
        let first = lent(&memory, 64);
        assert_eq!(lent(&memory, 64), first);
        assert_eq!(lent(&memory, 8), first, "a smaller hash makes no other");
    }

    #[test]
    fn what_no_hash_needs_is_given_back_and_what_one_needs_is_not() {
        let memory = HashMemory::default();
        lent(&memory, 64);
        memory.release();
        assert!(memory.is_empty());
        let kept = memory.lend(8, |blocks| {
            memory.release();
            blocks[7] = Block::new();
            Ok(())
        });
        assert!(kept.is_ok());
        assert_eq!(memory.spare().len(), 1);
    }

    #[test]
    fn more_memory_than_there_is_fails_the_hash_alone() {
        let memory = HashMemory::default();
        let failed = memory.lend(usize::MAX / Block::SIZE, |_| Ok(()));
        assert_eq!(failed, Err(Error::OutOfMemory));
        assert_eq!(lent(&memory, 8).1, 8);
    }
}
