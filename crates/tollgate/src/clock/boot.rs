//! The clock that the system keeps from its start on.

#[cfg(target_os = "linux")]
use std::time::Duration;

/// Microseconds on a clock that counts suspend and never steps.
#[cfg(target_os = "linux")]
pub(super) fn micros() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    crate::time::micros(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// Elsewhere the monotonic clock stands in; whether it counts suspend is the system's choice.
#[cfg(not(target_os = "linux"))]
pub(super) fn micros() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    #[expect(
        clippy::disallowed_methods,
        reason = "this module is where the system's clock is read"
    )]
    let start = *START.get_or_init(Instant::now);
    crate::time::micros(start.elapsed())
}
