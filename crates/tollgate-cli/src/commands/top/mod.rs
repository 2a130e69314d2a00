//! `tollgate top`: what goes on in a running gateway, live in a terminal, or once as text or JSON.
//!
//! [`follow`] asks again and again, [`model`] keeps what was heard, [`view`] says which part is looked at, [`draw`] and
//! [`snapshot`] show it. Only [`asked`], [`events`], [`follow`] and [`screen`] do any I/O.

mod asked;
mod callers;
mod draw;
mod events;
mod follow;
mod heavy;
mod key;
mod model;
mod reading;
mod routes;
#[cfg(test)]
mod sample;
mod screen;
mod snapshot;
mod spark;
mod summary;
mod table;
mod units;
mod view;

use std::io::{ErrorKind, IsTerminal, Write};

use crate::args::TopArgs;
use crate::failure::Failure;
use asked::Asked;
use draw::Palette;
use model::Model;

/// Live, or once if that is asked for or there is no terminal to draw on.
pub(crate) fn run(args: &TopArgs) -> Result<(), Failure> {
    let data = &args.data.data;
    let asked = Asked::new(data);
    super::runtime()?.block_on(async {
        let overview = asked.overview().await?;
        if !args.once && !args.json && can_draw() {
            let palette = Palette {
                colours: has_colours(),
            };
            return screen::show(data, Model::new(Asked::read(&overview)?), palette).await;
        }
        let (callers, heavy) = (
            asked.callers(callers::asked_order(0)).await?,
            asked.heavy().await?,
        );
        let shown = match args.json {
            true => snapshot::json(&overview, &callers, &heavy)?,
            false => snapshot::text(&overview, &callers, &heavy)?,
        };
        print(shown.trim_end())
    })
}

/// A reader that has read enough is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::because(
            "standard output cannot be written to",
            &error,
        )),
        _ => Ok(()),
    }
}

/// Whether there is a terminal on both sides that knows more than lines.
fn can_draw() -> bool {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && !is_dumb
}

/// As <https://no-color.org> asks for.
fn has_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
