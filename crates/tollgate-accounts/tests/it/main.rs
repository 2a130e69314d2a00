//! The promises of accounts, kept against real databases and a clock that tests move by hand. Each of the three runs the
//! same tests; `nextest run mariadb::` runs one of them alone.
#![expect(
    clippy::duplicate_mod,
    reason = "one suite, compiled once for each database"
)]

use tollgate_testkit::database::Engine;

#[path = "."]
mod sqlite {
    const ENGINE: Option<super::Engine> = None;

    mod audit;
    mod changes;
    mod database;
    mod fixture;
    mod idle;
    mod key_lifetime;
    mod keys;
    mod log_in;
    mod names;
    mod overrides;
    mod plans;
    mod races;
    mod roles;
    mod sessions;
    mod sign_up;
    mod sqlite_file;
    mod token_keys;
    mod tokens;
    mod usage;
    mod usage_series;
}

#[path = "."]
mod postgres {
    const ENGINE: Option<super::Engine> = Some(super::Engine::Postgres);

    mod audit;
    mod away;
    mod changes;
    mod database;
    mod encrypted;
    mod fixture;
    mod idle;
    mod key_lifetime;
    mod keys;
    mod log_in;
    mod names;
    mod overrides;
    mod plans;
    mod races;
    mod roles;
    mod server;
    mod sessions;
    mod sign_up;
    mod token_keys;
    mod tokens;
    mod usage;
    mod usage_series;
}

#[path = "."]
mod mariadb {
    const ENGINE: Option<super::Engine> = Some(super::Engine::MariaDb);

    mod audit;
    mod away;
    mod changes;
    mod database;
    mod encrypted;
    mod fixture;
    mod idle;
    mod key_lifetime;
    mod keys;
    mod log_in;
    mod names;
    mod overrides;
    mod plans;
    mod races;
    mod roles;
    mod server;
    mod sessions;
    mod sign_up;
    mod token_keys;
    mod tokens;
    mod usage;
    mod usage_series;
}
