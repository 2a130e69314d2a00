//! From the text of a rules file to a [`RuleSet`], section by section.

mod cluster;
mod counters;
mod domains;
mod forward_auth;
mod issuers;
mod known_limits;
mod limits;
mod pattern;
mod penalty;
mod routes;
mod server;
mod service;
mod syntax;
mod tls;

use toml::de::DeTable;

use self::known_limits::KnownLimits;
use crate::diagnostic::Diagnostic;
use crate::read::{Source, Table};
use crate::route::Upstream;
use crate::route_table::RouteTable;
use crate::{RuleSet, Service};

/// The longest rules file.
pub const LONGEST_FILE_BYTES: usize = 4 << 20;
/// The most routes of one file.
const ROUTES_MAX: usize = 10_000;

/// What the command line says instead of the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Stands in the place of every upstream of the file.
    pub upstream: Option<Upstream>,
    /// Stands in the place of `url` in `[counters]`.
    pub counters: Option<String>,
    /// Its addresses stand in the place of those in `[service]`; its tokens are taken beside those.
    pub service: Service,
}

pub(crate) fn parse(
    name: &str,
    text: &str,
    overrides: &Overrides,
) -> Result<RuleSet, Vec<Diagnostic>> {
    let source = Source::new(name, text);
    if text.len() > LONGEST_FILE_BYTES {
        source.complain(
            0..0,
            format!("the file is longer than {LONGEST_FILE_BYTES} bytes"),
        );
        return Err(source.into_diagnostics());
    }
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let (span, message) = (error.span().unwrap_or(0..0), error.message());
            let help = syntax::help(text, span.start, message).map(str::to_owned);
            source.complain_with(span, message.to_owned(), help);
            return Err(source.into_diagnostics());
        }
    };
    let mut root = Table::new(&source, &document, "the rules file");
    let version = root.value("version").and_then(|value| value.instant());
    let server = server::server(root.table("server"));
    let counters = counters::counters(root.table("counters"), overrides.counters.as_deref());
    let accounts = server::accounts(root.table("accounts"));
    let mistakes_before = source.complaints();
    let (service, domains) = service::service(
        &source,
        root.table("service"),
        &overrides.service,
        counters.sharing,
    );
    let service_was_read = source.complaints() == mistakes_before;
    let fields = server::fields(root.table("fields"));
    let named = limits::named(&mut root, counters.sharing);
    let mut limits = KnownLimits::new(named, counters.sharing);
    let defaults = routes::Defaults::read(root.table("defaults"), &mut limits);
    let mut upstreams = Vec::new();
    let mut routes = RouteTable::default();
    let tables = match root.value("routes") {
        Some(value) if value.is_table() => {
            let help = "write `[[routes]]`: each route is a table of its own".to_owned();
            let message = "`routes` must be an array, found table".to_owned();
            source.complain_with(value.span(), message, Some(help));
            None
        }
        Some(value) => value.array(),
        None => root.lacks("routes").then(Vec::new),
    };
    match tables.as_deref() {
        Some([]) if service.is_on() || !service_was_read => {}
        Some([]) => source.complain(
            0..0,
            "there is no `[[routes]]`: a gateway without a route answers nothing",
        ),
        Some(tables) if tables.len() > ROUTES_MAX => source.complain(
            tables[ROUTES_MAX].span(),
            format!("there are more than {ROUTES_MAX} routes"),
        ),
        Some(tables) => {
            let mut reader = routes::Reader {
                limits: &mut limits,
                defaults: &defaults,
                upstreams: &mut upstreams,
                overrides,
                is_cluster: counters.is_cluster(),
                ends: forward_auth::Ends::default(),
            };
            let tables = tables.iter().filter_map(|value| value.table());
            for table in tables.take_while(|_| !source.is_hopeless()) {
                reader.route(table, &mut routes);
            }
            reader.ends.check(&source, &server.trusted_proxies);
            routes.imply_parents();
        }
        None => {}
    }
    root.finish();
    let diagnostics = source.into_diagnostics();
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    Ok(RuleSet {
        version,
        server,
        counters,
        accounts,
        service,
        domains,
        fields,
        limits: limits.into_all(),
        upstreams,
        routes,
    })
}
