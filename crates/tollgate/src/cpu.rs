//! The two instructions of the processor that the standard library does not offer. The only unsafe code of the crate.
#![expect(
    unsafe_code,
    reason = "both are unsafe to call only because they are intrinsics; neither touches memory"
)]

/// Asks for the cache line of `place`, so that it is on its way when it is needed.
#[inline(always)]
pub(crate) fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads and writes nothing that a program can see, whatever the address; SSE is part of
        // every x86_64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// The processor's count of ticks, if it counts at one rate whatever the processor does.
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the time stamp counter is part of every x86_64, and reading it changes nothing. Where a system forbids it
    // to programs, `ticks_are_steady` is not asked before the process ends; no such system is known that runs this.
    unsafe {
        std::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    0
}

/// Whether [`ticks`] counts at one rate on all cores.
pub(crate) fn ticks_are_steady() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::__cpuid;
        const POWER_MANAGEMENT: u32 = 0x8000_0007;
        const INVARIANT: u32 = 1 << 8;
        __cpuid(0x8000_0000).eax >= POWER_MANAGEMENT
            && __cpuid(POWER_MANAGEMENT).edx & INVARIANT != 0
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}
