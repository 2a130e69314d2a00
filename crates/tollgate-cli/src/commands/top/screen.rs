//! The terminal: taken over, drawn on as the gateway tells of itself, and given back as it was.

use std::io;
use std::path::Path;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event;
use tokio::sync::{mpsc, watch};

use super::callers::asked_order;
use super::draw::{Palette, draw};
use super::follow::follow;
use super::key::action;
use super::model::{Model, Update};
use super::view::{Action, Listed, View};
use crate::failure::Failure;
use crate::serve::signals::Signals;

/// Actions that wait to be done.
const ACTIONS_WAITING_MAX: usize = 64;

/// Updates that wait to be taken.
const UPDATES_WAITING_MAX: usize = 16;

/// Follows a gateway and shows the view, until somebody quits or a signal asks to end.
pub(super) async fn show(data: &Path, model: Model, palette: Palette) -> Result<(), Failure> {
    let (updates, heard) = mpsc::channel(UPDATES_WAITING_MAX);
    let (order, wanted) = watch::channel(asked_order(0));
    tokio::select! {
        ended = look(View::new(model), heard, order, palette) => ended,
        () = follow(data, wanted, updates) => Ok(()),
    }
}

async fn look(
    mut view: View,
    mut updates: mpsc::Receiver<Update>,
    order: watch::Sender<&'static str>,
    palette: Palette,
) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::because("the terminal cannot be used", &error);
    let mut ends = Signals::listen().map_err(failed)?;
    let mut screen = Screen::open().map_err(failed)?;
    let mut actions = actions();
    loop {
        let drawn = screen.0.draw(|frame| draw(frame, &mut view, palette));
        drawn.map_err(failed)?;
        tokio::select! {
            action = actions.recv() => match action {
                None | Some(Action::Quit) => return Ok(()),
                Some(action) => view.act(action),
            },
            Some(update) = updates.recv() => view.take(update),
            () = ends.next() => return Ok(()),
        }
        // What has come meanwhile needs no picture of its own.
        while let Ok(update) = updates.try_recv() {
            view.take(update);
        }
        let asked = asked_order(view.sort_of(Listed::Callers));
        order.send_if_modified(|order| std::mem::replace(order, asked) != asked);
    }
}

/// The terminal in raw mode with another screen, until it is dropped; a panic gives it back too. ratatui's own drop then
/// shows the cursor.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> io::Result<Self> {
        let opened = ratatui::try_init();
        if opened.is_err() {
            // Half of it may have been done.
            let _ = ratatui::try_restore();
        }
        opened.map(Screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing is left to say it on.
        let _ = ratatui::try_restore();
    }
}

/// What the keys ask for, read by a thread of its own, which ends with the process.
fn actions() -> mpsc::Receiver<Action> {
    let (actions, taken) = mpsc::channel(ACTIONS_WAITING_MAX);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if let Some(action) = action(&event)
                && actions.blocking_send(action).is_err()
            {
                return;
            }
        }
    });
    taken
}
