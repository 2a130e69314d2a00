//! The five systems, embedded: each is a rules file and nothing else.

use clap::ValueEnum;

/// One of the five systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// A number API behind accounts: five a minute and 300 an hour for each user.
    RandomNumber,
    /// A hello-world API: a token first, then three in ten seconds by client address.
    HelloByIp,
    /// The number API in a browser, as two processes.
    Pages,
    /// A hundred an hour for each requester.
    HourlyModule,
    /// Ten a second for each user, found by API key.
    PerApiKey,
}

impl Preset {
    /// Its rules file.
    pub(crate) fn rules(self) -> &'static str {
        match self {
            Preset::RandomNumber => include_str!("../../../examples/random-number/tollgate.toml"),
            Preset::HelloByIp => include_str!("../../../examples/hello-by-ip/tollgate.toml"),
            Preset::Pages => include_str!("../../../examples/pages/tollgate.toml"),
            Preset::HourlyModule => include_str!("../../../examples/hourly-module/tollgate.toml"),
            Preset::PerApiKey => include_str!("../../../examples/per-api-key/tollgate.toml"),
        }
    }

    /// Its name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    /// The request that shows it, for those that are called with an API key.
    pub(crate) fn demo_request(self) -> Option<(&'static str, &'static str)> {
        match self {
            Preset::HelloByIp => Some(("/", "Authorization: Bearer ")),
            Preset::PerApiKey => Some(("/limit", "X-API-Key: ")),
            Preset::RandomNumber | Preset::Pages | Preset::HourlyModule => None,
        }
    }
}
