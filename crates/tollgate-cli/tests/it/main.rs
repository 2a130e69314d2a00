//! The binary as its users meet it: over sockets, with a clock that the test holds.
#![allow(clippy::unwrap_used, reason = "tests")]

mod account_commands;
mod audit;
mod away;
mod bad_input;
mod commands;
mod console;
mod crash;
mod databases;
mod envoy;
mod fastapi;
mod faults;
mod hello_by_ip;
mod hourly_module;
mod http_service;
mod issuers;
mod life;
mod metrics;
mod monitor;
mod pages;
mod parallel;
mod penalty;
mod per_api_key;
mod plans;
mod proxy;
mod random_number;
mod resp;
mod scenarios;
mod sessions;
mod shared;
mod support;
mod top;
mod traces;
mod upstream_leg;
mod who_asks;
