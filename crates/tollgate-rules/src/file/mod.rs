//! From the text of a rules file to a [`RuleSet`], section by section.

mod limits;
mod routes;
mod server;

use toml::de::DeTable;

use crate::RuleSet;
use crate::diagnostic::Diagnostic;
use crate::read::{Source, Table};
use crate::route::Upstream;
use crate::route_table::RouteTable;

/// The longest rules file.
pub const LONGEST_FILE_BYTES: usize = 4 << 20;

/// What the command line says instead of the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Stands in the place of every upstream of the file.
    pub upstream: Option<Upstream>,
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
            source.complain(error.span().unwrap_or(0..0), error.message().to_owned());
            return Err(source.into_diagnostics());
        }
    };
    let mut root = Table::new(&source, &document, "the rules file");
    let server = server::server(root.table("server"));
    let counters = server::counters(root.table("counters"));
    let accounts = server::accounts(root.table("accounts"));
    let fields = server::fields(root.table("fields"));
    let mut limits = limits::named(root.table("limits"));
    let defaults = routes::Defaults::read(root.table("defaults"));
    let routes_value = root.value("routes");
    let mut upstreams = Vec::new();
    let mut routes = RouteTable::default();
    match routes_value {
        Some(value) => {
            let mut reader = routes::Reader {
                limits: &mut limits,
                defaults: &defaults,
                upstreams: &mut upstreams,
                overrides,
            };
            for table in value
                .array()
                .into_iter()
                .flatten()
                .filter_map(|value| value.table())
            {
                reader.route(table, &mut routes);
            }
            routes.imply_parents();
        }
        None => source.complain(
            0..0,
            "there is no `[[routes]]`: a gateway without a route answers nothing",
        ),
    }
    root.finish();
    let diagnostics = source.into_diagnostics();
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    Ok(RuleSet {
        server,
        counters,
        accounts,
        fields,
        limits,
        upstreams,
        routes,
    })
}
