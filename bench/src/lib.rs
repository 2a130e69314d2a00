//! What a decision in memory costs, beside the limiters that people use instead: the parts of `engine`.
//!
//! From the ground up: [`keys`] and [`workload`] say what is asked, [`ours`] and [`peers`] who answers, [`measure`],
//! [`windows`], [`resident`] and [`instructions`] what it cost; [`grid`], [`algorithms`], [`pause`], [`flood`] and
//! [`allocations`] are the runs; [`figures`] holds the bars, and [`report`] prints and keeps what came out. [`rls`] is what `grpc-load` and `grpc-ok` speak.

pub mod algorithms;
pub mod allocations;
pub mod figures;
pub mod flood;
pub mod grid;
pub mod instructions;
pub mod keys;
pub mod measure;
pub mod ours;
pub mod pause;
pub mod peer;
pub mod peers;
pub mod report;
pub mod resident;
pub mod rls;
pub mod scale;
pub mod spread;
pub mod subprocess;
pub mod windows;
pub mod workload;
