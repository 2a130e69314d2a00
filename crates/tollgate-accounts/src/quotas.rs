//! Quotas in the place of a limit's own, as this process holds them: whom they are for, how a row becomes policies, and
//! what everybody and plans have. Who changes them is `overrides`.

mod reader;
mod scope;
mod shared;

pub(crate) use reader::Reader;
pub use scope::Scope;
pub(crate) use shared::Shared;
