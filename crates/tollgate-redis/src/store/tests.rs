//! The store beside the definition: after every step of random traces the outcome, and every state on the server, are
//! those of [`decide`](tollgate::decide).

mod away;
mod case;
mod definition;
mod forgotten;
mod late;
mod leases;
mod returning;
mod trace;
mod versions;
mod within;

use case::Family;
use trace::run;

/// Makes one test of each family.
macro_rules! beside_the_definition {
    ($($name:ident $quotas:expr;)*) => {
        $(#[test] fn $name() { run(&Family(&$quotas)); })*
    };
}

beside_the_definition! {
    token_bucket ["10/s burst 10", "1/us burst 1", "3/s burst 1", "1 per century burst 5", "65536/s burst 9",
        "1000000/s burst 1000000", "7/us burst 3", "7 per 3 seconds burst 20"];
    token_bucket_of_coarse_ticks ["104251/day burst 104251", "287 per year burst 20", "1000003/day burst 7"];
    sliding_window ["3 per 10 seconds", "7 per century", "6/s", "128/h", "1/us", "9/7us"];
    sliding_window_of_many_entries ["200/m", "70000/m", "1000/s", "129/h"];
    fixed_window ["5/m fixed-window", "1/us fixed-window", "100000/h fixed-window", "9 per century fixed-window"];
    calendar ["9/m calendar", "100000/h calendar", "3/day calendar Europe/Berlin", "9 per year calendar",
        "5/m calendar America/New_York", "20 per week calendar", "7 per month calendar Asia/Kolkata"];
    sliding_counter ["10/m sliding-counter", "1/us sliding-counter", "9/7us sliding-counter",
        "2000000000/s sliding-counter", "5 per century sliding-counter"];
    concurrency ["2 concurrent", "9 concurrent for 7 us", "300 concurrent for 1 hour", "5 concurrent for 1 century"];
    all_together ["10/s burst 10", "104251/day burst 9", "5/m", "200/m", "4/m fixed-window", "3/h calendar",
        "9/m sliding-counter", "2 concurrent for 20 seconds", "deny", "unlimited"];
}
