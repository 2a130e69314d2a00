//! What a node answers without asking the store: from units that it holds in advance, and from denials that it remembers.

mod denial;
mod generation;
mod held;
mod look;
mod name;
mod returns;
mod stats;
mod table;
mod unspent;
mod visits;

pub(crate) use look::{Look, Probe};
pub use stats::NearStats;
pub(crate) use table::Near;
pub(crate) use unspent::Unspent;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
