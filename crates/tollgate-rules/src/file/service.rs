//! `[service]`: where the decision service listens, and who may ask.

use std::net::SocketAddr;

use super::server::{MaybeTable, Settings};
use crate::Service;
use crate::read::{At, Source, Value};

const AN_ADDRESS: &str = "an address, like `127.0.0.1:6380`";

/// `given` are the addresses and tokens of the command line: an address of it stands in the place of the file's.
pub(super) fn service(source: &Source<'_>, table: MaybeTable<'_, '_>, given: &Service) -> Service {
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
    let (resp, http) = (address("resp"), address("http"));
    let service = Service {
        resp: given.resp.or(resp.as_ref().map(|at| at.value)),
        http: given.http.or(http.as_ref().map(|at| at.value)),
        tokens: given.tokens.iter().cloned().chain(tokens).collect(),
        open: reader
            .value("open")
            .and_then(|value| value.bool())
            .unwrap_or(false),
    };
    reader.finish();
    if let Some(address) = service.unguarded() {
        let written = [resp, http].into_iter().flatten();
        let span = written.into_iter().find(|at| at.value == address);
        source.complain_with(
            span.map_or(0..0, |at| at.span),
            format!("other machines reach the service on {address}, and nobody needs a token there"),
            Some(
                "set `token` in [service], or TOLLGATE_SERVICE_TOKEN; or `open = true` if a network that is closed keeps strangers out"
                    .to_owned(),
            ),
        );
    }
    service
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
