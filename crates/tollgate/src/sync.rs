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
#[cfg(not(loom))]
const SPINS: u32 = 64;

/// Waits a little for another thread, the longer the more `turns` it took.
pub(crate) fn wait(turns: &mut u32) {
    *turns += 1;
    #[cfg(all(test, not(loom)))]
    WAITS.fetch_add(1, Ordering::Relaxed);
    #[cfg(loom)]
    loom::thread::yield_now();
    #[cfg(not(loom))]
    if turns.is_multiple_of(SPINS) {
        std::thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}

#[cfg(all(test, not(loom)))]
static WAITS: AtomicU64 = AtomicU64::new(0);

/// Times that a thread has waited for another, so that a stress test knows whether any two met.
#[cfg(all(test, not(loom)))]
pub(crate) fn waits() -> u64 {
    WAITS.load(Ordering::Relaxed)
}

/// Locks, also after a holder's panic: what these locks protect is whole at every moment.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
