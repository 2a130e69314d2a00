//! Which part of the model is shown, and how keys change that.

use super::model::{Model, Update};
use super::table::Table;
use super::{callers, heavy, routes};

/// The tables, in the order of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    Routes,
    Callers,
    Heavy,
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Quit,
    Next,
    Show(Listed),
    Sort,
    Scroll(isize),
    Pages(isize),
    First,
    Last,
    Pause,
    Help,
    Redraw,
}

/// The model as it is looked at.
pub(super) struct View {
    live: Model,
    /// What is shown instead while it is paused.
    frozen: Option<Model>,
    pub(super) listed: Listed,
    sorts: [usize; LISTED.len()],
    /// The first row that is shown; drawing takes it back to where a full page remains.
    pub(super) first_row: usize,
    /// How many rows were shown when it was last drawn.
    pub(super) page_rows: usize,
    pub(super) help: bool,
}

pub(super) const LISTED: [Listed; 3] = [Listed::Routes, Listed::Callers, Listed::Heavy];

impl Listed {
    pub(super) fn name(self) -> &'static str {
        match self {
            Listed::Routes => "Routes",
            Listed::Callers => "API keys",
            Listed::Heavy => "Top callers",
        }
    }

    /// What its columns are, in a line each.
    pub(super) fn says(self) -> [&'static str; 2] {
        match self {
            Listed::Routes => [
                "Requests and denials of the last second, then counts since the start.",
                "No auth: without good credentials. p95: 95 % of the answers were quicker.",
            ],
            Listed::Callers => [
                "Requests a second: now, and on average over 1 and 5 minutes. Then counts in all,",
                "how many requests pass now, and the last use.",
            ],
            Listed::Heavy => [
                "Who came most often, with or without a key. A count may be too high by the",
                "number behind it. Share: of all requests that were allowed, or denied.",
            ],
        }
    }

    fn sorts(self) -> &'static [&'static str] {
        match self {
            Listed::Routes => &routes::SORTS,
            Listed::Callers => &callers::SORTS,
            Listed::Heavy => &heavy::SORTS,
        }
    }

    /// The table, in the order of this number.
    pub(super) fn table(self, model: &Model, sort: usize) -> Table {
        match self {
            Listed::Routes => routes::table(model, sort),
            Listed::Callers => callers::table(model, sort),
            Listed::Heavy => heavy::table(model, sort),
        }
    }
}

impl View {
    pub(super) fn new(model: Model) -> Self {
        View {
            live: model,
            frozen: None,
            listed: Listed::Routes,
            sorts: [0; LISTED.len()],
            first_row: 0,
            page_rows: 1,
            help: false,
        }
    }

    /// Takes what was heard, also while it is paused.
    pub(super) fn take(&mut self, update: Update) {
        self.live.take(update);
    }

    pub(super) fn model(&self) -> &Model {
        self.frozen.as_ref().unwrap_or(&self.live)
    }

    /// Why the gateway cannot be reached, which a pause does not hide.
    pub(super) fn away(&self) -> Option<&str> {
        self.live.away.as_ref().map(|why| why.as_str())
    }

    pub(super) fn is_paused(&self) -> bool {
        self.frozen.is_some()
    }

    pub(super) fn table(&self) -> Table {
        self.listed.table(self.model(), self.sort_of(self.listed))
    }

    /// The order of the table that is shown, in words.
    pub(super) fn sorted_by(&self) -> &'static str {
        self.listed.sorts()[self.sort_of(self.listed)]
    }

    /// The number of a table's order.
    pub(super) fn sort_of(&self, listed: Listed) -> usize {
        self.sorts[listed as usize]
    }

    /// Does what a key asks for. `Quit` is the loop's to do.
    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Quit | Action::Redraw => {}
            Action::Next => {
                let next = (self.listed as usize + 1) % LISTED.len();
                self.show(LISTED[next]);
            }
            Action::Show(listed) => self.show(listed),
            Action::Sort => {
                let sort = &mut self.sorts[self.listed as usize];
                *sort = (*sort + 1) % self.listed.sorts().len();
                self.first_row = 0;
            }
            Action::Scroll(rows) => self.first_row = self.first_row.saturating_add_signed(rows),
            Action::Pages(pages) => {
                let rows = pages.saturating_mul(self.page_rows as isize);
                self.first_row = self.first_row.saturating_add_signed(rows);
            }
            Action::First => self.first_row = 0,
            Action::Last => self.first_row = usize::MAX,
            Action::Pause => {
                self.frozen = match self.frozen {
                    Some(_) => None,
                    None => Some(self.live.clone()),
                };
            }
            Action::Help => self.help = !self.help,
        }
    }

    fn show(&mut self, listed: Listed) {
        (self.listed, self.first_row) = (listed, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{event, overview};
    use super::*;

    #[test]
    fn a_pause_holds_what_is_shown_and_goes_on_with_the_newest() {
        let mut view = View::new(Model::new(overview(1)));
        view.act(Action::Pause);
        view.take(Update::Event(event(7)));
        view.take(Update::Away(crate::plain::Plain::new("gone")));
        assert_eq!(
            (view.model().now.totals.allowed, view.away()),
            (1, Some("gone"))
        );
        view.act(Action::Pause);
        assert_eq!(view.model().now.totals.allowed, 7);
    }

    #[test]
    fn each_table_keeps_its_order_and_begins_at_its_first_row() {
        let mut view = View::new(Model::new(overview(1)));
        view.act(Action::Sort);
        view.act(Action::Scroll(3));
        assert_eq!((view.sorted_by(), view.first_row), ("denied", 3));
        view.act(Action::Next);
        assert_eq!(
            (view.listed, view.sorted_by(), view.first_row),
            (Listed::Callers, "rate", 0)
        );
        view.act(Action::Show(Listed::Heavy));
        view.act(Action::Sort);
        view.act(Action::Sort);
        assert_eq!(view.sorted_by(), "allowed");
        view.act(Action::Next);
        assert_eq!((view.listed, view.sorted_by()), (Listed::Routes, "denied"));
        view.act(Action::Scroll(-5));
        assert_eq!(view.first_row, 0);
    }
}
