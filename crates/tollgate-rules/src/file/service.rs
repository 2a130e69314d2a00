//! `[service]`: where the decision service listens, and who may ask.

use std::net::SocketAddr;
use std::sync::Arc;

use super::domains;
use super::server::{MaybeTable, Settings};
use super::tls::certificates;
use crate::domain::Domain;
use crate::read::{At, Source, Value, choose};
use crate::terms::Sharing;
use crate::{Service, Tls};

const AN_ADDRESS: &str = "an address, like `127.0.0.1:6380`";

/// `given` are the addresses and tokens of the command line: an address of it stands in the place of the file's.
/// The domains come with it; `sharing` is that of descriptors which say nothing of it.
pub(super) fn service(
    source: &Source<'_>,
    table: MaybeTable<'_, '_>,
    given: &Service,
    sharing: Sharing,
) -> (Service, Vec<Arc<Domain>>) {
    let mistakes_before = source.complaints();
    let mut reader = Settings(table);
    let mut tokens: Vec<At<String>> = Vec::new();
    if let Some(token) = reader.value("token") {
        tokens.extend(token.string());
    }
    if let Some(listed) = reader.value("tokens") {
        tokens.extend(listed.strings().into_iter().flatten());
    }
    for token in &tokens {
        if let Err(why) = Service::check_token(&token.value) {
            source.complain(token.span.clone(), why);
        }
    }
    if let Some(further) = tokens.get(Service::TOKENS_MAX) {
        let message = format!("there are more than {} tokens", Service::TOKENS_MAX);
        source.complain(further.span.clone(), message);
    }
    let tokens = tokens.into_iter().map(|token| token.value);
    let mut address = |key| reader.value(key).and_then(|value| parse(&value));
    let (resp, http, grpc) = (address("resp"), address("http"), address("grpc"));
    let service = Service {
        resp: given.resp.or(resp.as_ref().map(|at| at.value)),
        http: given.http.or(http.as_ref().map(|at| at.value)),
        grpc: given.grpc.or(grpc.as_ref().map(|at| at.value)),
        tls: reader.value("tls").and_then(|value| tls(&value)),
        no_fields: !reader
            .value("fields")
            .and_then(|value| value.bool())
            .unwrap_or(true),
        tokens: given.tokens.iter().cloned().chain(tokens).collect(),
        open: reader
            .value("open")
            .and_then(|value| value.bool())
            .unwrap_or(false),
    };
    let domains = reader.0.as_mut().and_then(|table| table.table("domains"));
    let domains = domains::domains(domains, sharing);
    reader.finish();
    // Whether anybody needs a token is known when all of it was read.
    let was_read = source.complaints() == mistakes_before;
    if let Some((key, address)) = service.unguarded().filter(|_| was_read) {
        let message = format!(
            "other machines reach the service on {address}, and nobody needs a token there"
        );
        let help = "set `token` in [service], or TOLLGATE_SERVICE_TOKEN; or `open = true` if a network that is closed keeps strangers out";
        let written = match key {
            "resp" => resp,
            "http" => http,
            _ => grpc,
        };
        match written.filter(|at| at.value == address) {
            Some(at) => source.complain_with(at.span, message, Some(help.to_owned())),
            None => source.complain_of_flag(key, message, Some(help.to_owned())),
        }
    }
    (service, domains)
}

const PROTOCOLS: [(&str, &str); 3] = [("resp", "resp"), ("http", "http"), ("grpc", "grpc")];

/// `{ cert = "FILE", key = "FILE", client_ca = "FILE", protocols = ["grpc"] }`, of which the last two may be absent.
fn tls(value: &Value<'_, '_>) -> Option<Tls> {
    let mut table = value.table()?;
    let certificates = certificates(&mut table, value);
    let protocols = match table.value("protocols") {
        Some(value) => protocols(&value)?,
        None => PROTOCOLS.map(|(name, _)| name).to_vec(),
    };
    table.finish();
    Some(Tls {
        certificates: certificates?,
        resp: protocols.contains(&"resp"),
        http: protocols.contains(&"http"),
        grpc: protocols.contains(&"grpc"),
    })
}

/// Which protocols are encrypted, at least one.
fn protocols(value: &Value<'_, '_>) -> Option<Vec<&'static str>> {
    let words = value.strings()?;
    if words.is_empty() {
        let message = "`protocols` must not be empty: leave out `tls` to encrypt nothing";
        value.source().complain(value.span(), message);
    }
    let chosen = words
        .iter()
        .map(|word| choose(value.source(), word, "protocols", &PROTOCOLS));
    chosen.collect()
}

fn parse(value: &Value<'_, '_>) -> Option<At<SocketAddr>> {
    let text = value.string()?;
    match text.value.parse() {
        Ok(address) => Some(At {
            value: address,
            span: text.span,
        }),
        Err(_) => {
            let message = format!("`{}` is not {AN_ADDRESS}", text.value);
            value.source().complain(text.span, message);
            None
        }
    }
}
