//! The boot clock at the price of the processor's tick counter: each thread reads it once a millisecond, and counts
//! ticks in between. How long a tick is, is measured while the program runs. Where ticks are not steady, or not yet
//! measured, every reading is the boot clock's.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use super::boot;
use crate::cpu;

/// How long ticks are counted from one reading of the boot clock.
const COUNTED_MICROS: u64 = 1_000;
/// Binary places of a rate.
const PLACES: u32 = 40;
/// More ticks than this are not counted but read: 0.8 seconds at 5 GHz.
const TICKS_MAX: u64 = 1 << 32;
/// The shortest and the longest time that a rate is measured over.
const MEASURED_MICROS: std::ops::Range<u64> = 20_000..10_000_000;
/// A measurement during which the boot clock took longer than this to read says nothing.
const READING_TICKS_MAX: u64 = 20_000;
/// Two measurements that differ by more than one in so many are no measurement: the system slept in between.
const AGREEMENT: u64 = 1_000;

/// Microseconds a tick, times two to the power of [`PLACES`]; 0 while it is not known.
static RATE: AtomicU64 = AtomicU64::new(0);
/// Ticks and microseconds at which the measurement that is going on began.
static BEGAN: Mutex<Option<(u64, u64)>> = Mutex::new(None);

thread_local! {
    /// Ticks and microseconds of this thread's last reading of the boot clock.
    static READ: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Microseconds of the boot clock.
#[inline]
pub(super) fn micros() -> u64 {
    let rate = RATE.load(Ordering::Relaxed);
    let (ticks, micros) = READ.get();
    match since(ticks, rate) {
        Some(past) if past < COUNTED_MICROS => micros + past,
        counted => read(counted.map(|past| micros + past)),
    }
}

/// Microseconds since the counter stood at `ticks`.
#[inline]
fn since(ticks: u64, rate: u64) -> Option<u64> {
    let past = cpu::ticks().wrapping_sub(ticks);
    (rate > 0 && past < TICKS_MAX).then(|| (past * rate) >> PLACES)
}

#[cold]
fn read(counted: Option<u64>) -> u64 {
    static STEADY: OnceLock<bool> = OnceLock::new();
    if !*STEADY.get_or_init(cpu::ticks_are_steady) {
        return boot::micros();
    }
    let (mut ticks, mut micros, mut took) = reading();
    // A thread that was interrupted in between looks once more: what it would count from this would lag behind. Who is
    // interrupted again lags, for a millisecond at most.
    if took > READING_TICKS_MAX {
        (ticks, micros, took) = reading();
    }
    if took <= READING_TICKS_MAX {
        measure(ticks, micros);
    }
    // A count that is a little ahead does not go back.
    let micros = match counted {
        Some(counted) if counted > micros && counted - micros < COUNTED_MICROS / 100 => counted,
        _ => micros,
    };
    READ.set((ticks, micros));
    micros
}

/// Ticks, microseconds of the boot clock, and how many ticks it took to read both.
fn reading() -> (u64, u64, u64) {
    let before = cpu::ticks();
    let micros = boot::micros();
    let ticks = cpu::ticks();
    (ticks, micros, ticks.wrapping_sub(before))
}

fn measure(ticks: u64, micros: u64) {
    let Ok(mut began) = BEGAN.try_lock() else {
        return;
    };
    let known = RATE.load(Ordering::Relaxed);
    if let Some(rate) = measured(&mut began, known, ticks, micros) {
        RATE.store(rate, Ordering::Relaxed);
    }
}

/// The rate as one more reading tells it, 0 if that contradicts the `known` one; `None` as long as it tells nothing.
fn measured(began: &mut Option<(u64, u64)>, known: u64, ticks: u64, micros: u64) -> Option<u64> {
    let (first_ticks, first_micros) = *began.get_or_insert((ticks, micros));
    let (ticks_past, micros_past) = (
        ticks.wrapping_sub(first_ticks),
        micros.saturating_sub(first_micros),
    );
    if micros_past < MEASURED_MICROS.start || ticks_past == 0 {
        return None;
    }
    if micros_past >= MEASURED_MICROS.end {
        *began = Some((ticks, micros));
    }
    let rate = (u128::from(micros_past) << PLACES) / u128::from(ticks_past);
    let rate = u64::try_from(rate).unwrap_or(0);
    let agree = known == 0 || rate.abs_diff(known) <= known / AGREEMENT;
    if !agree {
        *began = Some((ticks, micros));
    }
    Some(if agree { rate } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_to_the_boot_clock_and_never_goes_back() {
        let steady = cpu::ticks_are_steady();
        let (mut last, mut counted) = (0, 0);
        let end = boot::micros() + 3 * MEASURED_MICROS.start;
        // Who stands still for long enough at the wrong moment has counted nothing yet.
        let patience = boot::micros() + 60_000_000;
        while last < end || steady && counted == 0 && last < patience {
            let read_before = READ.get();
            let (before, now, after) = (boot::micros(), micros(), boot::micros());
            assert!(now >= last, "{now} after {last}");
            assert!(
                now + 100 >= before && now <= after + 100,
                "{before} {now} {after}"
            );
            let read = READ.get();
            assert!(
                !steady || now - read.1 < COUNTED_MICROS,
                "{now} at {read:?}"
            );
            counted += u64::from(read == read_before);
            last = now;
        }
        assert!(counted > 0 || !steady, "ticks were never counted");
    }

    #[test]
    fn what_was_counted_is_not_taken_back_by_the_next_reading() {
        let end = boot::micros() + 3 * MEASURED_MICROS.start;
        let mut last = 0;
        while last < end {
            last = micros();
        }
        let mut turns = 0;
        for _ in 0..100 {
            let rate = RATE.load(Ordering::Relaxed);
            if rate == 0 {
                continue;
            }
            // The count is a little ahead, and the next reading is due.
            let told = boot::micros() + COUNTED_MICROS / 200;
            let counted = COUNTED_MICROS + 1;
            let began = cpu::ticks().wrapping_sub((counted << PLACES).div_ceil(rate));
            READ.set((began, told - counted));
            assert!(micros() >= told);
            assert_ne!(READ.get().0, began, "nothing was read");
            turns += 1;
        }
        assert!(
            turns > 0 || !cpu::ticks_are_steady(),
            "ticks were never counted"
        );
    }

    #[test]
    fn a_rate_is_measured_over_ten_seconds_at_most() {
        let mut began = None;
        for second in 0..=10 {
            let micros = 1_000_000 * second;
            let _ = measured(&mut began, 0, 3 * micros, micros);
            let first = if second < 10 { 0 } else { micros };
            assert_eq!(began, Some((3 * first, first)));
        }
    }

    #[test]
    fn a_count_that_is_far_ahead_is_not_believed() {
        let now = read(Some(boot::micros() + 50 * COUNTED_MICROS));
        assert!(now <= boot::micros() + COUNTED_MICROS / 100);
    }

    #[test]
    fn a_rate_is_measured_anew_after_the_system_slept() {
        const EXACT: u64 = (1 << PLACES) / 3;
        for slept in [2_000_000, 3_600_000_000] {
            let (mut began, mut rate) = (None, 0);
            // Three ticks a microsecond, nearly, but for the time at 500 ms in which the counter stood still.
            for millis in 0..1_000 {
                let awake = 1_000 * millis;
                let micros = if millis < 500 { awake } else { awake + slept };
                let ticks = 3 * awake + millis % 3;
                rate = measured(&mut began, rate, ticks, micros).unwrap_or(rate);
                let expected = match millis {
                    20..500 | 520.. => EXACT,
                    _ => 0,
                };
                let is_near = rate.abs_diff(expected) <= expected / AGREEMENT;
                assert!(is_near, "{slept} us of sleep, {millis} ms: {rate}");
            }
        }
    }
}
