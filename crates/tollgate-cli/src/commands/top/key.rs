//! What each key and each change of the terminal asks for.

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::view::{Action, LISTED};

/// What is written at the foot of the screen.
pub(super) const FOOT: &str = "q quit  Tab or 1-3 table  s sort  arrows scroll  p pause  ? help";

/// What help says, a line each.
pub(super) const HELP: [&str; 12] = [
    "q, Esc, Ctrl-C        quit",
    "Tab, 1, 2, 3          another table: routes, API keys, top callers",
    "s                     sort the table by something else",
    "arrows, Page keys,    scroll the table",
    "  Home, End",
    "p                     hold what is shown, and go on with the newest",
    "?                     this help, and back",
    "",
    "Rates are of the last second. Peak and bars are of the last five minutes.",
    "Refused: for another reason than a limit. p50, p95, p99: half, 95 % and 99 %",
    "of the answers were quicker. No auth: without good credentials. A top caller's",
    "count may be too high by the number behind it.",
];

/// `None` if it asks for nothing.
pub(super) fn action(event: &Event) -> Option<Action> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => of_key(key),
        Event::Resize(..) => Some(Action::Redraw),
        _ => None,
    }
}

fn of_key(key: &KeyEvent) -> Option<Action> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char('c' | 'd') if control => Action::Quit,
        KeyCode::Char(_) if control => return None,
        KeyCode::Char('q' | 'Q') | KeyCode::Esc => Action::Quit,
        KeyCode::Tab => Action::Next,
        KeyCode::Char(number @ '1'..='3') => Action::Show(LISTED[number as usize - '1' as usize]),
        KeyCode::Char('s' | 'S') => Action::Sort,
        KeyCode::Down | KeyCode::Char('j') => Action::Scroll(1),
        KeyCode::Up | KeyCode::Char('k') => Action::Scroll(-1),
        KeyCode::PageDown => Action::Pages(1),
        KeyCode::PageUp => Action::Pages(-1),
        KeyCode::Home => Action::First,
        KeyCode::End => Action::Last,
        KeyCode::Char('p' | 'P' | ' ') => Action::Pause,
        KeyCode::Char('?' | 'h') => Action::Help,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::view::Listed;
    use super::*;

    #[test]
    fn every_key_that_is_promised_does_what_it_should() {
        let plain = |code| action(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        let control = |code| action(&Event::Key(KeyEvent::new(code, KeyModifiers::CONTROL)));
        for quit in [
            plain(KeyCode::Char('q')),
            plain(KeyCode::Esc),
            control(KeyCode::Char('c')),
        ] {
            assert_eq!(quit, Some(Action::Quit));
        }
        assert_eq!(plain(KeyCode::Tab), Some(Action::Next));
        let tables = ['1', '2', '3'].map(|number| plain(KeyCode::Char(number)));
        assert_eq!(
            tables,
            [Listed::Routes, Listed::Callers, Listed::Heavy]
                .map(|listed| Some(Action::Show(listed)))
        );
        assert_eq!(plain(KeyCode::Char('s')), Some(Action::Sort));
        assert_eq!(
            [KeyCode::Up, KeyCode::Down].map(plain),
            [-1, 1].map(|rows| Some(Action::Scroll(rows)))
        );
        assert_eq!(plain(KeyCode::Char('p')), Some(Action::Pause));
        assert_eq!(plain(KeyCode::Char('?')), Some(Action::Help));
        assert_eq!(action(&Event::Resize(10, 10)), Some(Action::Redraw));
        assert_eq!(
            [
                plain(KeyCode::Char('x')),
                control(KeyCode::Char('s')),
                plain(KeyCode::Char('4'))
            ],
            [None; 3]
        );
    }
}
