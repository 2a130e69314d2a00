//! Commands to replies: what is owed together is decided together, everything else at once.

use smallvec::SmallVec;
use tollgate::Micros;

use super::batch::Batch;
use super::reply::{Replies, repeated};
use super::session::Session;
use super::table::{self, Name};
use super::throttle::{self, Style};
use super::told;
use crate::Service;
use crate::metrics::Protocol;

/// Words of a command in an error.
const REPEATED_WORDS_MAX: usize = 4;

pub(super) type Words<'a> = SmallVec<[&'a [u8]; 8]>;

/// Answers one command, or notes it as owed. What is owed is answered before anything else is.
pub(super) async fn answer<'s>(
    service: &'s Service,
    session: &mut Session<'s>,
    batch: &mut Batch<'s>,
    words: &[&[u8]],
    now: Micros,
    replies: &mut Replies<'_>,
) {
    let Some((name, args)) = words.split_first() else {
        return;
    };
    let command = table::find(name);
    let failed = match (session.is_known(), command) {
        (true, Some(Name::ClThrottle)) => throttle(batch, Style::Cell, args, now),
        (true, Some(Name::Throttle)) => throttle(batch, Style::Crab, args, now),
        (true, Some(Name::Check)) => on_limit(service, batch, args, true),
        (true, Some(Name::Peek)) => on_limit(service, batch, args, false),
        _ => {
            batch.answer(now, replies).await;
            return at_once(service, session, command, words, now, replies).await;
        }
    };
    if let Err(why) = failed {
        batch.answer(now, replies).await;
        error(service, &why, replies);
    }
    if batch.is_full() {
        batch.answer(now, replies).await;
    }
}

fn throttle(
    batch: &mut Batch<'_>,
    style: Style,
    args: &[&[u8]],
    now: Micros,
) -> Result<(), String> {
    let asked = throttle::decode(style, args)?;
    let added = batch.throttle(&asked, now);
    added.map_err(|why| throttle::no_quota(style, &why))
}

fn on_limit<'s>(
    service: &'s Service,
    batch: &mut Batch<'s>,
    args: &[&[u8]],
    charge: bool,
) -> Result<(), String> {
    batch.named(told::decode(service, args)?, charge);
    Ok(())
}

/// Nothing is owed before it.
async fn at_once(
    service: &Service,
    session: &mut Session<'_>,
    command: Option<Name>,
    words: &[&[u8]],
    now: Micros,
    replies: &mut Replies<'_>,
) {
    let (name, args) = (words[0], &words[1..]);
    match (command, args) {
        (Some(Name::Auth), _) => session.auth(args, replies),
        (Some(Name::Hello), _) => session.hello(args, replies),
        (Some(Name::Quit), _) => {
            session.is_over = true;
            replies.ok();
        }
        (Some(Name::ResetConnection), _) => session.reset(replies),
        // Another protocol, most likely of a page in somebody's browser.
        (None, _) if is_http(name) => session.is_over = true,
        _ if !session.is_known() => error(service, "NOAUTH Authentication required.", replies),
        (Some(Name::Ping), []) => replies.simple("PONG"),
        (Some(Name::Ping | Name::Echo), [text]) => replies.bulk(text),
        (Some(Name::Client), _) => session.client(args, replies),
        (Some(Name::Command), _) => session.command(args, replies),
        (Some(Name::Select), [b"0"]) => replies.ok(),
        (Some(Name::Select), [_]) => error(service, "ERR DB index is out of range", replies),
        (Some(Name::Info), _) => session.info(now, replies),
        // Benchmarks ask how the server saves.
        (Some(Name::Config), [word, _, ..]) if word.eq_ignore_ascii_case(b"GET") => replies.map(0),
        (Some(Name::Reset), _) => match told::decode(service, args) {
            Ok(named) => told::reset(service, &named, replies).await,
            Err(why) => error(service, &why, replies),
        },
        (Some(Name::Del), [_, ..]) => throttle::forget(service, args, replies).await,
        (Some(_), _) => {
            let name = repeated(name).to_lowercase();
            let why = format!("ERR wrong number of arguments for '{name}' command");
            error(service, &why, replies);
        }
        (None, _) => {
            let args = args.iter().take(REPEATED_WORDS_MAX);
            let args: String = args.map(|arg| format!("'{}' ", repeated(arg))).collect();
            let name = repeated(name);
            let why = format!("ERR unknown command '{name}', with args beginning with: {args}");
            error(service, &why, replies);
        }
    }
}

fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"POST") || name.eq_ignore_ascii_case(b"Host:")
}

fn error(service: &Service, why: &str, replies: &mut Replies<'_>) {
    service.metrics.error(Protocol::Resp);
    replies.error(why);
}
