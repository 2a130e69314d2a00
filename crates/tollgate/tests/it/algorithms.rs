//! Every algorithm under random traces, each property for all of them.

/// One test of each promise for each algorithm, so that they run side by side.
macro_rules! for_every_algorithm {
    ($($promise:ident)*) => {
        for_every_algorithm!(@of sliding_window SlidingWindow; $($promise)*);
        for_every_algorithm!(@of token_bucket TokenBucket; $($promise)*);
        for_every_algorithm!(@of fixed_window FixedWindow; $($promise)*);
        for_every_algorithm!(@of calendar Calendar; $($promise)*);
        for_every_algorithm!(@of sliding_counter SlidingCounter; $($promise)*);
        for_every_algorithm!(@of concurrency Concurrency; $($promise)*);
    };
    (@of $name:ident $kind:ident; $($promise:ident)*) => {
        mod $name {
            $(#[test] fn $promise() { super::$promise(tollgate_testkit::oracle::Kind::$kind); })*
        }
    };
}

mod beside_oracle;
mod case;
mod changes;
mod clock;
mod own;
mod range;
mod refunds;
