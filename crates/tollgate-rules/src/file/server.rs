//! `[server]`, `[accounts]` and `[fields]`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::HeaderValue;
use ipnet::IpNet;
use tollgate::Quota;

use super::issuers::issuers;
use super::tls::certificates;
use crate::issuer::TokenAlgorithm;
use crate::read::{At, Table, Value};
use crate::{Accounts, CookieSecure, Fields, LegacyFields, Protection, Server};

const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
const DATABASES: &str = "write `sqlite:FILE`, `postgres://USER:PASSWORD@HOST/DATABASE` or `mysql://USER:PASSWORD@HOST/DATABASE`";
const HOUR_S: u64 = 3_600;
const DAY_S: u64 = 24 * HOUR_S;
const YEAR_S: u64 = 365 * DAY_S;
/// Uses of a session are written every few seconds, so another node cannot know of them sooner.
const IDLE_MIN_S: u64 = 60;

pub(super) type MaybeTable<'s, 't> = Option<Table<'s, 't>>;

pub(super) fn server(table: MaybeTable<'_, '_>) -> Server {
    let mut reader = Settings(table);
    let server = Server {
        listen: reader
            .parsed("listen", "an address, like `127.0.0.1:8000`")
            .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8000))),
        tls: reader.value("tls").and_then(|value| {
            let mut table = value.table()?;
            let certificates = certificates(&mut table, &value);
            table.finish();
            certificates
        }),
        trusted_proxies: reader.networks("trusted_proxies"),
        body_bytes_max: reader.number("body_bytes_max", 0, 1 << 40, 10 * MIB),
        header_bytes_max: reader.number("header_bytes_max", 8 * KIB, MIB, 16 * KIB) as usize,
        connections_max: reader.number("connections_max", 1, 1_000_000, 10_000) as usize,
        connections_per_address_max: reader.number(
            "connections_per_address_max",
            1,
            1_000_000,
            1_000,
        ) as usize,
        header_timeout: reader.seconds("header_timeout_s", 3_600, 10),
        connect_timeout: Duration::from_millis(reader.number(
            "connect_timeout_ms",
            1,
            600_000,
            2_000,
        )),
        read_timeout: reader.seconds("read_timeout_s", 86_400, 30),
        drain_timeout: reader.seconds("drain_timeout_s", 3_600, 10),
        cookie_secure: reader
            .choice(
                "cookie_secure",
                &[
                    ("auto", CookieSecure::Auto),
                    ("always", CookieSecure::Always),
                    ("never", CookieSecure::Never),
                ],
            )
            .unwrap_or(CookieSecure::Auto),
        cors_origins: reader.origins("cors_origins"),
        access_log: reader
            .value("access_log")
            .and_then(|value| value.bool())
            .unwrap_or(false),
        workers: reader.number(
            "workers",
            1,
            1_024,
            std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
        ) as usize,
    };
    reader.finish();
    server
}

pub(super) fn accounts(table: MaybeTable<'_, '_>) -> Accounts {
    let mut reader = Settings(table);
    let url = reader.value("url").and_then(|value| {
        let url = value.string()?;
        if !names_a_database(&url.value) {
            value.source().complain_with(
                url.span,
                format!("accounts cannot live in `{}`", url.value),
                Some(DATABASES.to_owned()),
            );
        }
        Some(url.value)
    });
    let mut protection = Settings(
        reader
            .0
            .as_mut()
            .and_then(|table| table.table("protection")),
    );
    let quotas = Protection {
        login_per_account: protection.quotas("login_per_account", "5 per 15 minutes"),
        login_per_address: protection.quotas("login_per_address", "20 per 15 minutes"),
        password_per_account: protection.quotas("password_per_account", "5 per 15 minutes"),
        signup_per_address: protection.quotas("signup_per_address", "30 per hour"),
        token_per_address: protection.quotas("token_per_address", "30 per minute"),
        keys_per_account: protection.quotas("keys_per_account", "200 per hour; 500 per day"),
        credentials_per_address: protection.quotas("credentials_per_address", "30 per minute"),
    };
    protection.finish();
    let accounts = Accounts {
        url: url.unwrap_or_else(|| "sqlite:tollgate.db".to_owned()),
        session_ttl: reader.seconds("session_ttl_s", YEAR_S, 86_400),
        session_idle_ttl: reader
            .value("session_idle_ttl_s")
            .and_then(|value| value.number(IDLE_MIN_S, YEAR_S))
            .map(Duration::from_secs),
        token_ttl: reader.seconds("token_ttl_s", YEAR_S, 3_600),
        offline_ttl: reader.seconds("offline_ttl_s", 1_800, 300),
        token_algorithm: reader
            .choice("token_algorithm", &TokenAlgorithm::OWN)
            .unwrap_or(TokenAlgorithm::OWN[0].1),
        share_token_keys: reader
            .choice("token_keys", &[("file", false), ("database", true)])
            .unwrap_or(false),
        issuers: issuers(reader.value("issuers")),
        password_chars_min: reader.number("password_chars_min", 1, 128, 8) as usize,
        audit_kept: Duration::from_secs(DAY_S * reader.number("audit_kept_days", 1, 36_500, 365)),
        usage_minutes_ttl: reader.kept("usage_minutes_ttl_s", HOUR_S, 2 * DAY_S),
        usage_hours_ttl: reader.kept("usage_hours_ttl_s", DAY_S, 60 * DAY_S),
        usage_days_ttl: reader.kept("usage_days_ttl_s", DAY_S, 730 * DAY_S),
        protection: quotas,
    };
    reader.finish();
    accounts
}

/// Of a file what follows the scheme is its name; a server's URL also has a database.
fn names_a_database(url: &str) -> bool {
    match url.split_once(':') {
        Some(("sqlite", file)) => !file.is_empty(),
        Some(("postgres" | "postgresql" | "mysql" | "mariadb", rest)) => rest
            .strip_prefix("//")
            .and_then(|rest| rest.split_once('/'))
            .is_some_and(|(_, database)| !database.is_empty()),
        _ => false,
    }
}

pub(super) fn fields(table: MaybeTable<'_, '_>) -> Fields {
    let mut reader = Settings(table);
    let legacy = [
        ("x-ratelimit-delta", LegacyFields::Delta),
        ("x-ratelimit-epoch", LegacyFields::Epoch),
        ("none", LegacyFields::None),
    ];
    let fields = Fields {
        legacy: reader.choice("legacy", &legacy).unwrap_or_default(),
    };
    reader.finish();
    fields
}

/// A section that may be absent: every setting has a default.
pub(super) struct Settings<'s, 't>(pub(super) MaybeTable<'s, 't>);

impl<'s, 't> Settings<'s, 't> {
    pub(super) fn value(&mut self, key: &'static str) -> Option<Value<'s, 't>> {
        self.0.as_mut()?.value(key)
    }

    pub(super) fn number(&mut self, key: &'static str, low: u64, high: u64, default: u64) -> u64 {
        self.value(key)
            .and_then(|value| value.number(low, high))
            .unwrap_or(default)
    }

    fn seconds(&mut self, key: &'static str, high: u64, default: u64) -> Duration {
        Duration::from_secs(self.number(key, 1, high, default))
    }

    /// How long something is kept: a century at most.
    fn kept(&mut self, key: &'static str, low: u64, default: u64) -> Duration {
        Duration::from_secs(self.number(key, low, 100 * YEAR_S, default))
    }

    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
    ) -> Option<T> {
        self.value(key)?.choice(choices)
    }

    fn parsed<T: std::str::FromStr>(&mut self, key: &'static str, expected: &str) -> Option<T> {
        let value = self.value(key)?;
        parse_at(&value, value.string()?, expected)
    }

    /// Networks, and addresses as networks of their own.
    fn networks(&mut self, key: &'static str) -> Vec<IpNet> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let network = |text: At<String>| match text.value.parse::<IpAddr>() {
            Ok(address) => Some(IpNet::from(address)),
            Err(_) => parse_at(
                &value,
                text,
                "a network or an address, like `10.0.0.0/8` or `192.0.2.1`",
            ),
        };
        value
            .strings()
            .into_iter()
            .flatten()
            .filter_map(network)
            .collect()
    }

    fn origins(&mut self, key: &'static str) -> Vec<HeaderValue> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let is_origin = |text: &str| text == "*" || (text.contains("://") && !text.ends_with('/'));
        let origin = |text: At<String>| match HeaderValue::from_str(&text.value) {
            Ok(origin) if is_origin(&text.value) => Some(origin),
            _ => {
                value.source().complain(
                    text.span,
                    format!(
                        "`{}` is no origin, like `https://app.example` or `*`",
                        text.value
                    ),
                );
                None
            }
        };
        value
            .strings()
            .into_iter()
            .flatten()
            .filter_map(origin)
            .collect()
    }

    fn quotas(&mut self, key: &'static str, default: &str) -> Vec<Quota> {
        let given = self.value(key).and_then(|value| {
            let text = value.string()?;
            Quota::parse_list(&text.value)
                .map_err(|error| value.complain_within(&text, error.span(), &error.to_string()))
                .ok()
        });
        given.unwrap_or_else(|| Quota::parse_list(default).unwrap_or_default())
    }

    pub(super) fn finish(self) {
        if let Some(table) = self.0 {
            table.finish();
        }
    }
}

fn parse_at<T: std::str::FromStr>(
    value: &Value<'_, '_>,
    text: At<String>,
    expected: &str,
) -> Option<T> {
    let parsed = text.value.parse().ok();
    if parsed.is_none() {
        value
            .source()
            .complain(text.span, format!("`{}` is not {expected}", text.value));
    }
    parsed
}
