//! The promises of accounts, kept against a real database file and a clock that tests move by hand.

mod changes;
mod database;
mod fixture;
mod key_lifetime;
mod keys;
mod sessions;
mod sign_up;
mod usage;
