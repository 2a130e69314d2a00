//! What every store must keep. A store's tests are one line: `tollgate_testkit::store_conformance!(make_store)`.

mod changed_penalties;
mod changes;
mod charges;
mod penalties;
mod steps;
mod threads;
mod timelines;

pub use changed_penalties::*;
pub use changes::*;
pub use charges::*;
pub use penalties::*;
pub use steps::wait;
pub use threads::*;
pub use timelines::*;

/// Makes one `#[test]` of each promise, on a fresh store from `$make`. With `in one test` before it, makes one of all of
/// them, and tells `$make` the name of each: for stores whose servers are dear.
#[macro_export]
macro_rules! store_conformance {
    (in one test, $make:expr) => {
        #[test]
        fn every_promise() {
            $crate::store_conformance!(@promises @one $make);
        }
    };
    ($make:expr) => {
        $crate::store_conformance!(@promises @each $make);
    };
    (@promises @$how:ident $make:expr) => {
        $crate::store_conformance!(@$how $make;
            sliding_three_in_ten_seconds fixed_minute_and_hour_together an_exhausted_hour_spares_the_minute
            token_bucket_ten_per_second token_bucket_with_burst_one sliding_hundred_per_hour
            a_clock_that_goes_back_is_never_more_generous a_state_far_ahead_of_the_clock_is_void costs_and_never
            a_hundred_parallel_requests_admit_exactly_five parallel_requests_over_two_keys_charge_both_or_none
            a_changed_quota_keeps_what_was_used an_older_policy_is_decided_under_the_stored_numbers
            another_algorithm_takes_over_what_was_used a_denied_request_costs_nothing a_denied_request_that_counts_takes_what_still_fits
            peek_charges_nothing_and_agrees_with_the_next_decision cost_zero_passes_and_writes_nothing
            a_refund_gives_back_what_the_charge_still_holds a_shadow_policy_never_denies
            what_is_released_is_given_back_whoever_took_it
            what_is_released_is_the_newest_also_what_was_charged_in_advance
            a_refund_leaves_alone_what_was_not_charged an_instant_beyond_all_time_is_no_overflow
            deny_refuses_and_unlimited_passes reset_forgets_one_key_and_reset_all_every_key
            the_same_key_and_policy_twice_is_one_check keys_and_policies_do_not_meet
            a_third_holder_of_two_waits_for_a_lease_to_end a_slot_that_is_given_back_is_free_at_once
            the_window_before_weighs_less_in_steps a_refund_of_the_window_before_gives_back_what_still_weighs
            a_denial_blocks_for_the_stated_time blocks_grow_by_the_factor_up_to_the_maximum
            denials_during_a_block_do_not_count quiet_time_forgives
            retry_after_of_a_blocked_key_is_the_first_instant_that_passes nothing_remains_during_a_block
            peek_agrees_with_the_denial_that_would_block only_the_policy_that_denies_blocks
            a_shadow_policy_blocks_only_itself waiting_begins_no_block a_turn_waits_for_the_end_of_a_block
            reset_lifts_a_block refunds_leave_a_block_alone what_cannot_be_denied_for_a_time_begins_no_block
            a_denial_that_counts_is_charged_once_for_each_block a_block_outlives_a_change_of_the_quota
            a_shorter_penalty_shortens_a_block
            numbers_of_a_penalty_that_change_without_a_version_are_told_apart a_penalty_that_is_taken_away_counts_no_more
            a_block_and_a_clock_that_goes_back a_block_of_a_century_is_no_overflow
            a_blocked_key_that_comes_back_as_told_passes_though_the_clock_went_back
            a_charge_by_an_earlier_reading_leaves_what_it_says
            a_hundred_parallel_denials_begin_one_block);
    };
    (@each $make:expr; $($promise:ident)*) => {
        $(#[test] fn $promise() { $crate::conformance::$promise(&$make()); })*
    };
    (@one $make:expr; $($promise:ident)*) => {
        let make = $make;
        $(
            eprintln!("{}", stringify!($promise));
            $crate::conformance::$promise(&make(stringify!($promise)));
        )*
    };
}
