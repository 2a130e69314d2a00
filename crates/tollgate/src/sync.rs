//! Atomics and locks: the standard library's, or a model checker's in its builds.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};

/// Looks at a held lock before the rest of the time slice is given to its holder.
const SPINS: u32 = 64;

/// Waits a little for another thread, the longer the more `turns` it took.
pub(crate) fn wait(turns: &mut u32) {
    *turns += 1;
    #[cfg(loom)]
    loom::thread::yield_now();
    #[cfg(not(loom))]
    if *turns % SPINS == 0 {
        std::thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}

/// Locks, also after a holder's panic: what these locks protect is whole at every moment.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
